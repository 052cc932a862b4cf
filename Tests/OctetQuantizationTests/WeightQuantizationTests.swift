import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// Weights rounded to nearest: against a naive computation, and what the report says.
@Suite struct WeightQuantizationTests {
  /// One linear layer [n, k] named `linear`, without a bias.
  private func layer(_ n: Int, _ k: Int, seed: UInt64) throws -> Graph {
    try Linear.graph(weight: Tensor.random([n, k], seed: seed))
  }

  @Test(
    arguments: [DType.int4, .uint4, .int8, .uint8],
    [nil, 1, 32, 64, 100, 128, 1000, Int.max] as [Int?])
  func roundsToNearest(_ dtype: DType, _ group: Int?) throws {
    for scheme in [QuantizationScheme.Symmetry.symmetric, .affine] {
      let (n, k) = (5, 150)
      let graph = try layer(n, k, seed: 1)
      let weight = try graph.parameters["linear.weight"]!.value.floats
      let (quantized, report) = try graph.quantizeWeights(
        WeightQuantization(dtype: dtype, groupSize: group, scheme: scheme))
      #expect(report.quantized.count == 1 && report.boundaries.isEmpty)
      let (integers, parameters) = try quantized.quantizedWeight("linear.weight")
      #expect(parameters.dtype == dtype && parameters.axis == (group == nil ? 0 : 1))
      #expect(quantized.parameters["linear.weight"] == nil, "the float weight is gone")

      let range = dtype.quantizedRange!
      let size = min(group ?? k, k)
      let groups = (k + size - 1) / size
      #expect(parameters.scales.count == n * groups)
      for row in 0..<n {
        for index in 0..<groups {
          let columns = index * size..<min((index + 1) * size, k)
          let values = columns.map { weight[row * k + $0] }
          let (low, high) = (min(values.min()!, 0), max(values.max()!, 0))
          let steps = Float(range.count - 1)
          let scale = scheme == .affine ? (high - low) / steps : max(-low, high) / (steps / 2)
          let zero =
            scheme == .affine
            ? range.lowerBound - Int((low / scale).rounded(.toNearestOrEven)) : range.lowerBound + range.count / 2
          #expect(parameters.scales[row * groups + index] == scale)
          #expect(parameters.zeroPoints[row * groups + index] == zero)
          for column in columns {
            let step = Int((weight[row * k + column] / scale).rounded(.toNearestOrEven)) + zero
            #expect(integers[row * k + column] == min(max(step, range.lowerBound), range.upperBound))
          }
        }
      }
      // The graph means what its integers say.
      let x = try Tensor.random([3, k], seed: 2)
      let real = try Tensor(
        (0..<n * k).map { i in
          let scale = i / k * groups + i % k / size
          return Float(integers[i] - parameters.zeroPoints[scale]) * parameters.scales[scale]
        }, shape: [n, k])
      #expect(try discrepancy(quantized.replay([x])[0], linear(x, weight: real)) == nil)
    }
  }

  @Test func theReportAccountsForEveryNode() throws {
    final class Net: Module {
      let conv = Conv2d(2, 4, kernelSize: 3)
      let first = Linear(16, 8)
      let second = Linear(8, 8)
      let head = Linear(8, 3)
      override func forward(_ x: Tensor) throws -> Tensor {
        let x = try relu(first(conv(x).flatten(from: 1)))
        return try softmax(head(matmul(second(x), Tensor.random([8, 8], seed: 1))))
      }
    }
    let graph = try Net().trace(TensorType(.float32, [.symbolic("n"), 2, 4, 4]))
    var map = WeightQuantizationMap(WeightQuantization(dtype: .int4, groupSize: 32))
    map["head"] = nil
    map["second"] = .int8
    let (quantized, report) = try graph.quantizeWeights(map)
    #expect(report.entries.map(\.node) == graph.nodes.map(\.name))
    #expect(report.quantized.map(\.modules) == [["first"], ["second"]])
    func reason(_ kind: Op.Kind) -> String? { report.kept.first { $0.kind == kind }?.reason }
    #expect(reason(.conv)?.contains("not for groups") == true)
    #expect(reason(.linear) == "the map leaves it in float")
    #expect(reason(.matmul)?.contains("only the weights of linear") == true)
    #expect(reason(.softmax) == "it has no weight to quantize")
    #expect(try quantized.quantizedWeight("first.weight").parameters.dtype == .int4)
    #expect(try quantized.quantizedWeight("second.weight").parameters.axis == 0)

    // What is left can be quantized in a second pass; the first one's layers are left alone.
    let (whole, second) = try quantized.quantizeWeights(.int8)
    #expect(second.quantized.map(\.modules) == [["conv"], ["head"]])
    #expect(second.kept.count { $0.reason == "its weight is quantized already" } == 2)
    #expect(try whole.quantizedWeight("conv.weight").parameters.scales.count == 4)
    let x = try Tensor.random([2, 2, 4, 4], seed: 3)
    #expect(try discrepancy(whole.replay([x])[0], graph.replay([x])[0], absolute: 0.05, relative: 0) == nil)
  }

  @Test func kindsAndPaths() throws {
    let graph = try Linear.graph(weight: Tensor.random([4, 8], seed: 1))
    var map = WeightQuantizationMap(nil)
    #expect(try graph.quantizeWeights(map).report.quantized.isEmpty)
    map[.linear] = .int8
    #expect(map[.linear] == .int8 && map[.conv] == nil)
    #expect(try graph.quantizeWeights(map).report.quantized.count == 1)
    map["lin*"] = nil
    #expect(try graph.quantizeWeights(map).report.quantized.isEmpty)
    map["linear"] = .int4
    #expect(map["linear"] == .int4 && map["lin*"] == nil)
    #expect(try graph.quantizeWeights(map).report.quantized.count == 1)
    map["lenear"] = .int4
    let error = octetError { try graph.quantizeWeights(map) }
    #expect(error?.code == .unknownName && error?.expected.contains("linear") == true)
  }

  @Test func aSharedWeightIsStoredOnce() throws {
    final class Net: Module {
      let shared = Linear(8, 8)
      override func forward(_ x: Tensor) throws -> Tensor { try shared(relu(shared(x))) }
    }
    let (graph, report) = try Net().trace(TensorType(.float32, [2, 8])).quantizeWeights(.int4)
    #expect(report.quantized.count == 2)
    #expect(graph.nodes.count { $0.op.kind == .dequantizeLinear } == 1)
    #expect(graph.parameters.count == 2, "integers and bias")
  }

  @Test func computedAndEmptyWeightsAndDeadNodesStay() throws {
    let x = Graph.Input(name: "x", type: TensorType(.float32, [2, 4]))
    let w = Graph.Input(name: "w", type: TensorType(.float32, [3, 4]))
    let graph = try Graph(
      inputs: [x, w],
      nodes: [
        Node(name: "computed", op: .linear(Op.Linear()), inputs: ["x", "w"], outputs: ["a"]),
        Node(name: "empty", op: .linear(Op.Linear()), inputs: ["x", "none"], outputs: ["b"]),
        Node(name: "dead", op: .linear(Op.Linear()), inputs: ["x", "some"], outputs: ["c"]),
      ], outputs: [.init(name: "a", value: "a"), .init(name: "b", value: "b")],
      parameters: [
        "none": Parameter(try Tensor(zeros: [0, 4])), "some": Parameter(try Tensor.random([2, 4], seed: 1)),
      ])
    let report = try graph.quantizeWeights(.int4).report
    #expect(report.entries.map(\.reason) == ["its weight is computed", "its weight is empty", "no output needs it"])
  }

  @Test func refusals() throws {
    let graph = try layer(4, 8, seed: 1)
    for dtype in [DType.int16, .uint16, .float32, .int32, .bool] {
      #expect(octetError { try graph.quantizeWeights(WeightQuantization(dtype: dtype)) }?.code == .invalidArgument)
    }
    for group in [0, -1, Int.min] {
      let error = octetError { try graph.quantizeWeights(WeightQuantization(dtype: .int4, groupSize: group)) }
      #expect(error?.code == .invalidArgument && error?.found == "\(group)")
    }
    for value in [Float.nan, .infinity, -.infinity] {
      var weight = try Tensor.random([4, 8], seed: 1)
      try weight.withUnsafeMutableScalars(as: Float.self) { $0[9] = value }
      let broken = try Linear.graph(weight: weight)
      for quantization in [WeightQuantization.int4, .int8] {
        let error = octetError { try broken.quantizeWeights(quantization) }
        #expect(error?.code == .notANumber && error?.subject == "linear.weight")
        #expect(octetError { try broken.prepareGPTQ(quantization) }?.code == .notANumber)
      }
    }
    // Weights too far apart for a float32 scale are an error that names them, not a trap.
    let wide = try Linear.graph(weight: Tensor([-3e38, 3e38] as [Float], shape: [1, 2]))
    #expect(
      octetError { try wide.quantizeWeights(WeightQuantization(dtype: .int8, scheme: .affine)) }?.code == .unsupported)
  }
}

extension Linear {
  /// A graph with one linear layer named `linear`: x [n, inputs].
  static func graph(weight: Tensor) throws -> Graph {
    let type = TensorType(.float32, [.symbolic("n"), .fixed(weight.shape[1])])
    return try Graph(
      inputs: [.init(name: "x", type: type)],
      nodes: [
        Node(
          name: "linear", op: .linear(Op.Linear()), inputs: ["x", "linear.weight"], outputs: ["y"], modules: ["linear"])
      ],
      outputs: [.init(name: "y", value: "y")], parameters: ["linear.weight": Parameter(weight)])
  }
}

extension Graph {
  /// The integers of a quantized weight in row-major order, and their parameters.
  func quantizedWeight(_ name: String) throws -> (integers: [Int], parameters: QuantizationParameters) {
    let node = nodes.first { $0.name == "\(name).dequantize" }
    guard case .dequantizeLinear(let payload)? = node?.op, let stored = parameters["\(name).quantized"]?.value else {
      throw OctetError(.unknownName, name, expected: "a quantized weight", found: "none")
    }
    let integers = stored.withUnsafeBytes { bytes in
      (0..<elementCount(of: stored.shape)).map { loadInteger(at: $0, stored.dtype, from: bytes) }
    }
    return (integers, payload.parameters)
  }
}
