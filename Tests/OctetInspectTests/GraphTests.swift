import OctetCore
import OctetGraph
import OctetInspect
import OctetNN
import OctetQuantization
import TestSupport
import Testing

@Suite struct GraphTests {
  private let float: Graph
  private let quantized: Graph
  private let input: Tensor

  private final class Net: Module {
    let conv = Conv2d(1, 4, kernelSize: 3)
    let fc = Linear(16, 3)

    override func forward(_ x: Tensor) throws -> Tensor { try fc(relu(conv(x)).flatten(from: 1)) }
  }

  init() throws {
    let net = Net()
    try net.initialize(seed: 1)
    float = try net.trace(TensorType(.float32, [.symbolic("n"), 1, 4, 4])).fused()
    input = try Tensor((0..<32).map { (i: Int) -> Float in Float((i * 29) % 64) / 32 - 1 }, shape: [2, 1, 4, 4])
    let prepared = try float.prepare(QConfigMap(.default))
    try prepared.calibrate([input])
    quantized = try prepared.convert().graph
  }

  @Test func aFloatGraphInNumbers() {
    let summary = GraphSummary(float)
    #expect(!summary.isQuantized && summary.integerCount == 0 && summary.floatReasons.isEmpty)
    #expect(summary.operations.map(\.kind) == [.conv, .flatten, .linear])
    #expect(summary.operations.map(\.count) == [1, 1, 1])
    #expect(summary.parameterCount == 36 + 4 + 48 + 3)
    #expect(summary.parameterBytes.map(\.bytes) == [4 * 91])
  }

  @Test func aQuantizedGraphInNumbers() {
    let summary = GraphSummary(quantized)
    #expect(summary.isQuantized && summary.integerCount == 3 && summary.floatReasons.isEmpty)
    #expect(summary.boundaryCount == 2)
    #expect(summary.operations.map(\.kind) == [.conv, .flatten, .linear])
    #expect(summary.parameterBytes.contains { $0.dtype == .int8 && $0.bytes == 84 })
  }

  @Test func parametersHaveRangesAndScales() throws {
    let all = quantized.parameterSummaries()
    #expect(all.count == quantized.parameters.count)
    let stored = all.filter { $0.type.dtype == .int8 }
    #expect(stored.count == 2)
    for weight in stored {
      let scales = try #require(weight.quantization)
      #expect(scales.dtype == .int8)
      let elements = try #require(quantized.parameters[weight.name]).value.scalars(as: Int8.self)
      #expect(weight.range == Double(elements.min()!)...Double(elements.max()!))
      #expect(weight.users.count == 1)
    }
    #expect(all.filter { $0.quantization == nil }.allSatisfy { $0.type.dtype == .float32 })
    let nibbles = try Tensor(zeros: [3], dtype: .int4)
    var graph = float
    graph.parameters["nibbles"] = Parameter(nibbles, isTrainable: false)
    #expect(graph.parameterSummaries().last?.range == 0...0)
  }

  @Test func activationsHaveScales() throws {
    let sites = quantized.activationSummaries()
    #expect(float.activationSummaries().isEmpty)
    let first = try #require(sites.first)
    #expect(first.maker == "input \(float.inputs[0].name)")
    let range = try #require(first.range)
    // The input goes from −1 to 31/32, and its scale has to cover that.
    #expect(range.lowerBound <= -0.96 && range.upperBound >= 0.96 && range.upperBound < 1.2)
    #expect(sites.count == quantized.nodes.filter { $0.op.kind == .quantizeLinear }.count)
  }

  @Test func dynamicScalesAreFoundWhileTheGraphRuns() throws {
    let sites = try float.quantizeDynamic().graph.activationSummaries()
    #expect(!sites.isEmpty && sites.allSatisfy { $0.quantization == nil && $0.range == nil })
  }

  @Test func layersAreComparedByName() throws {
    var same = LayerComparison(float, float)
    try same.add([float.inputs[0].name: input])
    #expect(same.layers.count == 3)
    #expect(same.layers.allSatisfy { $0.difference.sqnr == .infinity && $0.difference.elements > 0 })

    var layers = LayerComparison(float, quantized)
    #expect(!layers.layers.isEmpty)
    try layers.add([float.inputs[0].name: input])
    let worst = layers.worstFirst
    #expect(worst.map(\.difference.sqnr) == worst.map(\.difference.sqnr).sorted())
    #expect(worst.allSatisfy { $0.difference.sqnr > 15 && $0.difference.sqnr < 80 })
    #expect(octetError { try layers.add(["nope": input]) }?.code == .unknownName)
  }
}
