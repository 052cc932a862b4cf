import OctetCore

let controlOperators = [
  Operator("If", mapIf)
]

/// The branch that a known condition chooses.
@Sendable private func mapIf(_ node: ONNXNode) throws -> [Value] {
  let condition = try node.constant(node.input(0), "condition")
  guard condition.dtype == .bool, try condition.count == 1 else {
    throw node.invalid("condition", expected: "one truth value", found: condition.type)
  }
  let name = try condition.scalars(as: Bool.self)[0] ? "then_branch" : "else_branch"
  guard let graph = try node.graph(name) else { throw node.invalid(name, expected: "a graph", found: "none") }
  guard let results = try node.reader.branch(graph, of: node) else {
    throw node.unsupported(name, expected: "operators that Octet has", found: "others, listed too")
  }
  return results
}
