public import OctetCore
public import OctetGraph

extension Graph {
  /// Quantizes weights now and activations while the network runs: no calibration.
  ///
  /// Linear layers and recurrent ones multiply integers: their weights are stored as int8, what they are multiplied
  /// with is quantized by its own range (ONNX's DynamicQuantizeLinear). Of convolutions and embeddings only the weights are
  /// quantized: they take less room in a file, and compute in float.
  ///
  /// - Parameters:
  ///   - kinds: which operations: `linear`, `lstm`, `gru`; `conv`, `convTranspose`, `gather` (embeddings).
  ///   - weight: the observer of weights, whose first axis is the output channels.
  ///   - activations: per tensor, as ONNX and PyTorch; or per row.
  ///   - exceptions: patterns for layers that stay as they are, as in ``QConfigMap``.
  /// - Returns: the graph, and a report that accounts for every node.
  /// - Throws: `OctetError`: `unsupported` for another kind, `unknownName` for a pattern that matches nothing,
  ///   `notANumber` for a weight with a NaN.
  public func quantizeDynamic(
    _ kinds: Set<Op.Kind> = [.linear, .lstm, .gru],
    weight: any Observer = PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric),
    activations: Op.DynamicQuantize = Op.DynamicQuantize(), except exceptions: [String] = []
  ) throws -> (graph: Graph, report: ConversionReport) {
    if hasDropout {
      return try removingDropout().quantizeDynamic(kinds, weight: weight, activations: activations, except: exceptions)
    }
    let possible: [Op.Kind] = [.linear, .lstm, .gru, .conv, .convTranspose, .gather]
    if let kind = kinds.filter({ !possible.contains($0) }).map(\.rawValue).min() {
      throw OctetError(
        .unsupported, "quantizeDynamic", expected: "only \(possible.map(\.rawValue).joined(separator: ", "))",
        found: kind)
    }
    var map = QConfigMap(QConfig(activation: nil, weight: weight))
    for pattern in exceptions { map[pattern] = .float }
    try map.check(against: self)
    var pass = DynamicPass(graph: self, kinds: kinds, weight: weight, activations: activations)
    for node in nodes { try pass.add(node, isExcepted: map.config(for: node).weight == nil) }
    let result = try Graph(inputs: inputs, nodes: pass.nodes, outputs: outputs, parameters: pass.weights.parameters)
      .removingDeadNodes()
    return (result, ConversionReport(entries: pass.entries, boundaries: pass.boundaries))
  }
}

/// One walk over a graph that quantizes what it can.
private struct DynamicPass {
  let graph: Graph
  let kinds: Set<Op.Kind>
  let weight: any Observer
  let activations: Op.DynamicQuantize
  var nodes: [Node] = []
  var weights: QuantizedWeights
  var entries: [ConversionReport.Entry] = []
  /// The values that are quantized, in order.
  private var quantized: [String] = []
  /// The twin of a value that has been quantized dynamically.
  private var twins: [String: String] = [:]

  init(graph: Graph, kinds: Set<Op.Kind>, weight: any Observer, activations: Op.DynamicQuantize) {
    self.graph = graph
    self.kinds = kinds
    self.weight = weight
    self.activations = activations
    weights = QuantizedWeights(of: graph)
  }

  mutating func add(_ node: Node, isExcepted: Bool) throws {
    var node = node
    let reason = isExcepted ? "it is excepted" : try quantize(&node)
    nodes.append(node)
    entries.append(
      ConversionReport.Entry(node: node.name, kind: node.op.kind, modules: node.modules, reason: reason))
  }

  /// Quantizes the operands of a node, or says why not.
  private mutating func quantize(_ node: inout Node) throws -> String? {
    guard kinds.contains(node.op.kind) else { return "\(node.op.kind.rawValue) is not among what is quantized" }
    typealias Place = Op.Recurrent.Place
    // Where the weights stand, and which of their axes has a scale for each index.
    let places: [(operand: Int, axis: Int)] =
      if case .recurrent = node.op {
        [Place.weightInput, Place.weightState, Place.projection]
          .filter { $0 < node.inputs.count && node.inputs[$0] != nil }.map { ($0, 0) }
      } else {
        node.weightPlace.map { [$0] } ?? []
      }
    var quantizations: [QuantizationParameters] = []
    for place in places {
      let name = node.inputs[place.operand]!
      guard let value = graph.parameters[name]?.value else { return "its weight is computed" }
      guard value.dtype == .float32 else { return "its table is not float" }
      let (quantization, obstacle) = try naming(name) { try weight.weightParameters(for: value, axis: place.axis) }
      if let obstacle { return obstacle }
      quantizations.append(quantization)
    }
    if node.op.kind != .gather, let x = node.inputs[0], graph.parameters[x] != nil {
      return "its operand \(x) is a constant"
    }
    for (place, quantization) in zip(places, quantizations) {
      node.inputs[place.operand] = try weights.dequantized(
        node.inputs[place.operand]!, quantization, modules: node.modules, in: &nodes)
    }
    switch node.op {
    case .linear: node.inputs[0] = dynamic(node.inputs[0]!, modules: node.modules)
    case .recurrent(var payload):
      payload.activations = activations
      node.op = .recurrent(payload)
    default: break
    }
    return nil
  }

  /// The value as it is after quantizing and dequantizing, once for all who read it.
  private mutating func dynamic(_ value: String, modules: [String]) -> String {
    if let twin = twins[value] { return twin }
    let twin = graph.unusedName("\(value).dynamic")
    nodes.append(
      Node(name: twin, op: .dynamicQuantize(activations), inputs: [value], outputs: [twin], modules: modules))
    quantized.append(value)
    twins[value] = twin
    return twin
  }

  /// Where activations are quantized.
  var boundaries: [ConversionReport.Boundary] {
    let (producers, consumers) = (graph.producers, graph.consumers)
    return quantized.map { value in
      ConversionReport.Boundary(
        value: value, direction: .quantize, from: producers[value].map { graph.nodes[$0].name } ?? "input \(value)",
        to: (consumers[value] ?? []).filter { entries[$0].isQuantized }.map { graph.nodes[$0].name })
    }
  }
}
