import OctetCore

let activationOperators: [Operator] =
  [
    ("Relu", .relu), ("Sigmoid", .sigmoid), ("Tanh", .tanh), ("Exp", .exp), ("Log", .log), ("Sqrt", .sqrt),
    ("Erf", .erf), ("Abs", .abs), ("Neg", .neg), ("Reciprocal", .reciprocal), ("Floor", .floor), ("Sin", .sin),
    ("Cos", .cos), ("Softplus", .softplus), ("HardSwish", .hardSwish),
  ].map { (entry: (name: String, function: Op.Unary)) in
    Operator(entry.name) { node in [try mapUnary(node, entry.function)] }
  } + [
    Operator("HardSigmoid") { node in
      let (alpha, beta) = (try node.float("alpha", default: 0.2), try node.float("beta", default: 0.5))
      return [try node.unary(.hardSigmoid(alpha: alpha, beta: beta), node.input(0))]
    },
    Operator("LeakyRelu") { node in
      [try node.unary(.leakyRelu(alpha: node.float("alpha", default: 0.01)), node.input(0))]
    },
    Operator("Elu") { node in [try node.unary(.elu(alpha: node.float("alpha", default: 1)), node.input(0))] },
    Operator("Gelu", mapGelu),
    Operator("Gelu", domain: "com.microsoft", mapGelu),
    Operator("Swish", mapSwish),
    Operator("PRelu", mapPRelu),
    Operator("Selu", mapSelu),
    Operator("Celu", mapCelu),
    Operator("Mish") { node in
      let x = try node.input(0)
      return [try node.mul(x, node.unary(.tanh, node.unary(.softplus, x)))]
    },
    Operator("Softsign") { node in
      let x = try node.input(0)
      return [try node.div(x, node.add(node.unary(.abs, x), node.scalar(1)))]
    },
    Operator("ThresholdedRelu") { node in
      let x = try node.input(0)
      let isAbove = try node.apply(.compare(.greater), x, node.scalar(node.float("alpha", default: 1)))
      return [try node.apply(.where(Op.Where()), isAbove, x, node.scalar(0))]
    },
    Operator("Shrink", mapShrink),
    Operator("Clip", since: 6) { node in
      let lowest = try node.scalar(node.float("min", default: -.greatestFiniteMagnitude))
      let highest = try node.scalar(node.float("max", default: .greatestFiniteMagnitude))
      return [try clip(node, lowest, highest)]
    },
    // The limits became inputs.
    Operator("Clip", since: 11) { node in [try clip(node, node.optionalInput(1), node.optionalInput(2))] },
    Operator("Ceil") { node in
      [try node.unary(.neg, node.unary(.floor, node.unary(.neg, node.input(0))))]
    },
    Operator("Round") { node in [try roundHalfEven(node, node.input(0))] },
    Operator("Sign") { node in
      let x = try node.input(0)
      let (zero, one) = (try node.number(0, like: x), try node.number(1, like: x))
      let negative = try node.apply(
        .where(Op.Where()), node.apply(.compare(.less), x, zero), node.number(-1, like: x), zero)
      return [try node.apply(.where(Op.Where()), node.apply(.compare(.greater), x, zero), one, negative)]
    },
    Operator("Tan") { node in
      let x = try node.input(0)
      return [try node.div(node.unary(.sin, x), node.unary(.cos, x))]
    },
    // (eˣ − e⁻ˣ) / 2
    Operator("Sinh") { node in
      let x = try node.input(0)
      let difference = try node.sub(node.unary(.exp, x), node.unary(.exp, node.unary(.neg, x)))
      return [try node.mul(difference, node.scalar(0.5))]
    },
    Operator("Cosh") { node in
      let x = try node.input(0)
      let sum = try node.add(node.unary(.exp, x), node.unary(.exp, node.unary(.neg, x)))
      return [try node.mul(sum, node.scalar(0.5))]
    },
    // ln(x + √(x² + 1)), odd: of |x|, so that nothing cancels.
    Operator("Asinh") { node in
      let x = try node.input(0)
      let size = try node.unary(.abs, x)
      let root = try node.unary(.sqrt, node.add(node.mul(x, x), node.scalar(1)))
      let result = try node.unary(.log, node.add(size, root))
      let isNegative = try node.apply(.compare(.less), x, node.scalar(0))
      return [try node.apply(.where(Op.Where()), isNegative, node.unary(.neg, result), result)]
    },
    Operator("Acosh") { node in
      let x = try node.input(0)
      let root = try node.unary(.sqrt, node.sub(node.mul(x, x), node.scalar(1)))
      return [try node.unary(.log, node.add(x, root))]
    },
    // ½ · ln((1 + x) / (1 − x))
    Operator("Atanh") { node in
      let x = try node.input(0)
      let one = try node.scalar(1)
      return [try node.mul(node.unary(.log, node.div(node.add(one, x), node.sub(one, x))), node.scalar(0.5))]
    },
    Operator("IsNaN") { node in
      let x = try node.input(0)
      let isNumber = try node.apply(.compare(.equal), x, x)
      return [try negation(node, isNumber)]
    },
    Operator("IsInf", mapIsInf),
  ]

private func mapUnary(_ node: ONNXNode, _ function: Op.Unary) throws -> Value {
  let x = try node.input(0)
  if x.dtype != .float32, let numbers = x.tensor { return try foldedUnary(node, function, numbers) }
  if x.dtype == .int32 || x.dtype == .int64 {
    let zero = try node.number(0, like: x)
    switch function {
    case .neg: return try binary(node, .sub, zero, x)
    case .abs: return try binary(node, .maximum, x, binary(node, .sub, zero, x))
    case .relu: return try binary(node, .maximum, x, zero)
    default: break
    }
  }
  return try node.unary(function, x)
}

@Sendable private func mapGelu(_ node: ONNXNode) throws -> [Value] {
  let mode = try node.string("approximate", default: "none")
  guard let approximation = Op.Unary.GELUApproximation(rawValue: mode) else {
    throw node.invalid("approximate", expected: "none or tanh", found: mode)
  }
  return [try node.unary(.gelu(approximation), node.input(0))]
}

/// `x · sigmoid(alpha · x)`
@Sendable private func mapSwish(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let alpha = try node.float("alpha", default: 1)
  if alpha == 1 { return [try node.unary(.silu, x)] }
  return [try node.mul(x, node.unary(.sigmoid, node.mul(x, node.scalar(alpha))))]
}

/// The slope broadcasts to x; one number for each channel is what networks have.
@Sendable private func mapPRelu(_ node: ONNXNode) throws -> [Value] {
  let (x, slope) = (try node.input(0), try node.input(1))
  if x.rank >= 2, slope.rank == x.rank - 1, slope.shape.dropFirst().allSatisfy({ $0 == 1 }),
    slope.shape[0] == x.shape[1]
  {
    let channels = try node.apply(.reshape(Op.Reshape([-1])), slope)
    return [try node.apply(.prelu(Op.PRelu(axis: 1)), x, channels)]
  }
  return [try node.apply(.prelu(Op.PRelu(axis: nil)), x, slope)]
}

/// `gamma · x` above 0, `gamma · alpha · (eˣ − 1)` below.
@Sendable private func mapSelu(_ node: ONNXNode) throws -> [Value] {
  let alpha = try node.float("alpha", default: 1.67326319217681884765625)
  let gamma = try node.float("gamma", default: 1.05070102214813232421875)
  return [try node.mul(node.unary(.elu(alpha: alpha), node.input(0)), node.scalar(gamma))]
}

/// `max(0, x) + min(0, alpha · (e^(x / alpha) − 1))`, which is alpha times the Elu of x / alpha.
@Sendable private func mapCelu(_ node: ONNXNode) throws -> [Value] {
  let alpha = try node.float("alpha", default: 1)
  let scaled = try node.div(node.input(0), node.scalar(alpha))
  return [try node.mul(node.unary(.elu(alpha: 1), scaled), node.scalar(alpha))]
}

@Sendable private func mapShrink(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let (lambda, bias) = (try node.float("lambd", default: 0.5), try node.float("bias", default: 0))
  let isBelow = try node.apply(.compare(.less), x, node.scalar(-lambda))
  let isAbove = try node.apply(.compare(.greater), x, node.scalar(lambda))
  let inside = try node.apply(.where(Op.Where()), isAbove, node.sub(x, node.scalar(bias)), node.scalar(0))
  return [try node.apply(.where(Op.Where()), isBelow, node.add(x, node.scalar(bias)), inside)]
}

/// Limits that are known make one operation; those that the graph computes make two.
private func clip(_ node: ONNXNode, _ lowest: Value?, _ highest: Value?) throws -> Value {
  let x = try node.input(0)
  if x.dtype != .float32 {
    var value = x
    if let lowest { value = try binary(node, .maximum, value, lowest) }
    if let highest { value = try binary(node, .minimum, value, highest) }
    return value
  }
  guard lowest == nil || lowest?.tensor != nil, highest == nil || highest?.tensor != nil else {
    var value = x
    if let lowest { value = try node.apply(.binary(.maximum), value, lowest) }
    if let highest { value = try node.apply(.binary(.minimum), value, highest) }
    return value
  }
  let low = try lowest.map { try node.number($0, "min") } ?? -.infinity
  let high = try highest.map { try node.number($0, "max") } ?? .infinity
  if low <= -.greatestFiniteMagnitude, high >= .greatestFiniteMagnitude { return x }
  // A limit that no number passes is none, so that a clip from 0 on is a ReLU.
  if low == 0, high >= .greatestFiniteMagnitude { return try node.unary(.relu, x) }
  // If the limits cross, the upper one counts.
  return try node.apply(.clip(Op.Clip(minimum: min(low, high), maximum: high)), x)
}

/// Half-way cases go to the even neighbour: what x minus ½ rounds up to, unless x − ½ is whole and even below.
func roundHalfEven(_ node: ONNXNode, _ x: Value) throws -> Value {
  // floor(x + ½), less 1 where x + ½ is whole and odd.
  let shifted = try node.add(x, node.scalar(0.5))
  let up = try node.unary(.floor, shifted)
  let isHalf = try node.apply(.compare(.equal), up, shifted)
  let half = try node.mul(up, node.scalar(0.5))
  let isEven = try node.apply(.compare(.equal), half, node.unary(.floor, half))
  let down = try node.sub(up, node.scalar(1))
  let even = try node.apply(.where(Op.Where()), isEven, up, down)
  return try node.apply(.where(Op.Where()), isHalf, even, up)
}

@Sendable private func mapIsInf(_ node: ONNXNode) throws -> [Value] {
  var x = try node.input(0)
  let negative = try node.int("detect_negative", default: 1) != 0
  let positive = try node.int("detect_positive", default: 1) != 0
  if negative, positive { x = try node.unary(.abs, x) }
  if negative, !positive { x = try node.unary(.neg, x) }
  let limit = negative || positive ? Float.infinity : .nan
  return [try node.apply(.compare(.equal), x, node.scalar(limit))]
}
