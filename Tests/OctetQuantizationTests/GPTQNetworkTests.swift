import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// GPTQ on whole networks.
@Suite struct GPTQNetworkTests {
  /// A transformer block (see `TransformerBlock` for how weights and activations are made), calibrated with 2,048 vectors
  /// and measured on 512 others.
  @Test(arguments: [32, 64, 128])
  func aTransformerBlockGainsThreeDecibels(_ groupSize: Int) throws {
    let graph = try TransformerBlock.graph(width: 128, tokens: 32, seed: 1)
    var activations = try CorrelatedActivations(width: 128, seed: 2)
    let quantization = WeightQuantization(dtype: .int4, groupSize: groupSize)
    let prepared = try graph.prepareGPTQ(quantization, GPTQ())
    try prepared.calibrate((0..<16).map { _ in try activations.next([4, 32]) })
    let (gptq, report) = try prepared.convert()
    #expect(report.quantized.count == 6 && report.kept.allSatisfy { $0.kind != .linear })

    let x = try activations.next([16, 32])
    let reference = try graph.replay([x])[0]
    let nearest = try sqnr(graph.quantizeWeights(quantization).graph.replay([x])[0], reference)
    let corrected = try sqnr(gptq.replay([x])[0], reference)
    #expect(nearest > 10, "the block is not noise: \(nearest) dB")
    #expect(corrected >= nearest + 3, "\(corrected) dB with GPTQ, \(nearest) dB rounded to nearest")
  }

  @Test func progressAndReport() throws {
    let graph = try TransformerBlock.graph(width: 40, tokens: 4, seed: 1)
    var activations = try CorrelatedActivations(width: 40, seed: 2)
    var map = WeightQuantizationMap(.int4)
    map["key"] = nil
    let prepared = try graph.prepareGPTQ(map)
    try prepared.calibrate([activations.next([4, 4])])
    var progress: [GPTQ.Progress] = []
    let report = try prepared.convert { progress.append($0) }.report
    #expect(report.entries.map(\.node) == graph.nodes.map(\.name))
    #expect(report.quantized.map(\.modules[0]) == ["query", "value", "output", "up", "down"])
    #expect(progress.map(\.layer) == ["query", "value", "output", "up", "down", "down"])
    #expect(progress.map(\.completed) == [40, 80, 120, 160, 288, 320])
    #expect(progress.allSatisfy { $0.total == 320 } && progress.last?.fraction == 1)
    #expect("\(progress[0])".contains("12 %  query") && "\(progress[5])".contains("100 %  down"))
  }

  @Test func convolutionsAreLeftToRounding() throws {
    final class Net: Module {
      let conv = Conv2d(2, 4, kernelSize: 3)
      let head = Linear(16, 8)
      override func forward(_ x: Tensor) throws -> Tensor { try head(relu(conv(x)).flatten(from: 1)) }
    }
    let net = Net()
    try net.initialize(seed: 1)
    let prepared = try net.trace(TensorType(.float32, [.symbolic("n"), 2, 4, 4])).prepareGPTQ(.int8)
    try prepared.calibrate([Tensor.random([40, 2, 4, 4], seed: 3)])
    let (graph, report) = try prepared.convert()
    #expect(report.quantized.map(\.kind) == [.linear])
    #expect(report.kept.first?.reason?.contains("quantizeWeights") == true)
    #expect(try graph.quantizeWeights(.int8).report.quantized.map(\.kind) == [.conv])
  }

  /// A weight that two layers share is quantized once, for the inputs of both.
  @Test func aSharedWeightSeesTheInputsOfAllItsLayers() throws {
    final class Net: Module {
      let shared = Linear(40, 40, bias: false)
      override func forward(_ x: Tensor) throws -> Tensor { try shared(relu(shared(x))) }
    }
    let net = Net()
    var activations = try CorrelatedActivations(width: 40, seed: 4)
    let graph = try net.trace(TensorType(.float32, [.symbolic("n"), 40]))
    let x = try activations.next([200])
    let prepared = try graph.prepareGPTQ(.int4)
    try prepared.calibrate([x])
    let (integers, parameters) = try prepared.convert().graph.quantizedWeight("shared.weight")
    let second = try relu(net.shared(x))
    let reference = GPTQReference(
      weight: try net.shared.weight.value.floats, inputs: try x.floats + second.floats, n: 40, k: 40, parameters,
      dampening: 0.01, isOrdered: true)
    // Float32 and Double round a number in a thousand differently.
    #expect(zip(integers, reference.integers).count { $0 != $1 } <= 40)
  }

  /// Every layer needs inputs: that one input of the network has been seen is not enough.
  @Test func aLayerWithoutInputsIsNamed() throws {
    let type = TensorType(.float32, [.symbolic("n"), 8])
    let w = Parameter(try Tensor.random([4, 8], seed: 1))
    let v = Parameter(try Tensor.random([4, 8], seed: 2))
    let graph = try Graph(
      inputs: [.init(name: "a", type: type), .init(name: "b", type: TensorType(.float32, [.symbolic("m"), 8]))],
      nodes: [
        Node(name: "first", op: .linear(Op.Linear()), inputs: ["a", "w"], outputs: ["y"]),
        Node(name: "second", op: .linear(Op.Linear()), inputs: ["b", "v"], outputs: ["z"]),
      ], outputs: [.init(name: "y", value: "y"), .init(name: "z", value: "z")], parameters: ["w": w, "v": v])
    let prepared = try graph.prepareGPTQ(.int4)
    try prepared.calibrate([["a": Tensor.random([3, 8], seed: 3), "b": Tensor(zeros: [0, 8])]])
    let error = octetError { try prepared.convert() }
    #expect(error?.code == .notObserved && error?.subject == "second")
  }
}
