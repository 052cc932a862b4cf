import OctetCore

extension Graph {
  /// This graph with functions that are spelled out as the one operation that they are, wherever nothing else reads the
  /// values in between.
  func fusingFunctions() throws -> Graph {
    var graph = self
    // A match may be part of a larger one: look again.
    while let match = graph.functionMatch() { graph = try graph.replacing(match) }
    return graph
  }

  /// Nodes whose last one is a function of `x`.
  private struct FunctionMatch {
    let function: Op.Unary
    let x: String
    let last: Int
    var others: Set<Int>
  }

  private func functionMatch() -> FunctionMatch? {
    let pattern = FunctionPattern(graph: self, producers: producers, consumers: consumers)
    for last in nodes.indices {
      guard let product = pattern.product(last), let (function, x, inner) = pattern.function(product) else { continue }
      return FunctionMatch(function: function, x: x, last: last, others: product.nodes.union(inner).subtracting([last]))
    }
    return nil
  }

  private func replacing(_ match: FunctionMatch) throws -> Graph {
    var graph = self
    var node = nodes[match.last]
    node.op = .unary(match.function)
    node.inputs = [match.x]
    for index in match.others.sorted() {
      node.modules += nodes[index].modules.filter { !node.modules.contains($0) }
    }
    graph.nodes[match.last] = node
    graph.nodes = graph.nodes.indices.filter { !match.others.contains($0) }.map { graph.nodes[$0] }
    return try graph.validated()
  }
}

/// Looks for functions in a graph.
private struct FunctionPattern {
  let graph: Graph
  let producers: [String: Int]
  let consumers: [String: [Int]]

  /// A product of values and a number, over several nodes.
  struct Product {
    var factors: [String] = []
    var number: Float = 1
    var nodes: Set<Int> = []
  }

  private func node(_ value: String) -> (index: Int, node: Node)? {
    producers[value].map { ($0, graph.nodes[$0]) }
  }

  /// The node that makes a value which only `users` read.
  private func hidden(_ value: String, users: Set<Int>) -> (index: Int, node: Node)? {
    guard !graph.isOutput(value), Set(consumers[value] ?? []).isSubset(of: users) else { return nil }
    return node(value)
  }

  private func number(_ value: String?) -> Float? {
    guard let tensor = value.flatMap({ graph.parameters[$0]?.value }), tensor.dtype == .float32,
      elementCount(of: tensor.shape) == 1
    else { return nil }
    return try? tensor.item(as: Float.self)
  }

  /// A binary node's function with the operand that is no number, and the number; `nil` if it changes the shape.
  private func withNumber(_ node: Node) -> (function: Op.Binary, x: String, number: Float, isFirst: Bool)? {
    guard case .binary(let function) = node.op else { return nil }
    for place in 0..<2 {
      guard let number = number(node.inputs[place]), let x = node.inputs[1 - place],
        graph.types[x] == graph.types[node.outputs[0]]
      else { continue }
      return (function, x, number, place == 0)
    }
    return nil
  }

  /// What a node multiplies, through products that nobody else reads.
  func product(_ index: Int) -> Product? {
    switch graph.nodes[index].op {
    case .binary(.mul), .binary(.div): break
    default: return nil
    }
    var product = Product()
    collect(index, into: &product)
    return product.factors.count <= 2 && !product.nodes.isEmpty ? product : nil
  }

  private func collect(_ index: Int, into product: inout Product) {
    let node = graph.nodes[index]
    product.nodes.insert(index)
    func follow(_ value: String) {
      if let (inner, next) = hidden(value, users: [index]), product.factors.count < 3,
        graph.types[value] == graph.types[node.outputs[0]]
      {
        if case .binary(.mul) = next.op { return collect(inner, into: &product) }
        if case .binary(.div) = next.op, withNumber(next)?.isFirst == false { return collect(inner, into: &product) }
      }
      product.factors.append(value)
    }
    if let (function, x, number, isFirst) = withNumber(node), function == .mul || !isFirst {
      product.number *= function == .mul ? number : 1 / number
      return follow(x)
    }
    guard case .binary(.mul) = node.op else { return product.factors = Array(repeating: "", count: 3) }
    for value in node.inputs { follow(value!) }
  }

  /// The function that a product is, its operand, and the nodes inside it.
  func function(_ product: Product) -> (Op.Unary, String, Set<Int>)? {
    if product.factors.count == 1 {
      guard let (x, inner) = shiftedClip(product.factors[0], users: product.nodes), isNear(product.number, 1 / 6) else {
        return nil
      }
      return (.hardSigmoid(alpha: 1 / 6, beta: 0.5), x, inner)
    }
    guard product.factors.count == 2 else { return nil }
    for (x, gate) in [(0, 1), (1, 0)].map({ (product.factors[$0], product.factors[$1]) }) {
      if let (index, node) = hidden(gate, users: product.nodes), case .unary(let function) = node.op,
        node.inputs[0] == x, product.number == 1
      {
        if function == .sigmoid { return (.silu, x, [index]) }
        if case .hardSigmoid(let alpha, let beta) = function, isNear(alpha, 1 / 6), beta == 0.5 {
          return (.hardSwish, x, [index])
        }
      }
      if let (operand, inner) = shiftedClip(gate, users: product.nodes), operand == x, isNear(product.number, 1 / 6) {
        return (.hardSwish, x, inner)
      }
      if let (operand, inner) = errorGate(gate, users: product.nodes), operand == x, product.number == 0.5 {
        return (.gelu(.none), x, inner)
      }
    }
    return nil
  }

  /// `min(max(x + 3, 0), 6)`
  private func shiftedClip(_ value: String, users: Set<Int>) -> (x: String, nodes: Set<Int>)? {
    guard let (clip, node) = hidden(value, users: users), case .clip(let range) = node.op, range.minimum == 0,
      range.maximum == 6,
      let (add, sum) = hidden(node.inputs[0]!, users: [clip]), let (function, x, number, _) = withNumber(sum),
      function == .add, number == 3
    else { return nil }
    return (x, [clip, add])
  }

  /// `1 + erf(x / √2)`
  private func errorGate(_ value: String, users: Set<Int>) -> (x: String, nodes: Set<Int>)? {
    guard let (add, sum) = hidden(value, users: users), let (function, inner, one, _) = withNumber(sum),
      function == .add, one == 1, let (erf, node) = hidden(inner, users: [add]), case .unary(.erf) = node.op,
      let (scale, scaled) = hidden(node.inputs[0]!, users: [erf]), let (by, x, number, isFirst) = withNumber(scaled),
      by == .mul && isNear(number, 0.5.squareRoot()) || by == .div && !isFirst && isNear(number, 2.squareRoot())
    else { return nil }
    return (x, [add, erf, scale])
  }

  private func isNear(_ a: Float, _ b: Double) -> Bool { abs(Double(a) - b) <= 1e-5 * abs(b) }
}
