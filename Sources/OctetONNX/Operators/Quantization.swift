import OctetCore

let quantizationOperators: [Operator] = ["", "com.microsoft"].flatMap { domain in
  [
    Operator("QuantizeLinear", domain: domain, mapQuantizeLinear),
    Operator("DequantizeLinear", domain: domain, mapDequantizeLinear),
  ]
}

/// Scale and zero point as parameters. They must be known; a scale for each index of an axis, or for each block along it.
private func parameters(_ node: ONNXNode, of x: Value, dtype stated: DType?) throws -> QuantizationParameters {
  let scale = try node.constant(node.input(1), "scale")
  let scales = try scale.numbers("scale")
  let zero = try node.optionalInput(2).map { try node.constant($0, "zero_point") }
  let zeros = try zero?.integers("zero_point") ?? [Int](repeating: 0, count: scales.count)
  guard let dtype = zero?.dtype ?? stated else { throw node.invalid("zero_point", expected: "a type", found: "none") }
  guard dtype.quantizedRange != nil else {
    throw node.unsupported("zero_point", expected: "an integer type of 4, 8 or 16 bits", found: dtype.rawValue)
  }
  if scale.rank == 0 || scale.shape == [1] {
    guard scales.count == 1, zeros.count == 1 else {
      throw node.invalid("zero_point", expected: "one number", found: "\(zeros.count)")
    }
    return try QuantizationParameters(scale: scales[0], zeroPoint: zeros[0], dtype: dtype)
  }
  let axis = try node.axis(node.int("axis", default: 1), rank: x.rank)
  let blockSize = try node.int("block_size", default: 0)
  guard scale.rank == 1 || scale.rank == x.rank && blockSize > 0 else {
    throw node.invalid("scale", expected: "one number, one for each index of an axis, or blocks", found: scale.type)
  }
  return try QuantizationParameters(
    scales: scales, zeroPoints: zeros, dtype: dtype, axis: axis, blockSize: blockSize > 0 ? blockSize : nil)
}

@Sendable private func mapQuantizeLinear(_ node: ONNXNode) throws -> [Value] {
  var x = try node.input(0)
  if x.dtype == .int32 { x = try cast(node, x, to: .float32) }
  let stated = try node.int("output_dtype", default: 0)
  let dtype = stated == 0 ? DType.uint8 : try ElementType(number: stated, "output_dtype").requireDType("output_dtype")
  return [try node.apply(.quantizeLinear(Op.QuantizeLinear(parameters(node, of: x, dtype: dtype))), x)]
}

@Sendable private func mapDequantizeLinear(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  guard x.dtype == .int32 else {
    return [try node.apply(.dequantizeLinear(Op.DequantizeLinear(parameters(node, of: x, dtype: x.dtype))), x)]
  }
  // A bias: sums of products have no zero point, and their scale is a number.
  var scale = try node.input(1)
  if scale.rank == 1, scale.shape != [1] {
    let axis = try node.axis(node.int("axis", default: 1), rank: x.rank)
    let trailing = x.rank - 1 - axis
    if trailing > 0 { scale = try node.apply(.unsqueeze(Op.Unsqueeze(Array(1...trailing))), scale) }
  } else if scale.rank == 1 {
    scale = try node.reshape(scale, [])
  }
  return [try node.mul(cast(node, x, to: .float32), scale)]
}
