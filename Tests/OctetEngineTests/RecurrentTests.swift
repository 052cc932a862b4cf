import OctetCore
import OctetEngine
import OctetFormats
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// LSTM and GRU, and what is quantized while it runs, against PyTorch and against the interpreter.
@Suite struct RecurrentTests {
  static let cases = (try? VectorCase.load("recurrent")) ?? []
  static let layers = cases.filter { ["lstm", "gru"].contains(try? $0.string("kind")) }

  // MARK: - PyTorch

  @Test func vectorsAreThere() {
    #expect(Self.layers.count == 6)
    #expect(Self.layers.filter { $0.tensors["dynamic_y"] != nil }.count == 4)
  }

  @Test(arguments: layers)
  func layersComputeWhatPyTorchComputes(_ test: VectorCase) throws {
    let (module, inputs) = try Self.module(test)
    for results in [
      try module(inputs.map(Optional.init)), try Session(Plan(Self.graph(module, inputs)), threads: 2).run(inputs),
    ] {
      for (result, name) in zip(results, ["y", "h", "c"]) {
        #expect(try discrepancy(result, test.tensor(name), absolute: 2e-6) == nil, "\(name)")
      }
    }
  }

  /// PyTorch's weights and its range of activations, 0…127: results differ by less than one step of the state.
  @Test(arguments: layers.filter { $0.tensors["dynamic_y"] != nil })
  func dynamicLayersComputeWhatPyTorchComputes(_ test: VectorCase) throws {
    let (module, inputs) = try Self.module(test)
    let graph = try Self.graph(module, inputs)
      .quantizeDynamic([.lstm, .gru], activations: Op.DynamicQuantize(reduceRange: true)).graph
    var comparisons = 0
    for results in [try graph.replay(inputs), try Session(Plan(graph), threads: 1).run(inputs)] {
      for (result, name) in zip(results, ["y", "h", "c"]) {
        let expected = try test.tensor("dynamic_\(name)").floats
        let step = (expected.max()! - expected.min()!) / 127
        let found = try result.floats
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= step }, "\(name)")
        // Not only within a step: nearly all are the same, and none is the float result.
        #expect(zip(found, expected).count { abs($0 - $1) > step / 100 } <= expected.count / 20, "\(name)")
        #expect(try discrepancy(result, test.tensor(name), absolute: 1e-5) != nil)
        comparisons += expected.count
      }
    }
    #expect(
      comparisons == 2 * (try ["y", "h", "c"].reduce(0) { try $0 + (test.tensors["dynamic_\($1)"]?.count ?? 0) }))
  }

  @Test func cellsComputeWhatPyTorchComputes() throws {
    for test in Self.cases where try test.string("kind").hasSuffix("_cell") {
      let (inputs, hidden) = (try test.int("input_size"), try test.int("hidden_size"))
      let isLSTM = try test.string("kind") == "lstm_cell"
      let bias = try test.bool("bias")
      let cell: RecurrentCell = isLSTM ? LSTMCell(inputs, hidden, bias: bias) : GRUCell(inputs, hidden, bias: bias)
      try cell.load(test.tensors(below: "state/"))
      let operands = try ["x", "h0"].map { try test.tensor($0) } + (isLSTM ? [test.tensor("c0")] : [])
      for (result, name) in zip(try cell(operands.map(Optional.init)), ["h", "c"]) {
        #expect(try discrepancy(result, test.tensor(name), absolute: 1e-6) == nil, "\(test) \(name)")
      }
    }
  }

  @Test func dynamicLinearComputesWhatPyTorchComputes() throws {
    let test = try #require(Self.cases.first { $0.name == "linear" })
    let (x, expected) = (try test.tensor("x"), try test.tensor("dynamic_y"))
    let layer = Linear(24, 9)
    try layer.load(test.tensors(below: "state/"))
    let graph = try Self.graph(layer, [x]).quantizeDynamic(activations: Op.DynamicQuantize(reduceRange: true)).graph
    for result in [try graph.replay([x])[0], try Session(Plan(graph), threads: 1)(x)] {
      #expect(try discrepancy(result, expected, absolute: 1e-5) == nil)
    }
    #expect(try discrepancy(test.tensor("y"), expected, absolute: 1e-3) != nil)
  }

  // MARK: - The interpreter

  struct Shape: CustomStringConvertible {
    let rows, inputs, outputs: Int
    var description: String { "\(rows) × \(inputs) → \(outputs)" }
  }

  @Test(
    arguments: [
      Shape(rows: 1, inputs: 1, outputs: 1), Shape(rows: 1, inputs: 300, outputs: 70),
      Shape(rows: 5, inputs: 33, outputs: 17), Shape(rows: 130, inputs: 129, outputs: 65),
      Shape(rows: 0, inputs: 4, outputs: 4),
    ], Op.DynamicQuantize.Granularity.allCases)
  func dynamicLinearRunsInIntegers(_ shape: Shape, _ granularity: Op.DynamicQuantize.Granularity) throws {
    for (reduceRange, hasReLU) in [(false, true), (true, false)] {
      let layers = Sequential(
        hasReLU ? [Linear(shape.inputs, shape.outputs), ReLU()] : [Linear(shape.inputs, shape.outputs)])
      try layers.initialize(seed: 3)
      let activations = Op.DynamicQuantize(granularity, reduceRange: reduceRange)
      let graph = try layers.trace(TensorType(.float32, [.symbolic("n"), .fixed(shape.inputs)])).fused()
        .quantizeDynamic(activations: activations).graph
      let plan = try Plan(graph)
      #expect(plan.integerNodes == graph.nodes.filter { $0.op.kind == .linear }.map(\.name))
      let x = try Tensor.random([shape.rows, shape.inputs], seed: 9)
      let expected = try graph.replay([x])[0]
      let found = try Session(plan, threads: 1)(x)
      #expect(try discrepancy(found, expected, absolute: 2e-6, relative: 1e-5) == nil)
      for threads in 2...3 {
        #expect(try discrepancy(Session(plan, threads: threads)(x), found, absolute: 0, relative: 0) == nil)
      }
    }
  }

  /// Rows that are quantized on their own do not depend on the batch.
  @Test func rowsDoNotDependOnTheBatch() throws {
    let layer = Linear(40, 24)
    let x = try Tensor.random([6, 40], seed: 4)
    let graph = try layer.trace(TensorType(.float32, [.symbolic("n"), 40]))
      .quantizeDynamic(activations: Op.DynamicQuantize(.row)).graph
    let session = Session(try Plan(graph), threads: 1)
    let whole = try session(x)
    for row in 0..<6 {
      #expect(try discrepancy(session(x[row..<row + 1]), whole[row..<row + 1], absolute: 0, relative: 0) == nil)
    }
  }

  /// Large enough for several threads to share the observing of one tensor.
  @Test func extremesOfAllPartsCount() throws {
    let layer = Linear(64, 8)
    var x = try Tensor.random([1000, 64], seed: 4)
    try x.withUnsafeMutableScalars(as: Float.self) { $0[63_999] = 50 }
    let graph = try Self.graph(layer, [x]).quantizeDynamic().graph
    let expected = try graph.replay([x])[0]
    for threads in 1...4 {
      #expect(try discrepancy(Session(Plan(graph), threads: threads)(x), expected, absolute: 1e-5) == nil)
    }
  }

  @Test(arguments: [true, false], [1, 2, 9])
  func recurrentLayersRunInIntegers(_ isLSTM: Bool, batch: Int) throws {
    for (granularity, steps) in [(Op.DynamicQuantize.Granularity.tensor, 6), (.row, 3), (.tensor, 1), (.row, 0)] {
      let module: RecurrentModule =
        isLSTM
        ? LSTM(20, 70, numLayers: 2, bidirectional: true, projSize: steps == 3 ? 11 : 0)
        : GRU(20, 70, numLayers: 2, bidirectional: true)
      try module.initialize(seed: 8)
      let type = TensorType(.float32, [.fixed(steps), .symbolic("n"), 20])
      let float = try Composite(module).trace(type)
      let (graph, report) = try float.quantizeDynamic(activations: Op.DynamicQuantize(granularity))
      let plan = try Plan(graph)
      #expect(report.quantized.count == 4 && plan.integerNodes.count == 4)
      let x = try Tensor.random([steps, batch, 20], seed: 2)
      let found = try Session(plan, threads: 1).run([x])
      for ((result, expected), real) in zip(zip(found, try graph.replay([x])), try float.replay([x])) {
        // A rounding that turns out otherwise changes a state by a step at most, which is 1/127 or less.
        #expect(try discrepancy(result, expected, absolute: 0.008) == nil)
        #expect(try discrepancy(result, real, absolute: 0.05) == nil)
      }
      for threads in 2...3 {
        let session = Session(plan, threads: threads)
        for _ in 0..<2 {
          for (again, result) in zip(try session.run([x]), found) {
            #expect(try discrepancy(again, result, absolute: 0, relative: 0) == nil, "\(threads) threads")
          }
        }
      }
    }
  }

  @Test func floatRecurrentPlansComputeWhatTheGraphSays() throws {
    let graph = try Composite(LSTM(12, 9, numLayers: 2, bidirectional: true, projSize: 4))
      .trace(TensorType(.float32, [.symbolic("t"), .symbolic("n"), 12]))
    let session = Session(try Plan(graph), threads: 2)
    for (steps, batch) in [(1, 1), (5, 3), (2, 17), (0, 2), (3, 0)] {
      let x = try Tensor.random([steps, batch, 12], seed: 5)
      for (found, expected) in zip(try session.run([x]), try graph.replay([x])) {
        #expect(try discrepancy(found, expected, absolute: 2e-6) == nil, "\(steps) steps of \(batch)")
      }
    }
  }

  // MARK: - Size and errors

  /// A row of 64 + 64 weights has two scales and two biases of 4 bytes, so that 144 bytes stand for 520: more than 0.27,
  /// which wider rows keep.
  @Test(arguments: [true, false], [[64, 64], [300, 64], [128, 128], [512, 512]])
  func weightsAreStoredAsIntegers(_ isLSTM: Bool, inputsAndUnits sizes: [Int]) throws {
    let (inputs, units) = (sizes[0], sizes[1])
    let module: Module = isLSTM ? LSTM(inputs, units) : GRU(inputs, units)
    let graph = try Composite(module).trace(TensorType(.float32, [.symbolic("t"), 1, .fixed(inputs)]))
    let dynamic = try graph.quantizeDynamic().graph
    func size(_ graph: Graph) throws -> Int {
      try inTemporaryFile { path in
        try graph.save(to: path)
        return try fileSize(path)
      }
    }
    let ratio = Double(try size(dynamic)) / Double(try size(graph))
    #expect(ratio <= (inputs + units == 128 ? 0.3 : 0.27), "\(ratio)")
    try inTemporaryFile { path in
      try dynamic.save(to: path)
      let x = try Tensor.random([3, 1, inputs], seed: 1)
      for (a, b) in zip(try Session(Plan(Graph(contentsOf: path))).run([x]), try Session(Plan(dynamic)).run([x])) {
        #expect(try discrepancy(a, b, absolute: 0, relative: 0) == nil)
      }
    }
  }

  @Test func wrongStatesAreErrors() throws {
    let layers = LSTM(4, 3, numLayers: 2)
    let x = try Tensor(zeros: [5, 2, 4])
    let wrongLayers = octetError { try layers([x, Tensor(zeros: [1, 2, 3])]) }
    #expect(wrongLayers?.code == .shapeMismatch && wrongLayers?.subject == "h0")
    let wrongBatch = octetError { try layers([x, Tensor(zeros: [2, 5, 3])]) }
    #expect(wrongBatch?.code == .shapeMismatch && wrongBatch?.subject.contains("state") == true)
    let wrongCell = octetError { try layers([x, nil, Tensor(zeros: [2, 2, 4])]) }
    #expect(wrongCell?.code == .shapeMismatch && wrongCell?.subject.contains("cell") == true)
    #expect(octetError { try layers(Tensor(zeros: [5, 4])) }?.code == .shapeMismatch)
    #expect(octetError { try layers(Tensor(zeros: [5, 2, 3])) }?.code == .shapeMismatch)
    #expect(octetError { try GRU(4, 3)([x, nil, nil]) }?.code == .invalidArgument)
  }

  @Test func whatCannotBeDynamicIsAnError() throws {
    let graph = try Sequential([Linear(4, 3), ReLU()]).trace(TensorType(.float32, [.symbolic("n"), 4]))
    let kind = octetError { try graph.quantizeDynamic([.linear, .maxPool]) }
    #expect(kind?.code == .unsupported && kind?.found == "maxPool")
    #expect(octetError { try graph.quantizeDynamic(except: ["head"]) }?.code == .unknownName)
    let (same, report) = try graph.quantizeDynamic(except: ["0"])
    #expect(report.quantized.isEmpty && report.entries.count == graph.nodes.count)
    #expect(same.nodes.count == graph.nodes.count)
  }

  /// A weight that one pass has quantized for one layer, and another quantizes for a second one.
  @Test func passesFollowOneAnother() throws {
    final class Shared: Module {
      let layer = Linear(6, 6)
      override func forward(_ x: Tensor) throws -> Tensor { try layer(relu(layer(x))) }
    }
    let module = Shared()
    try module.initialize(seed: 2)
    let graph = try module.trace(TensorType(.float32, [.symbolic("n"), 6]))
    let names = graph.nodes.filter { $0.op.kind == .linear }.map(\.name)
    #expect(names.count == 2)
    let half = try graph.quantizeDynamic(except: [names[0]]).graph
    let coarse = PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric, quantMin: -7, quantMax: 7)
    let both = try half.quantizeDynamic(weight: coarse, except: [names[1]]).graph
    let plan = try Plan(both)
    #expect(plan.integerNodes == names)
    let x = try Tensor.random([4, 6], seed: 3)
    #expect(try discrepancy(Session(plan)(x), both.replay([x])[0], absolute: 1e-5) == nil)
    #expect(try discrepancy(Session(plan)(x), graph.replay([x])[0], absolute: 0.2) == nil)
  }

  // MARK: - Building

  /// A module with all results of the one inside it.
  private final class Composite: Module {
    let inner: Module
    init(_ inner: Module) { self.inner = inner }
    override func forward(_ inputs: [Tensor?]) throws -> [Tensor] { try inner(inputs) }
  }

  private static func module(_ test: VectorCase) throws -> (module: Module, inputs: [Tensor]) {
    let (inputs, hidden, layers) = (try test.int("input_size"), try test.int("hidden_size"), try test.int("num_layers"))
    let (bias, batchFirst) = (try test.bool("bias"), try test.bool("batch_first"))
    let bidirectional = try test.bool("bidirectional")
    let module: Module =
      try test.string("kind") == "lstm"
      ? LSTM(
        inputs, hidden, numLayers: layers, bias: bias, batchFirst: batchFirst, bidirectional: bidirectional,
        projSize: test.int("proj_size"))
      : GRU(inputs, hidden, numLayers: layers, bias: bias, batchFirst: batchFirst, bidirectional: bidirectional)
    try module.load(test.tensors(below: "state/"))
    return (module, ["x", "h0", "c0"].compactMap { test.tensors[$0] })
  }

  private static func graph(_ module: Module, _ inputs: [Tensor]) throws -> Graph {
    let tracer = GraphTracer(
      inputs: inputs.enumerated().map { Graph.Input(name: "x_\($0)", type: $1.type) },
      parameters: Dictionary(module.namedParameters.map { ($0.name, $0.parameter) }) { first, _ in first },
      modulePaths: Dictionary(module.namedModules.map { (ObjectIdentifier($0.module), $0.path) }) { first, _ in first })
    return try tracer.trace(outputNames: nil) { try module($0.map(Optional.init)) }
  }
}
