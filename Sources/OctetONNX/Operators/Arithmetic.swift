import OctetCore

let arithmeticOperators = [
  Operator("Add") { node in [try binary(node, .add, node.input(0), node.input(1))] },
  Operator("Sub") { node in [try binary(node, .sub, node.input(0), node.input(1))] },
  Operator("Mul") { node in
    let (a, b) = (try node.input(0), try node.input(1))
    return [try dynamicProduct(node, a, b) ?? binary(node, .mul, a, b)]
  },
  Operator("Div") { node in [try binary(node, .div, node.input(0), node.input(1))] },
  Operator("Pow", mapPow),
  Operator("Min") { node in [try chain(node, .minimum)] },
  Operator("Max") { node in [try chain(node, .maximum)] },
  Operator("Sum") { node in [try chain(node, .add)] },
  Operator("Mean") { node in
    let count = Float(node.inputs.count)
    return [try node.mul(chain(node, .add), node.scalar(1 / count))]
  },
  Operator("Mod", mapMod),
]

/// A function of two operands.
func binary(_ node: ONNXNode, _ function: Op.Binary, _ a: Value, _ b: Value) throws -> Value {
  if a.dtype != .float32 || b.dtype != .float32, a.constant != nil, b.constant != nil {
    return try foldedBinary(node, function, a, b)
  }
  return try node.apply(.binary(function), a, b)
}

/// All operands, one after another.
private func chain(_ node: ONNXNode, _ function: Op.Binary) throws -> Value {
  var values = try node.allInputs()[...]
  guard var result = values.popFirst() else {
    throw node.invalid("inputs", expected: "one or more", found: "none")
  }
  for value in values { result = try binary(node, function, result, value) }
  return result
}

/// The exponent may be of another type than the base, which gives the result its own.
@Sendable private func mapPow(_ node: ONNXNode) throws -> [Value] {
  let (x, y) = (try node.input(0), try node.input(1))
  guard x.dtype == .float32 else {
    // A root of a whole number is taken of a real one.
    if y.dtype == .float32, y.tensor != nil || x.constant == nil {
      return [try cast(node, node.apply(.binary(.pow), cast(node, x, to: .float32), y), to: x.dtype)]
    }
    return [try binary(node, .pow, x, y.dtype == x.dtype ? y : cast(node, y, to: x.dtype))]
  }
  let exponent = y.dtype == .float32 ? y : try cast(node, y, to: .float32)
  if let numbers = exponent.tensor, numbers.shape == [] || numbers.shape == [1], exponent.rank <= x.rank {
    // A square costs one product, a root one instruction.
    switch try numbers.scalars(as: Float.self)[0] {
    case 1: return [x]
    case 2: return [try node.mul(x, x)]
    case 0.5: return [try node.unary(.sqrt, x)]
    default: break
    }
  }
  return [try node.apply(.binary(.pow), x, exponent)]
}

/// `x − y · ⌊x / y⌋` (the sign is that of y), with `fmod` `x − y · trunc(x / y)` (that of x).
@Sendable private func mapMod(_ node: ONNXNode) throws -> [Value] {
  let (x, y) = (try node.input(0), try node.input(1))
  let isFmod = try node.int("fmod", default: 0) != 0
  if x.dtype != .float32 {
    if x.constant != nil, y.constant != nil { return [try foldedModulo(node, x, y, signOfDividend: isFmod)] }
    let rest = try binary(node, .sub, x, binary(node, .mul, y, binary(node, .div, x, y)))
    if isFmod { return [rest] }
    // What division leaves has the sign of x; where that is not the sign of y, one y more.
    let zero = try node.number(0, like: x)
    let isNegative = try node.apply(.compare(.less), binary(node, .mul, rest, y), zero)
    return [try node.apply(.where(Op.Where()), isNegative, binary(node, .add, rest, y), rest)]
  }
  let quotient = try node.div(x, y)
  let whole: Value
  if isFmod {
    let size = try node.unary(.floor, node.unary(.abs, quotient))
    let isNegative = try node.apply(.compare(.less), quotient, node.scalar(0))
    whole = try node.apply(.where(Op.Where()), isNegative, node.unary(.neg, size), size)
  } else {
    whole = try node.unary(.floor, quotient)
  }
  return [try node.sub(x, node.mul(y, whole))]
}
