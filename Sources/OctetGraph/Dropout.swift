import OctetCore

// Dropout does nothing outside training. A traced graph has it, so that training can go on; whatever else is made of a graph
// leaves it out first.
extension Graph {
  package var hasDropout: Bool { nodes.contains { $0.op.kind == .dropout } }

  /// What each result of dropout is made of: the value before it, or before the first of several in a row.
  package var undropped: [String: String] {
    nodes.reduce(into: [:]) { known, node in
      guard case .dropout = node.op, let value = node.inputs[0] else { return }
      known[node.outputs[0]] = known[value] ?? value
    }
  }

  /// This graph without dropout, or without some.
  package func removingDropout(where isRemoved: (Node) -> Bool = { _ in true }) throws -> Graph {
    guard hasDropout else { return self }
    var values: [String: String] = [:]
    var graph = self
    graph.nodes = nodes.compactMap { node in
      var node = node
      node.inputs = node.inputs.map { name in name.map { values[$0] ?? $0 } }
      guard case .dropout = node.op, isRemoved(node) else { return node }
      values[node.outputs[0]] = node.inputs[0]
      return nil
    }
    for index in outputs.indices { graph.outputs[index].value = values[outputs[index].value] ?? outputs[index].value }
    return try graph.validated()
  }

  /// This graph with dropout where a fused form of it still has the value that is dropped from. In front of a ReLU it moves
  /// behind it: that is the same, and what is dropped from is then what integers will hold. In front of anything else that
  /// is part of a layer there (batch normalization, sums with what is skipped, constants for each channel), in front of a
  /// clip, and behind a parameter, it is left out.
  package func keepingDropout(between fused: Graph) throws -> Graph {
    var graph = self
    let consumers = consumers
    for node in nodes where node.op.kind == .dropout {
      let dropped = node.outputs[0]
      guard !isOutput(dropped), let users = consumers[dropped], users.count == 1,
        case .unary(.relu) = nodes[users[0]].op
      else { continue }
      graph.swap(node.name, with: nodes[users[0]].name)
    }
    let (undropped, users) = (graph.undropped, graph.consumers)
    return try graph.removingDropout { node in
      let dropped = undropped[node.outputs[0]]!
      let isClipped = users[node.outputs[0]]?.contains { if case .clip = graph.nodes[$0].op { true } else { false } }
      return fused.types[dropped] == nil || parameters[dropped] != nil || isClipped == true
    }
  }

  /// `x → first → second → others` becomes `x → second → first → others`. Values keep their names.
  private mutating func swap(_ first: String, with second: String) {
    var head = nodes.remove(at: nodes.firstIndex { $0.name == first }!)
    let place = nodes.firstIndex { $0.name == second }!
    let (before, after) = (nodes[place].outputs[0], head.outputs[0])
    for index in nodes.indices { nodes[index].inputs = nodes[index].inputs.map { $0 == before ? after : $0 } }
    for index in outputs.indices where outputs[index].value == before { outputs[index].value = after }
    nodes[place].inputs = head.inputs
    head.inputs = [before]
    nodes.insert(head, at: place + 1)
  }
}
