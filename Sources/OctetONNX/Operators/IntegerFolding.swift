import OctetCore

// Arithmetic with whole numbers that are known while reading: what shapes are made of. Sizes that are known only when the
// graph runs take part: their sums and products are such sizes too, under names that say how they come about.

private struct WholeNumbers {
  let numbers: [Int64]
  let offsets: BroadcastOffsets

  init(_ value: Value, _ shape: [Int]) throws {
    guard let tensor = value.constant else { preconditionFailure("a value that is known") }
    numbers = try tensor.integers("operand").map { Int64($0) }
    offsets = BroadcastOffsets(of: tensor.shape, to: shape)
  }

  subscript(index: Int) -> Int64 { numbers[offsets[index]] }
}

func broadcastShape(_ a: Value, _ b: Value) throws -> [Int] {
  // The shape rule of an operation that takes any type.
  let condition = TensorType(.bool, [])
  let types = try Op.where(Op.Where()).outputTypes([
    condition, TensorType(.float32, a.shape), TensorType(.float32, b.shape),
  ])
  return types[0].fixedShape!
}

private func combined(
  _ node: ONNXNode, _ a: Value, _ b: Value, _ symbol: String, _ function: (Int64, Int64) throws -> Int64
) throws -> Value {
  let wide = try node.builder.widened([a, b])
  let (a, b) = (wide[0]!, wide[1]!)
  guard a.dtype == b.dtype, a.dtype != .float32 else {
    throw node.invalid("operands", expected: "two of one type", found: "\(a.type) and \(b.type)")
  }
  let sizes = node.builder.sizes
  let shape = try broadcastShape(a, b)
  let count = try node.listed(elementCount(of: shape))
  let (x, y) = (try WholeNumbers(a, shape), try WholeNumbers(b, shape))
  let results = try (0..<count).map { index -> Int64 in
    let (left, right) = (x[index], y[index])
    guard a.holdsSizes && sizes.isSymbolic(left) || b.holdsSizes && sizes.isSymbolic(right) else {
      return try function(left, right)
    }
    let (x, y) = (sizes.dimension(left), sizes.dimension(right))
    guard [x, y].allSatisfy({ $0.size.map { abs($0) < 1 << 31 } ?? true }) else {
      throw node.unsupported("operand", expected: "numbers that sizes may have", found: "\(x) \(symbol) \(y)")
    }
    switch symbol {
    case "+": return sizes.code(x.adding(y))
    case "-" where x == y: return 0
    case "-" where y.size != nil: return sizes.code(x.adding(-y.size!))
    case "*": return sizes.code(.product(of: [x, y]))
    case "/" where x == y: return 1
    case "/" where y.size ?? 0 > 0: return sizes.code(x.divided(by: y.size!))
    default: return sizes.code(.symbolic("(\(Dimension.enclosed("\(x)")) \(symbol) \(Dimension.enclosed("\(y)")))"))
    }
  }
  return try wholeNumbers(node, results, shape: shape, dtype: a.dtype)
}

/// Whole numbers as a value of a type, which wrap around where they do not fit.
private func wholeNumbers(_ node: ONNXNode, _ numbers: [Int64], shape: [Int], dtype: DType) throws -> Value {
  let tensor: Tensor
  switch dtype {
  case .int64: tensor = try Tensor(numbers, shape: shape)
  case .int32: tensor = try Tensor(numbers.map { Int32(truncatingIfNeeded: $0) }, shape: shape)
  case .bool: tensor = try Tensor(numbers.map { $0 != 0 }, shape: shape)
  case .int16: tensor = try Tensor(numbers.map { Int16(truncatingIfNeeded: $0) }, shape: shape)
  case .int8: tensor = try Tensor(numbers.map { Int8(truncatingIfNeeded: $0) }, shape: shape)
  case .uint16: tensor = try Tensor(numbers.map { UInt16(truncatingIfNeeded: $0) }, shape: shape)
  case .uint8: tensor = try Tensor(numbers.map { UInt8(truncatingIfNeeded: $0) }, shape: shape)
  case .float32, .float16, .uint4, .int4:
    throw node.unsupported("result", expected: "whole numbers of 8 to 64 bits", found: dtype.rawValue)
  }
  let holdsSizes = try dtype == .int64 && node.builder.sizes.isIn(tensor)
  return node.builder.constant(tensor, named: "\(node.name)/constant", holdsSizes: holdsSizes)
}

/// A function of two operands of whole numbers, both known.
func foldedBinary(_ node: ONNXNode, _ function: Op.Binary, _ a: Value, _ b: Value) throws -> Value {
  switch function {
  case .add: return try combined(node, a, b, "+") { $0 &+ $1 }
  case .sub: return try combined(node, a, b, "-") { $0 &- $1 }
  case .mul: return try combined(node, a, b, "*") { $0 &* $1 }
  case .div: return try combined(node, a, b, "/") { try divided(node, $0, $1).quotient }
  case .minimum: return try combined(node, a, b, "min") { min($0, $1) }
  case .maximum: return try combined(node, a, b, "max") { max($0, $1) }
  case .pow:
    let exponent = b.dtype == a.dtype ? b : try cast(node, b, to: a.dtype)
    return try combined(node, a, exponent, "^") { wholePower($0, $1) }
  }
}

private func divided(_ node: ONNXNode, _ a: Int64, _ b: Int64) throws -> (quotient: Int64, remainder: Int64) {
  guard b != 0 else { throw node.invalid("divisor", expected: "other numbers than 0", found: 0) }
  return b == -1 ? (0 &- a, 0) : a.quotientAndRemainder(dividingBy: b)
}

/// What division leaves, with the sign of the divisor or of the dividend.
func foldedModulo(_ node: ONNXNode, _ a: Value, _ b: Value, signOfDividend: Bool) throws -> Value {
  _ = try (node.constant(a, "operand"), node.constant(b, "operand"))
  return try combined(node, a, b, "mod") { x, y in
    let remainder = try divided(node, x, y).remainder
    return signOfDividend || remainder == 0 || (remainder < 0) == (y < 0) ? remainder : remainder + y
  }
}

func foldedUnary(_ node: ONNXNode, _ function: Op.Unary, _ x: Tensor) throws -> Value {
  _ = try node.listed(x.count)
  let numbers = try x.integers("operand").map { Int64($0) }
  let results: [Int64]
  switch function {
  case .neg: results = numbers.map { 0 &- $0 }
  case .abs: results = numbers.map { $0 < 0 ? 0 &- $0 : $0 }
  case .relu: results = numbers.map { max($0, 0) }
  default: throw OctetError(.unsupported, "operand", expected: "float32", found: "\(x.type)")
  }
  return try wholeNumbers(node, results, shape: x.shape, dtype: x.dtype)
}

/// A comparison of whole numbers, both known. A size that is known only when the graph runs is not negative, and equal to
/// itself; nothing else is known of it.
func foldedComparison(_ node: ONNXNode, _ comparison: Op.Compare, _ a: Value, _ b: Value) throws -> Value {
  let sizes = node.builder.sizes
  let shape = try broadcastShape(a, b)
  let count = try node.listed(elementCount(of: shape))
  let (x, y) = (try WholeNumbers(a, shape), try WholeNumbers(b, shape))
  let results = try (0..<count).map { index -> Bool in
    var (left, right) = (x[index], y[index])
    let isSize = (a.holdsSizes && sizes.isSymbolic(left), b.holdsSizes && sizes.isSymbolic(right))
    switch isSize {
    case (false, false): break
    case (true, true) where left == right: (left, right) = (0, 0)
    case (true, false) where right < 0: left = 0
    case (false, true) where left < 0: right = 0
    default:
      throw node.unsupported(
        "operand", expected: "sizes that are known (give sizes for symbolic dimensions)",
        found: "\(sizes.dimension(left)) and \(sizes.dimension(right))")
    }
    return switch comparison {
    case .equal: left == right
    case .less: left < right
    case .lessOrEqual: left <= right
    case .greater: left > right
    case .greaterOrEqual: left >= right
    }
  }
  return node.constant(try Tensor(results, shape: shape))
}

/// Known elements in another type.
func foldedCast(_ node: ONNXNode, _ x: Value, to dtype: DType) throws -> Value? {
  guard let tensor = x.constant else { return nil }
  if x.holdsSizes {
    // A size stays one in any type of whole numbers.
    return dtype == .int32 || dtype == .int64 ? x : nil
  }
  // Small integers become real numbers without a list between: weights, which may be many.
  if dtype == .float32, isSmall(tensor.dtype), try tensor.count <= 1 << 26 {
    let identity = try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: tensor.dtype)
    return node.constant(try dequantize(tensor, identity))
  }
  // Of many numbers no list is made: the operation casts them.
  guard try tensor.count <= 1 << 24 else { return nil }
  if tensor.dtype == .float32 {
    guard dtype != .float32 else { return x }
    let whole = try tensor.scalars(as: Float.self).map { number -> Int64 in
      if dtype == .bool { return number == 0 ? 0 : 1 }
      if number.isNaN { return 0 }
      return number >= 0x1p63 ? .max : (number <= -0x1p63 ? .min : Int64(number))
    }
    return try wholeNumbers(node, whole, shape: tensor.shape, dtype: dtype)
  }
  if dtype == .float32 { return node.constant(try Tensor(tensor.numbers("operand"), shape: tensor.shape)) }
  return try wholeNumbers(
    node, tensor.integers("operand").map { dtype == .bool ? ($0 == 0 ? 0 : 1) : Int64($0) }, shape: tensor.shape,
    dtype: dtype)
}
