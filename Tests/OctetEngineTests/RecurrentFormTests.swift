import Foundation
import OctetCore
import OctetEngine
import OctetFormats
import OctetGraph
import OctetQuantization
import TestSupport
import Testing

/// The forms of recurrent layers that PyTorch's modules do not have: the reset gate before its product, and sequences that
/// end before the others do.
@Suite struct RecurrentFormTests {
  struct Form: Sendable, CustomTestStringConvertible {
    let kind: Op.Recurrent.Kind
    var linearBeforeReset = true
    var isProjected = false

    var testDescription: String {
      kind.rawValue + (linearBeforeReset ? "" : ", reset first") + (isProjected ? ", projected" : "")
    }
  }

  static let forms = [
    Form(kind: .lstm), Form(kind: .lstm, isProjected: true), Form(kind: .gru),
    Form(kind: .gru, linearBeforeReset: false),
  ]
  private static let (features, hidden, projected) = (7, 19, 5)

  /// A layer with everything that it can have, for x [t, n, features].
  private static func graph(
    _ form: Form, isReversed: Bool, lengths: DType? = .int32, constants: [String: Tensor] = [:]
  ) throws -> Graph {
    let rows = (form.kind == .lstm ? 4 : 3) * hidden
    let size = form.isProjected ? projected : hidden
    var shapes = ["wi": [rows, features], "ws": [rows, size], "bi": [rows], "bs": [rows]]
    if form.isProjected { shapes["p"] = [projected, hidden] }
    var parameters = constants.mapValues { Parameter($0, isTrainable: false) }
    for (index, (name, shape)) in shapes.sorted(by: { $0.key < $1.key }).enumerated() {
      parameters[name] = Parameter(try Tensor.random(shape, seed: UInt64(index) + 1))
    }
    var inputs = [
      Graph.Input(name: "x", type: TensorType(.float32, [.symbolic("t"), .symbolic("n"), .fixed(features)])),
      Graph.Input(name: "h", type: TensorType(.float32, [.symbolic("n"), .fixed(size)])),
    ]
    if form.kind == .lstm {
      inputs.append(Graph.Input(name: "c", type: TensorType(.float32, [.symbolic("n"), .fixed(hidden)])))
    }
    if let lengths { inputs.append(Graph.Input(name: "l", type: TensorType(lengths, [.symbolic("n")]))) }
    inputs.removeAll { constants[$0.name] != nil }
    let op = Op.Recurrent(form.kind, isReversed: isReversed, linearBeforeReset: form.linearBeforeReset)
    let results = form.kind == .lstm ? ["y", "yh", "yc"] : ["y", "yh"]
    let operands: [String?] = [
      "x", "wi", "ws", "bi", "bs", "h", form.kind == .lstm ? "c" : nil, form.isProjected ? "p" : nil,
      lengths == nil ? nil : "l",
    ]
    return try Graph(
      inputs: inputs, nodes: [Node(name: "layer", op: .recurrent(op), inputs: operands, outputs: results)],
      outputs: results.map { Graph.Output(name: $0, value: $0) }, parameters: parameters)
  }

  private static func inputs(_ form: Form, steps: Int, lengths: [Int]) throws -> [Tensor] {
    let (batch, size) = (lengths.count, form.isProjected ? projected : hidden)
    var inputs = try [Tensor.random([steps, batch, features], seed: 21), Tensor.random([batch, size], seed: 22)]
    if form.kind == .lstm { inputs.append(try Tensor.random([batch, hidden], seed: 23)) }
    inputs.append(try Tensor(lengths.map { Int32($0) }, shape: [batch]))
    return inputs
  }

  // MARK: - What is right

  /// Sequence by sequence and unit by unit, in double precision.
  private static func naive(_ form: Form, isReversed: Bool, _ graph: Graph, _ inputs: [Tensor]) throws -> [[Double]] {
    func numbers(_ tensor: Tensor) throws -> [Double] { try tensor.floats.map { Double($0) } }
    func parameter(_ name: String) throws -> [Double] { try numbers(graph.parameters[name]!.value) }
    let (wi, ws, bi, bs) = try (parameter("wi"), parameter("ws"), parameter("bi"), parameter("bs"))
    let (steps, batch) = (inputs[0].shape[0], inputs[0].shape[1])
    let size = inputs[1].shape[1]
    let (x, start) = try (numbers(inputs[0]), numbers(inputs[1]))
    let startCell = form.kind == .lstm ? try numbers(inputs[2]) : []
    let lengths = try inputs.last!.scalars(as: Int32.self).map { Int($0) }
    func dot(_ weight: [Double], _ row: Int, _ vector: [Double]) -> Double {
      vector.indices.reduce(0) { $0 + weight[row * vector.count + $1] * vector[$1] }
    }
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    var all = [Double](repeating: 0, count: steps * batch * size)
    var (lasts, cells): ([Double], [Double]) = ([], [])
    for sequence in 0..<batch {
      var state = Array(start[sequence * size..<(sequence + 1) * size])
      var cell = form.kind == .lstm ? Array(startCell[sequence * hidden..<(sequence + 1) * hidden]) : []
      let places = Array(0..<lengths[sequence])
      for step in isReversed ? places.reversed() : places {
        let at = (step * batch + sequence) * features
        let vector = Array(x[at..<at + features])
        func fromInput(_ gate: Int, _ unit: Int) -> Double {
          let row = gate * hidden + unit
          return dot(wi, row, vector) + bi[row]
        }
        func fromState(_ gate: Int, _ unit: Int, _ state: [Double]) -> Double {
          let row = gate * hidden + unit
          return dot(ws, row, state) + bs[row]
        }
        func gate(_ index: Int, _ unit: Int) -> Double {
          sigmoid(fromInput(index, unit) + fromState(index, unit, state))
        }
        var units = [Double](repeating: 0, count: hidden)
        switch form.kind {
        case .lstm:
          for unit in 0..<hidden {
            let fresh = tanh(fromInput(2, unit) + fromState(2, unit, state))
            cell[unit] = gate(1, unit) * cell[unit] + gate(0, unit) * fresh
            units[unit] = gate(3, unit) * tanh(cell[unit])
          }
        case .gru:
          let left = (0..<hidden).map { gate(0, $0) * state[$0] }
          for unit in 0..<hidden {
            let inner =
              form.linearBeforeReset ? gate(0, unit) * fromState(2, unit, state) : fromState(2, unit, left)
            let fresh = tanh(fromInput(2, unit) + inner)
            units[unit] = (1 - gate(1, unit)) * fresh + gate(1, unit) * state[unit]
          }
        }
        let projection = form.isProjected ? try parameter("p") : []
        state = form.isProjected ? (0..<projected).map { dot(projection, $0, units) } : units
        all.replaceSubrange((step * batch + sequence) * size..<(step * batch + sequence + 1) * size, with: state)
      }
      lasts += state
      cells += cell
    }
    return form.kind == .lstm ? [all, lasts, cells] : [all, lasts]
  }

  private static let cases: [(steps: Int, lengths: [Int])] = [
    (5, [5, 5, 5]), (5, [3, 0, 5, 1]), (4, [2]), (1, [1, 0]), (0, [0]), (3, [1, 2, 3, 3, 2, 1, 0, 3, 1]),
  ]

  private static func expectSame(
    _ found: [Tensor], _ expected: [Tensor], _ tolerance: Float, _ what: String
  ) throws {
    #expect(found.count == expected.count)
    for (index, (found, expected)) in zip(found, expected).enumerated() {
      #expect(try discrepancy(found, expected, absolute: tolerance, relative: 0) == nil, "\(what), result \(index)")
    }
  }

  // MARK: - Tests

  @Test(arguments: forms, [false, true]) func layersAreRight(_ form: Form, isReversed: Bool) throws {
    let graph = try Self.graph(form, isReversed: isReversed)
    let sessions = try (1...2).map { Session(try Plan(graph), threads: $0) }
    let steps = try sessions[0].stepTimes(Self.inputs(form, steps: 2, lengths: [2]), rounds: 1)
    #expect(steps.map(\.label) == [form.kind.rawValue])
    for test in Self.cases {
      let inputs = try Self.inputs(form, steps: test.steps, lengths: test.lengths)
      let replayed = try graph.replay(inputs)
      let expected = try zip(replayed, Self.naive(form, isReversed: isReversed, graph, inputs)).map {
        try Tensor($1.map { Float($0) }, shape: $0.shape)
      }
      try Self.expectSame(replayed, expected, 1e-5, "replay, \(test)")
      for session in sessions { try Self.expectSame(session.run(inputs), expected, 1e-5, "engine, \(test)") }
      // The same without lengths, where they say nothing.
      if test.lengths.allSatisfy({ $0 == test.steps }) {
        let whole = try Self.graph(form, isReversed: isReversed, lengths: nil)
        try Self.expectSame(whole.replay(inputs.dropLast()), replayed, 0, "without lengths")
      }
    }
  }

  @Test(arguments: forms, [false, true]) func layersRunInIntegers(_ form: Form, isReversed: Bool) throws {
    let float = try Self.graph(form, isReversed: isReversed)
    for granularity in Op.DynamicQuantize.Granularity.allCases {
      let graph = try float.quantizeDynamic(activations: Op.DynamicQuantize(granularity)).graph
      let plan = try Plan(graph)
      #expect(plan.integerNodes == ["layer"])
      for test in Self.cases {
        let inputs = try Self.inputs(form, steps: test.steps, lengths: test.lengths)
        let found = try Session(plan, threads: 1).run(inputs)
        // A rounding that turns out otherwise changes a state by a step at most.
        try Self.expectSame(found, graph.replay(inputs), 0.02, "\(granularity), \(test)")
        try Self.expectSame(found, float.replay(inputs), 0.15, "\(granularity), \(test), float")
        try Self.expectSame(Session(plan, threads: 2).run(inputs), found, 0, "2 threads")
      }
    }
  }

  /// Initial states and lengths of the network itself.
  @Test(arguments: forms) func operandsThatAreConstants(_ form: Form) throws {
    let inputs = try Self.inputs(form, steps: 5, lengths: [3, 0, 5, 1])
    let names = form.kind == .lstm ? ["h", "c", "l"] : ["h", "l"]
    let constants = Dictionary(uniqueKeysWithValues: zip(names, inputs.dropFirst()))
    let open = try Self.graph(form, isReversed: true).quantizeDynamic().graph
    let graph = try Self.graph(form, isReversed: true, constants: constants).quantizeDynamic().graph
    let plan = try Plan(graph)
    #expect(plan.integerNodes == ["layer"])
    try Self.expectSame(Session(plan).run([inputs[0]]), Session(Plan(open)).run(inputs), 0, "constants")
  }

  @Test func lengthsBeyondTheSequenceAreErrors() throws {
    let form = Self.forms[0]
    for dtype in [DType.int32, .int64] {
      let graph = try Self.graph(form, isReversed: false, lengths: dtype)
      let session = Session(try Plan(graph))
      for wrong in [-1, 6] {
        var inputs = try Self.inputs(form, steps: 5, lengths: [1, 2])
        inputs[3] =
          try dtype == .int32
          ? Tensor([Int32(2), Int32(wrong)], shape: [2]) : Tensor([Int64(2), Int64(wrong)], shape: [2])
        for error in [octetError { try graph.replay(inputs) }, octetError { try session.run(inputs) }] {
          #expect(
            error?.code == .invalidArgument && error?.found == "\(wrong)" && error?.expected == "numbers in 0...5")
          #expect(error?.subject.contains("lengths") == true && error?.subject.contains("layer") == true)
        }
      }
    }
    #expect(octetError { try Self.graph(form, isReversed: false, lengths: .float32) }?.code == .dtypeMismatch)
  }

  /// Gradients of all results, each times a seed, against central differences.
  @Test(arguments: forms, [false, true]) func gradientsAreRight(_ form: Form, isReversed: Bool) throws {
    let graph = try Self.graph(form, isReversed: isReversed)
    let node = graph.nodes[0]
    let inputs = try Self.inputs(form, steps: 4, lengths: [4, 2, 0])
    var values = Dictionary(uniqueKeysWithValues: zip(graph.inputs.map(\.name), inputs))
    for (name, parameter) in graph.parameters { values[name] = parameter.value }
    let names = node.inputs.compactMap { $0 }.filter { $0 != "l" }
    func loss(_ operands: [Tensor]) throws -> Tensor {
      let given = Dictionary(uniqueKeysWithValues: zip(names, operands))
      let results = try apply(node.op, node.inputs.map { name in name.flatMap { given[$0] ?? values[$0] } })
      let parts = try results.enumerated().map { index, result in
        try (result * Tensor.random(result.shape, seed: UInt64(index) + 31)).sum(Array(0..<result.rank))
      }
      return try parts.dropFirst().reduce(parts[0]) { try $0 + $1 }
    }
    let point = names.map { values[$0]! }
    let gradients = try valueAndGradients(at: point, loss).gradients
    for (operand, gradient) in gradients.enumerated() {
      let found = try gradient.floats
      for place in Swift.stride(from: 0, to: found.count, by: max(1, found.count / 5)) {
        func shifted(_ by: Float) throws -> Float {
          var operands = point
          try operands[operand].withUnsafeMutableScalars(as: Float.self) { $0[place] += by }
          return try loss(operands).item(as: Float.self)
        }
        let expected = try (shifted(0.01) - shifted(-0.01)) / 0.02
        #expect(abs(found[place] - expected) <= 0.004 + 0.01 * abs(expected), "\(names[operand]) \(place)")
      }
    }
  }

  /// A graph keeps the form in a file; one of before has PyTorch's.
  @Test func formsAreSaved() throws {
    let graph = try Self.graph(Self.forms[3], isReversed: false)
    try inTemporaryFile { path in
      try graph.save(to: path)
      guard case .recurrent(let op) = try Graph(contentsOf: path).nodes[0].op else { throw CancellationError() }
      #expect(op == Op.Recurrent(.gru, linearBeforeReset: false))
    }
    let old = Data(#"{"kind": "gru", "isReversed": true}"#.utf8)
    #expect(try JSONDecoder().decode(Op.Recurrent.self, from: old) == Op.Recurrent(.gru, isReversed: true))
  }
}
