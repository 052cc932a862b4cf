import OctetCore

// Sizes that are known only when the graph runs, as numbers that it computes: how many positions there are along an axis.

/// More than any tensor has; each of them takes a node.
private let mostComputedSizes = 1024

extension GraphBuilder {
  /// A size as a number, int64 [].
  ///
  /// - Throws: `OctetError` (`unsupported`) if no value has that size, nor the sizes that it is a product of.
  func number(of size: Dimension) throws -> Value {
    if let known = numbersOfSizes[size] { return known }
    let number = try computedNumber(of: size)
    numbersOfSizes[size] = number
    return number
  }

  private func computedNumber(of size: Dimension) throws -> Value {
    if let number = size.size { return constant(try Tensor(Int64(number)), named: "size") }
    if let (value, axis) = place(of: size) {
      let line = try one(.positions(Op.Positions(axis: axis)), value)
      let ones = try one(.cast(Op.Cast(to: .int64)), one(.compare(.equal), line, line))
      return try one(.reduce(Op.Reduce(.sum, axes: [0], keepDimensions: false)), ones)
    }
    let parts = size.parts
    guard parts.count > 1 else {
      throw OctetError(
        .unsupported, "operand", expected: "sizes that are known (give sizes for symbolic dimensions)",
        found: "one that is known only when the graph runs")
    }
    return try parts.dropFirst().reduce(number(of: parts[0])) { try one(.binary(.mul), $0, number(of: $1)) }
  }

  /// The numbers that a value of sizes stands for.
  func computed(_ value: Value) throws -> Value {
    let codes = try value.constant!.scalars(as: Int64.self)
    guard codes.count <= mostComputedSizes else {
      throw OctetError(
        .unsupported, "operand", expected: "at most \(mostComputedSizes) sizes to calculate with",
        found: "\(codes.count)")
    }
    if codes.isEmpty || value.rank == 0 {
      return try codes.first.map { try number(of: sizes.dimension($0)) } ?? value
    }
    let each = try codes.map { code in
      try sizes.isSymbolic(code)
        ? one(.unsqueeze(Op.Unsqueeze([0])), number(of: sizes.dimension(code)))
        : constant(try Tensor([code], shape: [1]), named: "size")
    }
    let line = try each.count == 1 ? each[0] : one(.concat(Op.Concat(axis: 0)), each)
    return value.rank == 1 ? line : try one(.reshape(Op.Reshape(value.constant!.shape)), line)
  }

  private func one(_ op: Op, _ operands: Value...) throws -> Value { try one(op, operands) }

  private func one(_ op: Op, _ operands: [Value]) throws -> Value {
    try emit(op, operands, named: "size")[0]
  }
}
