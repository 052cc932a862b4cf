import OctetCore

extension Graph {
  /// This graph with other nodes in the place of each one: `transform` gives back the node as it is, changed, several nodes,
  /// or none. New parameters are added to ``parameters`` beforehand.
  ///
  ///     let bounded = try graph.rewriting { node in
  ///       guard case .unary(.relu) = node.op else { return [node] }
  ///       var node = node
  ///       node.op = .clip(Op.Clip(minimum: 0, maximum: 6))
  ///       return [node]
  ///     }
  ///
  /// - Throws: what `transform` throws; `OctetError` if the result is not a valid graph, naming the node at fault.
  public func rewriting(_ transform: (Node) throws -> [Node]) throws -> Graph {
    var graph = self
    graph.nodes = try nodes.flatMap(transform)
    return try graph.validated()
  }

  /// This graph with `other` read wherever nodes or outputs read `value`; what nobody reads any more is removed.
  ///
  /// - Throws: `OctetError`: `unknownName` if the graph has no such values; `invalidGraph` if `other` is made too late for
  ///   a use, or by way of `value` itself.
  public func replacingUses(of value: String, with other: String) throws -> Graph {
    for name in [value, other] where types[name] == nil {
      throw OctetError(
        .unknownName, "replacingUses", expected: "a value such as \(nearNames(to: name, in: types.keys))", found: name)
    }
    var graph = self
    for index in nodes.indices {
      graph.nodes[index].inputs = nodes[index].inputs.map { $0 == value ? other : $0 }
    }
    for index in outputs.indices where outputs[index].value == value { graph.outputs[index].value = other }
    return try graph.removingDeadNodes()
  }
}
