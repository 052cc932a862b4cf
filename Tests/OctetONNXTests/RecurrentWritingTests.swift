import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import OctetQuantization
import TestSupport
import Testing

/// Recurrent layers that are written and read again.
@Suite struct RecurrentWritingTests {
  @Test(arguments: [Op.Recurrent.Kind.lstm, .gru], [false, true])
  func recurrentLayers(_ kind: Op.Recurrent.Kind, isReversed: Bool) throws {
    let gates = kind == .lstm ? 4 : 3
    let names: [String] = ["wi", "ws", "bi", "bs"] + (kind == .lstm ? ["", "cell"] : ["state"])
    var parameters = try [
      "wi": random([gates * 5, 3], seed: 1), "ws": random([gates * 5, 5], seed: 2), "bi": random([gates * 5], seed: 3),
      "bs": random([gates * 5], seed: 4),
    ]
    parameters[kind == .lstm ? "cell" : "state"] = try random([2, 5], seed: 5)
    let graph = try chain(
      [(.recurrent(Op.Recurrent(kind, isReversed: isReversed)), names)], [.symbolic("t"), 2, 3], parameters,
      results: [kind == .lstm ? 3 : 2])
    let x = try random([4, 2, 3], seed: 6)
    let written = try reread(graph)
    try expectSame(written.replay([x]), graph.replay([x]))
    #expect(written.nodes.filter { $0.op.kind == (kind == .lstm ? .lstm : .gru) }.count == 1)
    // Integer weights, and float arithmetic.
    let weights = try graph.quantizeDynamic().graph
    let float = try withActivations(nil, weights)
    for form in [float, try reread(float)] {
      try expectSame(reread(form).replay([x]), float.replay([x]))
      #expect(form.parameters.values.filter { $0.value.dtype == .int8 }.count == 2)
    }
    #expect(!String(decoding: try float.onnxBytes(), as: UTF8.self).contains("octet.dynamic"))
  }

  private func withActivations(_ activations: Op.DynamicQuantize?, _ graph: Graph) throws -> Graph {
    try graph.rewriting { node in
      guard case .recurrent(var op) = node.op else { return [node] }
      var node = node
      op.activations = activations
      node.op = .recurrent(op)
      return [node]
    }
  }

  static let dynamicForms = Op.DynamicQuantize.Granularity.allCases.flatMap { granularity in
    [false, true].map { Op.DynamicQuantize(granularity, reduceRange: $0) }
  }

  /// What quantizes its operands while it runs does so from a file too, by integers: with ONNX Runtime's operator where
  /// there is one, else by an entry of the node.
  @Test(arguments: [Op.Recurrent.Kind.lstm, .gru], dynamicForms)
  func dynamicRecurrentLayers(_ kind: Op.Recurrent.Kind, _ activations: Op.DynamicQuantize) throws {
    for (isReversed, isPerTensor) in [(false, false), (true, false), (false, true)] {
      let rows = (kind == .lstm ? 4 : 3) * 5
      let float = try chain(
        [(.recurrent(Op.Recurrent(kind, isReversed: isReversed)), ["wi", "ws", "bi", "bs"])],
        [.symbolic("t"), .symbolic("n"), 3],
        [
          "wi": random([rows, 3], seed: 1), "ws": random([rows, 5], seed: 2), "bi": random([rows], seed: 3),
          "bs": random([rows], seed: 4),
        ], results: [kind == .lstm ? 3 : 2])
      let channels = PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric)
      let graph = try float.quantizeDynamic(
        weight: isPerTensor ? MinMaxObserver(dtype: .int8, scheme: .symmetric) : channels, activations: activations
      ).graph
      let bytes = try graph.onnxBytes()
      let model = try ONNXModel(bytes: bytes)
      let isOperator = kind == .lstm && activations == Op.DynamicQuantize()
      #expect(String(decoding: bytes, as: UTF8.self).contains("DynamicQuantizeLSTM") == isOperator)
      #expect(model.metadata.irVersion == (isOperator ? 8 : 10))
      #expect(model.metadata.opsets == (isOperator ? ["": 17, "com.microsoft": 1] : ["": 17]))
      #expect(model.metadata.properties["octet.dynamic"]?.hasPrefix("1 \(kind.rawValue) uint8 per ") == true)
      for read in [model.graph, try reread(model.graph)] {
        let layers = read.nodes.filter { $0.op.kind == (kind == .lstm ? .lstm : .gru) }
        let payloads = layers.compactMap { if case .recurrent(let payload) = $0.op { payload } else { nil } }
        #expect(payloads == [Op.Recurrent(kind, isReversed: isReversed, activations: activations)])
        #expect(read.parameters.values.filter { $0.value.dtype == .int8 }.count == 2)
        for batch in [1, 2] {
          let x = try random([4, batch, 3], seed: 6)
          try expectSame(read.replay([x]), graph.replay([x]))
          let plan = try Plan(read)
          #expect(plan.integerNodes == layers.map(\.name))
          try expectSame(Session(plan).run([x]), Session(Plan(graph)).run([x]))
        }
      }
    }
  }

  /// The reset gate before its product, and how long each sequence is, in both types of integers.
  @Test(arguments: [Op.Recurrent.Kind.lstm, .gru], [DType.int32, .int64])
  func formsOfRecurrentLayers(_ kind: Op.Recurrent.Kind, _ dtype: DType) throws {
    let rows = (kind == .lstm ? 4 : 3) * 5
    let results = kind == .lstm ? ["y", "yh", "yc"] : ["y", "yh"]
    let op = Op.Recurrent(kind, isReversed: true, linearBeforeReset: kind == .lstm)
    let layer = Node(
      name: "layer", op: .recurrent(op), inputs: ["x", "wi", "ws", nil, nil, nil, nil, nil, "l"], outputs: results)
    let float = try Graph(
      inputs: [
        Graph.Input(name: "x", type: TensorType(.float32, [.symbolic("t"), .symbolic("n"), 3])),
        Graph.Input(name: "l", type: TensorType(dtype, [.symbolic("n")])),
      ], nodes: [layer], outputs: results.map { Graph.Output(name: $0, value: $0) },
      parameters: [
        "wi": Parameter(random([rows, 3], seed: 1)), "ws": Parameter(random([rows, 5], seed: 2)),
      ])
    let lengths = try dtype == .int32 ? Tensor([Int32(2), 4], shape: [2]) : Tensor([Int64(2), 4], shape: [2])
    let inputs = [try random([4, 2, 3], seed: 3), lengths]
    for graph in [float, try float.quantizeDynamic().graph] {
      let read = try reread(graph)
      try expectSame(read.replay(inputs), graph.replay(inputs))
      try expectSame(Session(Plan(read)).run(inputs), Session(Plan(graph)).run(inputs))
      #expect(read.inputs == graph.inputs)
    }
  }

  /// An entry that says something else means nothing: the layer computes in float.
  @Test func entriesOfOthers() throws {
    let float = try chain(
      [(.recurrent(Op.Recurrent(.gru)), ["wi", "ws"])], [.symbolic("t"), 1, 3],
      ["wi": random([15, 3], seed: 1), "ws": random([15, 5], seed: 2)], results: [2])
    let graph = try float.quantizeDynamic().graph
    let (entry, other) = ("octet.dynamic\u{12}\u{10}uint8 per tensor", "octet.dynamic\u{12}\u{10}uint8 per planet")
    let text = String(decoding: try graph.onnxBytes(), as: Unicode.ASCII.self)
    #expect(text.contains(entry))
    var bytes = try graph.onnxBytes()
    let place = try #require(bytes.firstRange(of: Array(entry.utf8)))
    bytes.replaceSubrange(place, with: Array(other.utf8))
    let x = try random([4, 1, 3], seed: 6)
    try expectSame(ONNXModel(bytes: bytes).graph.replay([x]), withActivations(nil, graph).replay([x]))
  }
}
