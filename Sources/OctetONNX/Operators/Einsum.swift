import OctetCore

/// Sums of products by an equation, `bij,bjk->bik`: sums over the letters that the result does not have, as one matrix product
/// for each combination of letters that all three have. One or two operands; no letter twice in one of them, no dots.
@Sendable func mapEinsum(_ node: ONNXNode) throws -> [Value] {
  let equation = try node.string("equation", default: "").filter { $0 != " " }
  let sides = equation.replacing("->", with: ">").split(separator: ">", omittingEmptySubsequences: false)
  let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false).map { Array($0) }
  guard sides.count <= 2, terms.count == node.inputs.count, (1...2).contains(terms.count),
    terms.allSatisfy({ $0.allSatisfy(\.isLetter) && Set($0).count == $0.count })
  else {
    throw node.unsupported("equation", expected: "one or two operands of different letters", found: equation)
  }
  let operands = try node.allInputs()
  guard zip(terms, operands).allSatisfy({ $0.count == $1.rank }) else {
    throw node.invalid("equation", expected: "a letter for each axis", found: "\(equation), \(operands.map(\.type))")
  }
  // Without a right side: the letters that occur once, in their order.
  let all = terms.joined()
  let result =
    sides.count == 2 ? Array(sides[1]) : Set(all).filter { letter in all.filter { $0 == letter }.count == 1 }.sorted()
  guard Set(result).count == result.count, Set(result).isSubset(of: all) else {
    throw node.unsupported("equation", expected: "a result of letters of the operands", found: equation)
  }
  var factors = zip(terms, operands).map { Factor(letters: $0, value: $1) }
  for index in factors.indices {
    let others = factors.indices.filter { $0 != index }.flatMap { factors[$0].letters }
    factors[index] = try factors[index].summed(node) { !result.contains($0) && !others.contains($0) }
  }
  let product = factors.count == 1 ? factors[0] : try multiplied(node, factors[0], factors[1], result)
  return [try product.ordered(node, result).value]
}

/// A tensor whose axes have names.
private struct Factor {
  var letters: [Character]
  var value: Value

  /// Summed over the letters that nobody else has.
  func summed(_ node: ONNXNode, _ isLone: (Character) -> Bool) throws -> Factor {
    let axes = letters.indices.filter { isLone(letters[$0]) }
    guard !axes.isEmpty else { return self }
    let sum = try node.apply(.reduce(Op.Reduce(.sum, axes: axes, keepDimensions: false)), value)
    return Factor(letters: letters.filter { !isLone($0) }, value: sum)
  }

  func ordered(_ node: ONNXNode, _ wanted: [Character]) throws -> Factor {
    guard letters != wanted else { return self }
    let permutation = wanted.map { letters.firstIndex(of: $0)! }
    return Factor(letters: wanted, value: try node.apply(.transpose(Op.Transpose(permutation)), value))
  }

  func sizes(_ wanted: [Character]) -> [Dimension] { wanted.map { value.shape[letters.firstIndex(of: $0)!] } }

  /// The axes of each group as one, in this order.
  func grouped(_ node: ONNXNode, _ groups: [[Character]]) throws -> Value {
    let moved = try ordered(node, Array(groups.joined()))
    let shape = try groups.map { group -> Dimension in
      let sizes = self.sizes(group)
      if sizes.count == 1 { return sizes[0] }
      let known = sizes.compactMap(\.size)
      guard known.count == sizes.count else {
        throw node.unsupported("operands", expected: "fixed sizes", found: value.type)
      }
      return .fixed(known.reduce(1, *))
    }
    return try node.reshape(moved.value, shape)
  }
}

private func multiplied(_ node: ONNXNode, _ a: Factor, _ b: Factor, _ result: [Character]) throws -> Factor {
  let common = a.letters.filter(b.letters.contains)
  let (batch, summed) = (common.filter(result.contains), common.filter { !result.contains($0) })
  let (left, right) = (
    a.letters.filter { !b.letters.contains($0) }, b.letters.filter { !a.letters.contains($0) }
  )
  let product = try node.apply(
    .matmul(Op.MatMul()), a.grouped(node, [batch, left, summed]), b.grouped(node, [batch, summed, right]))
  let letters = batch + left + right
  let value = try node.reshape(product, a.sizes(batch + left) + b.sizes(right))
  return Factor(letters: letters, value: value)
}
