import OctetCore

let quantizationOperators: [Operator] = ["", "com.microsoft"].flatMap { domain in
  [
    Operator("QuantizeLinear", domain: domain, mapQuantizeLinear),
    Operator("DequantizeLinear", domain: domain, mapDequantizeLinear),
  ]
}

extension ONNXNode {
  /// Scale and zero point as parameters. They must be known; a scale for each index of an axis, or for each block along it.
  ///
  /// - Parameter stated: the type of the integers if there is no zero point.
  func parameters(
    of x: Value, scale: Value, zero: Value?, dtype stated: DType, axis: Int, blockSize: Int = 0
  ) throws -> QuantizationParameters {
    let scale = try constant(scale, "scale")
    let zero = try zero.map { try constant($0, "zero_point") }
    _ = try (listed(scale.count), zero.map { try listed($0.count) })
    let dtype = zero?.dtype ?? stated
    var scales = try scale.numbers("scale")
    var zeros = try zero?.integers("zero_point") ?? [0]
    guard dtype.quantizedRange != nil else {
      throw unsupported("zero_point", expected: "an integer type of 4, 8 or 16 bits", found: dtype.rawValue)
    }
    if scales.count == 1, zeros.count == 1, blockSize == 0 {
      return try QuantizationParameters(scale: scales[0], zeroPoint: zeros[0], dtype: dtype)
    }
    if scales.count == 1 { scales = [Float](repeating: scales[0], count: zeros.count) }
    if zeros.count == 1 { zeros = [Int](repeating: zeros[0], count: scales.count) }
    guard scale.rank <= 1 || scale.rank == x.rank && blockSize > 0 else {
      throw invalid("scale", expected: "one number, one for each index of an axis, or blocks", found: scale.type)
    }
    return try QuantizationParameters(
      scales: scales, zeroPoints: zeros, dtype: dtype, axis: self.axis(axis, rank: x.rank),
      blockSize: blockSize > 0 ? blockSize : nil)
  }
}

/// The parameters of QuantizeLinear and DequantizeLinear.
private func parameters(_ node: ONNXNode, of x: Value, dtype: DType) throws -> QuantizationParameters {
  try node.parameters(
    of: x, scale: node.input(1), zero: node.optionalInput(2), dtype: dtype, axis: node.int("axis", default: 1),
    blockSize: node.int("block_size", default: 0))
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
