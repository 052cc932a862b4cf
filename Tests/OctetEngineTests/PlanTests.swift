import OctetCore
import OctetEngine
import OctetGraph
import OctetNN
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// Plans against the interpreter.
@Suite struct PlanTests {
  @Test(arguments: Network.all)
  func floatPlansComputeWhatTheGraphSays(_ network: Network) throws {
    let graph = try network.graph()
    let plan = try Plan(graph)
    #expect(plan.integerNodes.isEmpty)
    let session = Session(plan, threads: 1)
    for batch in [1, 2, 7] {
      let x = try network.inputs(batch: batch, seed: UInt64(batch))
      for (found, expected) in zip(try session.run(x), try graph.replay(x)) {
        #expect(try discrepancy(found, expected, absolute: 2e-6, relative: 1e-5) == nil)
      }
    }
  }

  /// Dropout is no step, in float and in what is quantized without fusing.
  @Test func dropoutIsLeftOut() throws {
    func network(_ probability: Float) throws -> Graph {
      let network = Sequential(
        Dropout(probability), Linear(6, 8), ReLU(), Dropout(probability), Linear(8, 4), Dropout(probability))
      try network.initialize(seed: 1)
      return try network.trace(TensorType(.float32, [.symbolic("n"), 6]))
    }
    let (graph, without) = (try network(0.5), try network(0))
    #expect(graph.nodes.count == without.nodes.count + 3)
    let x = try Tensor.random([5, 6], seed: 2)
    func expectSame(_ a: Graph, _ b: Graph, sourceLocation: SourceLocation = #_sourceLocation) throws {
      let (first, second) = (try Plan(a), try Plan(b))
      #expect("\(first.tabular())" == "\(second.tabular())", sourceLocation: sourceLocation)
      #expect(try Session(first)(x).floats == Session(second)(x).floats, sourceLocation: sourceLocation)
    }
    try expectSame(graph, without)
    func quantized(_ graph: Graph) throws -> Graph {
      let prepared = try graph.prepare(QConfigMap(.default))
      try prepared.calibrate([x])
      let (converted, report) = try prepared.convert()
      #expect(report.kept.isEmpty && !report.entries.contains { $0.kind == .dropout })
      return converted
    }
    try expectSame(quantized(graph), quantized(without))
    try expectSame(graph.quantizeDynamic().graph, without.quantizeDynamic().graph)
    try expectSame(
      graph.quantizeWeights(WeightQuantization(dtype: .int8)).graph,
      without.quantizeWeights(WeightQuantization(dtype: .int8)).graph)
    let options = try graph.prepareGPTQ(WeightQuantization(dtype: .int8))
    #expect(options.graph.nodes.count == without.nodes.count)
  }

  /// Before fusing too: other nodes, the same results.
  @Test(arguments: Network.all.filter(\.isFused))
  func nodesThatTheReportCallsQuantizedRunInIntegers(_ network: Network) throws {
    let (graph, report) = try network.converted()
    #expect(try Plan(graph).integerNodes == report.quantized.map(\.node))
  }

  @Test(arguments: Network.all)
  func quantizedPlansComputeWhatTheGraphSays(_ network: Network) throws {
    let graph = try network.converted().graph
    let session = Session(try Plan(graph), threads: 1)
    for batch in [1, 3] {
      let x = try network.inputs(batch: batch, seed: UInt64(batch))
      for (found, expected) in zip(try session.run(x), try graph.replay(x)) {
        #expect(found.type == expected.type)
        // Steps of single operations add up through the layers.
        let (a, b) = (try found.floats, try expected.floats)
        let range = b.max()! - b.min()!
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 0.03 * range })
      }
    }
  }

  @Test(arguments: [
    "plain CNN", "residual", "depthwise", "concat of channels", "attention", "float in the middle", "linear of rank 3",
  ])
  func anyBatchSizeFromOnePlan(_ name: String) throws {
    for threads in 1...3 { try anyBatchSize(Network.named(name), threads: threads) }
  }

  private func anyBatchSize(_ network: Network, threads: Int) throws {
    let plan = try Plan(network.converted().graph)
    let session = Session(plan, threads: threads)
    let all = try network.inputs(batch: 130, seed: 3)
    let whole = try session.run(all)
    // Alternating, so that what one shape leaves behind would show in another; rows in slices are not aligned.
    for range in [0..<1, 0..<130, 5..<7, 9..<9, 3..<10, 0..<130, 129..<130, 5..<7] {
      let part = try session.run(all.map { try $0[range] })
      for (found, expected) in zip(part, whole) {
        #expect(try discrepancy(found, expected[range], absolute: 1e-6, relative: 1e-6) == nil, "rows \(range)")
      }
    }
  }

  @Test(arguments: Network.all)
  func theNumberOfThreadsChangesNothing(_ network: Network) throws {
    let plan = try Plan(network.converted().graph)
    let x = try network.inputs(batch: 9, seed: 5)
    let expected = try Session(plan, threads: 1).run(x)
    for threads in [2, 3] {
      let session = Session(plan, threads: threads)
      for _ in 0..<2 {
        for (found, expected) in zip(try session.run(x), expected) {
          #expect(try discrepancy(found, expected, absolute: 0, relative: 0) == nil, "\(threads) threads")
        }
      }
    }
  }

  /// Values so large that one thread's share is a whole number of vectors, with a few elements left over.
  @Test(arguments: [[1, 16385], [1, 24578], [4, 65539], [3, 5, 91, 67], [2, 129, 1, 131]])
  func everyThreadTakesItsShareAndTheRestIsNotForgotten(_ shape: [Int]) throws {
    let dimensions = shape.map(Dimension.fixed)
    let scale = try QuantizationParameters(scale: 0.01, zeroPoint: 3, dtype: .uint8)
    let axes = Array(shape.indices.reversed())
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, dimensions))],
      nodes: [
        Node(name: "relu", op: .unary(.relu), inputs: ["x"], outputs: ["a"]),
        Node(name: "sum", op: .binary(.add), inputs: ["x", "a"], outputs: ["b"]),
        Node(name: "quantize", op: .quantizeLinear(Op.QuantizeLinear(scale)), inputs: ["b"], outputs: ["q"]),
        Node(name: "dequantize", op: .dequantizeLinear(Op.DequantizeLinear(scale)), inputs: ["q"], outputs: ["c"]),
        Node(name: "transpose", op: .transpose(Op.Transpose(axes)), inputs: ["a"], outputs: ["t"]),
        Node(name: "concat", op: .concat(Op.Concat(axis: -1)), inputs: ["a", "b"], outputs: ["cc"]),
      ], outputs: ["a", "b", "c", "t", "cc"].map { .init(name: $0, value: $0) }, parameters: [:])
    let x = try Tensor.random(shape, seed: 2)
    let expected = try graph.replay([x])
    for threads in 1...4 {
      let found = try Session(try Plan(graph), threads: threads).run([x])
      for (found, expected) in zip(found, expected) {
        #expect(try discrepancy(found, expected, absolute: 1e-6, relative: 1e-6) == nil, "\(threads) threads")
      }
    }
  }

  @Test func aResultMayBeAConstant() throws {
    let weight = try Tensor.random([2, 3], seed: 4)
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n"), 3]))],
      nodes: [
        Node(name: "relu", op: .unary(.relu), inputs: ["w"], outputs: ["r"]),
        Node(name: "linear", op: .linear(Op.Linear()), inputs: ["w", "w"], outputs: ["l"]),
        Node(name: "y", op: .unary(.relu), inputs: ["x"], outputs: ["y"]),
      ], outputs: ["w", "r", "l", "y"].map { .init(name: $0, value: $0) }, parameters: ["w": Parameter(weight)])
    let x = try Tensor.random([2, 3], seed: 5)
    for (found, expected) in zip(try Session(Plan(graph)).run([x]), try graph.replay([x])) {
      #expect(try discrepancy(found, expected, absolute: 1e-6, relative: 1e-6) == nil)
    }
  }

  @Test func aBiasThatIsNotFiniteIsRefused() throws {
    let converted = try Network.named("plain CNN").converted().graph
    let name = try #require(converted.parameters.keys.first { $0.hasSuffix("bias") })
    var damaged = converted
    let count = converted.parameters[name]!.value.shape[0]
    damaged.parameters[name] = Parameter(try Tensor(repeating: Float.nan, shape: [count]))
    let error = try #require(octetError { try Plan(damaged) })
    #expect(error.code == .notANumber && error.subject.contains("bias"))
  }

  @Test func symbolicChannels() throws {
    let n = Dimension.symbolic("n")
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [n, .symbolic("c"), .symbolic("h"), .symbolic("w")]))],
      nodes: [
        Node(name: "relu", op: .unary(.relu), inputs: ["x"], outputs: ["a"]),
        Node(name: "mean", op: .reduce(Op.Reduce(.mean, axes: [2, 3])), inputs: ["a"], outputs: ["b"]),
      ], outputs: [.init(name: "a", value: "a"), .init(name: "b", value: "b")], parameters: [:])
    let session = Session(try Plan(graph))
    for shape in [[2, 3, 4, 5], [1, 7, 1, 1], [2, 1, 3, 3]] {
      let x = try Tensor.random(shape, seed: 1)
      for (found, expected) in zip(try session.run([x]), try graph.replay([x])) {
        #expect(try discrepancy(found, expected) == nil)
      }
    }
  }

  @Test func valuesOfOtherTypesPass() throws {
    let image = TensorType(.int32, [.symbolic("n"), 2, 2, 3])
    let half = try QuantizationParameters(scale: 0.5, zeroPoint: 7, dtype: .uint8)
    let graph = try Graph(
      inputs: [.init(name: "i", type: image), .init(name: "u", type: TensorType(.uint8, [.symbolic("n"), 3, 2, 2]))],
      nodes: [
        Node(name: "concat", op: .concat(Op.Concat(axis: 1)), inputs: ["i", "i"], outputs: ["ii"]),
        Node(name: "transpose", op: .transpose(Op.Transpose([0, 3, 1, 2])), inputs: ["ii"], outputs: ["t"]),
        Node(name: "real", op: .dequantizeLinear(Op.DequantizeLinear(half)), inputs: ["u"], outputs: ["r"]),
        Node(name: "again", op: .quantizeLinear(Op.QuantizeLinear(half)), inputs: ["r"], outputs: ["q"]),
      ],
      outputs: [
        .init(name: "t", value: "t"), .init(name: "r", value: "r"), .init(name: "q", value: "q"),
        .init(name: "u", value: "u"),
      ],
      parameters: [:])
    let x = try [
      Tensor((0..<24).map { Int32($0 * 70_000) }, shape: [2, 2, 2, 3]),
      Tensor((0..<24).map { UInt8($0 * 10) }, shape: [2, 3, 2, 2]),
    ]
    for (found, expected) in zip(try Session(Plan(graph)).run(x), try graph.replay(x)) {
      #expect(try discrepancy(found, expected) == nil)
    }
  }

  @Test func aGraphThatDoesNothing() throws {
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n"), 2]))], nodes: [],
      outputs: [.init(name: "a", value: "x"), .init(name: "b", value: "x")], parameters: [:])
    let x = try Tensor.random([3, 2], seed: 1)
    let session = Session(try Plan(graph))
    let results = try session.run([x])
    #expect(try discrepancy(results[0], x) == nil && discrepancy(results[1], x) == nil)
    #expect(results[0].identity != x.identity && results[0].identity != results[1].identity)
  }

  @Test func theTableOfAPlan() throws {
    let plan = try Plan(Network.named("plain CNN").converted().graph)
    let text = "\(plan.tabular())"
    for part in ["layers.0.conv", "conv + ReLU", "max pool", "linear", "quantize", "uint8 NHWC"] {
      #expect(text.contains(part), "\(text)")
    }
  }
}
