import OctetCore

let comparisonOperators = [
  Operator("Equal") { node in [try compare(node, .equal)] },
  Operator("Less") { node in [try compare(node, .less)] },
  Operator("LessOrEqual") { node in [try compare(node, .lessOrEqual)] },
  Operator("Greater") { node in [try compare(node, .greater)] },
  Operator("GreaterOrEqual") { node in [try compare(node, .greaterOrEqual)] },
  Operator("Where") { node in
    [try node.apply(.where(Op.Where()), node.input(0), node.input(1), node.input(2))]
  },
  Operator("And") { node in
    [try node.apply(.where(Op.Where()), node.input(0), node.input(1), truth(node, false))]
  },
  Operator("Or") { node in
    [try node.apply(.where(Op.Where()), node.input(0), truth(node, true), node.input(1))]
  },
  Operator("Not") { node in [try negation(node, node.input(0))] },
  Operator("Xor") { node in
    [try negation(node, node.apply(.compare(.equal), node.input(0), node.input(1)))]
  },
  Operator("Cast") { node in
    guard let number = try node.optionalInt("to") else {
      throw node.invalid("attribute to", expected: "an element type", found: "none")
    }
    let type = try ElementType(number: number, "attribute to")
    return [try cast(node, node.input(0), toElement: type)]
  },
  Operator("CastLike") { node in
    let like = try node.input(1)
    // An input knows more than the type that it has become.
    if let type = try node.reader.elementType(ofInput: like.name) {
      return [try cast(node, node.input(0), toElement: type)]
    }
    return [try cast(node, node.input(0), to: like.dtype)]
  },
]

private func truth(_ node: ONNXNode, _ value: Bool) throws -> Value { node.constant(try Tensor(value)) }

func negation(_ node: ONNXNode, _ x: Value) throws -> Value {
  try node.apply(.where(Op.Where()), x, truth(node, false), truth(node, true))
}

private func compare(_ node: ONNXNode, _ comparison: Op.Compare) throws -> Value {
  var (a, b) = (try node.input(0), try node.input(1))
  if a.constant != nil, b.constant != nil {
    let wide = try node.builder.widened([a, b])
    (a, b) = (wide[0]!, wide[1]!)
  }
  if a.constant != nil, b.constant != nil, a.dtype != .float32, a.dtype == b.dtype {
    // Of many results no list is made, but where sizes are among the operands: the operation compares.
    let count = elementCount(of: try broadcastShape(a, b))
    if a.holdsSizes || b.holdsSizes || count <= 1 << 24 { return try foldedComparison(node, comparison, a, b) }
  }
  // float32 holds all numbers of up to 16 bits.
  if isSmall(a.dtype), a.dtype == b.dtype {
    (a, b) = (try cast(node, a, to: .float32), try cast(node, b, to: .float32))
  }
  return try node.apply(.compare(comparison), a, b)
}

func isSmall(_ dtype: DType) -> Bool {
  switch dtype {
  case .uint8, .int8, .uint16, .int16: true
  case .float32, .float16, .uint4, .int4, .int32, .int64, .bool: false
  }
}

/// Elements as another of ONNX's types. Floating-point types become float32, which those with fewer bits have a rounding for
/// that we do not do.
private func cast(_ node: ONNXNode, _ x: Value, toElement type: ElementType) throws -> Value {
  switch type {
  case .float, .double, .float16: return try cast(node, x, to: .float32)
  case .uint32, .uint64: return try cast(node, x, to: .int64)
  default:
    guard type != .bfloat16, let dtype = type.dtype else {
      throw node.unsupported("attribute to", expected: "a type that Octet has", found: type)
    }
    return try cast(node, x, to: dtype)
  }
}

/// A function of real numbers that only selects among elements, of integers too: of what they were quantized from, if that
/// is known; as numbers they are exact in float32.
func selection(_ node: ONNXNode, of x: Value, _ function: (Value) throws -> Value) throws -> Value {
  guard isSmall(x.dtype) else { return try function(x) }
  if let parameters = node.builder.quantization(of: x) {
    let real = try node.apply(.dequantizeLinear(Op.DequantizeLinear(parameters)), x)
    return try node.apply(.quantizeLinear(Op.QuantizeLinear(parameters)), function(real))
  }
  return try cast(node, function(cast(node, x, to: .float32)), to: x.dtype)
}

func cast(_ node: ONNXNode, _ x: Value, to dtype: DType) throws -> Value {
  if let sums = dynamicCast(x, to: dtype) { return sums }
  if x.dtype == dtype { return x }
  if let known = try foldedCast(node, x, to: dtype) { return known }
  // Small integers are what dequantizing with scale 1 gives, and quantizing takes.
  if isSmall(x.dtype) {
    let identity = try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: x.dtype)
    let real = try node.apply(.dequantizeLinear(Op.DequantizeLinear(identity)), x)
    return try cast(node, real, to: dtype)
  }
  if isSmall(dtype) {
    let whole = try node.apply(.cast(Op.Cast(to: .int32)), x)
    let real = try node.apply(.cast(Op.Cast(to: .float32)), whole)
    let identity = try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: dtype)
    return try node.apply(.quantizeLinear(Op.QuantizeLinear(identity)), real)
  }
  return try node.apply(.cast(Op.Cast(to: dtype)), x)
}
