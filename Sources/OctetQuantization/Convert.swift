import OctetCore
public import OctetGraph

extension PreparedGraph {
  /// The graph in QDQ form: every value with a site goes through QuantizeLinear and DequantizeLinear, weights are
  /// stored as integers behind a DequantizeLinear. Nothing here is changed; an engine turns the pairs into integer
  /// operations. Activations of 16 bits (`int16`, `uint16`) are rounded to their steps and computed with in float: the
  /// report says so.
  ///
  /// - Returns: the graph, and a report that accounts for every node.
  /// - Throws: `OctetError`: `notObserved`, naming the site, if one has seen nothing; `unsupported` if one found scales
  ///   by channel, or integers of 4 bits.
  ///
  /// A graph that was prepared for training converts as it is then: weights and values are rounded as they were last, and
  /// batch normalization is folded with the statistics that run.
  public func convert() throws -> (graph: Graph, report: ConversionReport) {
    var parameters: [QuantizationParameters] = []
    for site in sites {
      guard site.observations > 0 else {
        throw OctetError(
          .notObserved, "site \(site.name)", expected: "values seen in calibration", found: "none")
      }
      let calculated = try naming("site \(site.name)") { try site.calculateQParams() }
      guard calculated.isPerTensor else {
        throw OctetError(
          .unsupported, "site \(site.name)", expected: "an activation observer with one scale", found: "\(calculated)")
      }
      guard [.uint8, .int8, .uint16, .int16].contains(calculated.dtype) else {
        throw OctetError(
          .unsupported, "site \(site.name)", expected: "an activation observer for 8 or 16 bits",
          found: "\(calculated)")
      }
      // What has been trained with bounds is run with them.
      parameters.append(trained == nil ? try site.observer.saturatingAtItsType(calculated) : calculated)
    }
    var converter = Converter(source: try trained.map(asTrained) ?? self, siteParameters: parameters)
    return try converter.convert()
  }

  /// The graph with batch normalization folded as it is now, and weights that are rounded as they were last.
  private func asTrained(_ trained: TrainedGraph) throws -> PreparedGraph {
    var assignments = assignments
    var graph = try trained.fused()
    let consumers = graph.consumers
    for (index, node) in graph.nodes.enumerated() {
      guard let fake = trained.weights[node.name] else { continue }
      guard fake.observations > 0 else {
        throw OctetError(
          .notObserved, "weight of \(node.name)",
          expected: "a step of training, or a calibration, before it is converted", found: "none")
      }
      assignments[node.name] = .integer(weight: FixedQParamsObserver(try fake.calculateQParams()))
      // Rounded here: training multiplies by the reciprocal of a scale where `quantize` divides, which is another integer
      // for the largest weight of a symmetric scale, 127.5 steps from 0.
      let place = node.roundedOperand(in: graph)
      let name = node.inputs[place]!
      let rounded = consumers[name] == [index] ? name : graph.unusedName("\(name).rounded")
      graph.parameters[rounded] = Parameter(
        try trained.rounded(graph.parameters[name]!.value, of: node, fake, observing: false).detached)
      graph.nodes[index].inputs[place] = rounded
    }
    return PreparedGraph(graph: try graph.validated(), sites: sites, assignments: assignments)
  }
}

extension Observer {
  /// What it found, with all integers of the type where `reduceRange` alone left some out.
  ///
  /// As in PyTorch, half of the range chooses the scale, and values beyond what the observer chose take integers of the
  /// other half instead of being clipped: the kernels are exact with them. Bounds that are given hold.
  fileprivate func saturatingAtItsType(_ parameters: QuantizationParameters) throws -> QuantizationParameters {
    guard let scheme = (self as? any SummarizingObserver)?.scheme, scheme.reduceRange, scheme.quantMin == nil,
      scheme.quantMax == nil
    else { return parameters }
    return try QuantizationParameters(
      scale: parameters.scales[0], zeroPoint: parameters.zeroPoints[0], dtype: parameters.dtype)
  }
}

private struct Converter {
  let source: PreparedGraph
  let siteParameters: [QuantizationParameters]
  private let producers: [String: Int]
  private var nodes: [Node] = []
  private var weights: QuantizedWeights
  /// The dequantized twin of each value.
  private var dequantized: [String: String] = [:]

  init(source: PreparedGraph, siteParameters: [QuantizationParameters]) {
    self.source = source
    self.siteParameters = siteParameters
    producers = source.graph.producers
    weights = QuantizedWeights(of: source.graph)
  }

  private var graph: Graph { source.graph }

  mutating func convert() throws -> (graph: Graph, report: ConversionReport) {
    for input in graph.inputs { addPair(for: input.name, modules: []) }
    for node in graph.nodes {
      var node = node
      switch source.assignments[node.name]! {
      case .integer(let weightObserver):
        if let weightObserver { try quantizeWeight(of: &node, weightObserver) }
        node.inputs = node.inputs.map { $0.map { dequantized[$0] ?? $0 } }
      case .float:
        // What float nodes make is there in float: no need to read it through a pair.
        node.inputs = node.inputs.map { $0.map { isMadeInFloat($0) ? $0 : dequantized[$0] ?? $0 } }
      }
      nodes.append(node)
      for output in node.outputs { addPair(for: output, modules: node.modules) }
    }
    let outputs = graph.outputs.map { output in
      Graph.Output(
        name: output.name, value: isMadeInFloat(output.value) ? output.value : dequantized[output.value] ?? output.value
      )
    }
    let converted = try Graph(inputs: graph.inputs, nodes: nodes, outputs: outputs, parameters: weights.parameters)
      .removingDeadNodes()
    return (converted, report())
  }

  /// Whether a value is made by the caller or by a node that stays in float.
  private func isMadeInFloat(_ value: String) -> Bool {
    guard let producer = producers[value] else { return true }
    if case .float = source.assignments[graph.nodes[producer].name]! { return true }
    return false
  }

  private mutating func addPair(for value: String, modules: [String]) {
    guard let site = source.sites.index(ofValue: value) else { return }
    let (quantize, dequantize) = ("\(value).quantize", "\(value).dequantize")
    nodes.append(
      Node(
        name: quantize, op: .quantizeLinear(Op.QuantizeLinear(siteParameters[site])), inputs: [value],
        outputs: [quantize],
        modules: modules))
    nodes.append(
      Node(
        name: dequantize, op: .dequantizeLinear(Op.DequantizeLinear(siteParameters[site])), inputs: [quantize],
        outputs: [dequantize], modules: modules))
    dequantized[value] = dequantize
  }

  private mutating func quantizeWeight(of node: inout Node, _ template: any Observer) throws {
    if let operand = node.constantOperand(in: graph) {
      let name = node.inputs[operand]!
      let quantization = try naming(name) { try template.parameters(for: graph.parameters[name]!.value) }
      node.inputs[operand] = try weights.dequantized(name, quantization, modules: node.modules, in: &nodes)
      return
    }
    let place = node.weightPlace!
    let name = node.inputs[place.operand]!
    let (quantization, obstacle) = try naming(name) {
      try template.weightParameters(for: graph.parameters[name]!.value, axis: place.axis)
    }
    if let obstacle {
      throw OctetError(.unsupported, name, expected: "a weight that integer kernels take, as before", found: obstacle)
    }
    node.inputs[place.operand] = try weights.dequantized(name, quantization, modules: node.modules, in: &nodes)
  }

  /// Why a node computes in float, if it does.
  private func reason(_ node: Node) -> String? {
    if case .float(let reason) = source.assignments[node.name]! { return reason }
    let sites = (node.inputs.compactMap { $0 } + node.outputs).compactMap { source.sites.index(ofValue: $0) }
    let wide = sites.first { siteParameters[$0].dtype == .int16 || siteParameters[$0].dtype == .uint16 }
    return wide.map { "its activations are \(siteParameters[$0].dtype.rawValue), and kernels take bytes" }
  }

  private func report() -> ConversionReport {
    let entries = graph.nodes.map { node in
      ConversionReport.Entry(node: node.name, kind: node.op.kind, modules: node.modules, reason: reason(node))
    }
    return ConversionReport(entries: entries, boundaries: boundaries(entries))
  }

  private func boundaries(_ entries: [ConversionReport.Entry]) -> [ConversionReport.Boundary] {
    let consumers = graph.consumers
    func users(_ value: String, areInteger: Bool) -> [String] {
      (consumers[value] ?? []).filter { entries[$0].isQuantized == areInteger }.map { graph.nodes[$0].name }
    }
    return (graph.inputs.map(\.name) + graph.nodes.flatMap(\.outputs)).compactMap { value in
      guard source.sites.index(ofValue: value) != nil else { return nil }
      let from = producers[value].map { graph.nodes[$0].name } ?? "input \(value)"
      let isFloat = producers[value].map { !entries[$0].isQuantized } ?? true
      var to = users(value, areInteger: isFloat)
      if !isFloat { to += graph.outputs.filter { $0.value == value }.map { "output \($0.name)" } }
      if to.isEmpty { return nil }
      return ConversionReport.Boundary(
        value: value, direction: isFloat ? .quantize : .dequantize, from: from, to: to)
    }
  }
}
