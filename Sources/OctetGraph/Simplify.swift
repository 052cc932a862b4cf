import OctetCore

extension Graph {
  /// This graph without the nodes and parameters that no output needs.
  public func removingDeadNodes() throws -> Graph {
    var graph = self
    var needed = Set(outputs.map(\.value))
    graph.nodes = []
    for node in nodes.reversed() where node.outputs.contains(where: needed.contains) {
      needed.formUnion(node.inputs.compactMap { $0 })
      graph.nodes.append(node)
    }
    graph.nodes.reverse()
    graph.parameters = parameters.filter { needed.contains($0.key) }
    return try graph.validated()
  }

  /// This graph with the nodes that depend on parameters alone replaced by their values. Quantized weights stay
  /// quantized: QuantizeLinear and DequantizeLinear are left as they are. So are nodes whose values are much larger than
  /// the weights, or take very long.
  public func foldingConstants() throws -> Graph {
    var budget = FoldingBudget()
    for parameter in parameters.values {
      budget.add(weights: parameter.value.dtype.byteCount(of: try parameter.value.count))
    }
    var graph = self
    graph.nodes = []
    for node in nodes {
      let operands = node.inputs.map { name in name.map { graph.parameters[$0] } }
      let isConstant = !operands.isEmpty && operands.allSatisfy { $0 == nil || $0! != nil }
      switch node.op {
      case .quantizeLinear, .dequantizeLinear: graph.nodes.append(node)
      case _ where !isConstant: graph.nodes.append(node)
      case _
      where !budget.allows(
        node.op, node.inputs.map { $0.flatMap { types[$0] } }, node.outputs.compactMap { types[$0] }):
        graph.nodes.append(node)
      default:
        let results = try naming(node.name) { try apply(node.op, operands.map { $0??.value }) }
        for (name, value) in zip(node.outputs, results) {
          graph.parameters[name] = Parameter(value, isTrainable: false)
        }
      }
    }
    return try graph.removingDeadNodes()
  }
}
