import OctetCore

// Operators on integers with the parameters of every operand beside it: each becomes dequantize → operation → quantize, the
// form in which everything quantized is kept.

let quantizedOperators: [Operator] =
  [
    Operator("QLinearConv", mapQLinearConv),
    Operator("QLinearMatMul", mapQLinearMatMul),
    Operator("QGemm", domain: "com.microsoft", mapQGemm),
    Operator("QLinearAdd", domain: "com.microsoft") { node in [try quantizedBinary(node, .add)] },
    Operator("QLinearMul", domain: "com.microsoft") { node in [try quantizedBinary(node, .mul)] },
    Operator("QLinearSigmoid", domain: "com.microsoft") { node in
      [try quantizedFunction(node) { try node.unary(.sigmoid, $0) }]
    },
    Operator("QLinearLeakyRelu", domain: "com.microsoft") { node in
      let alpha = try node.float("alpha", default: 0.01)
      return [try quantizedFunction(node) { try node.unary(.leakyRelu(alpha: alpha), $0) }]
    },
    Operator("QLinearSoftmax", domain: "com.microsoft") { node in
      let axis = try node.int("axis", default: -1)
      let isFlattened = try node.int("opset", default: 13) < 13
      return [
        try quantizedFunction(node) { x in
          isFlattened
            ? try flattenedSoftmax(node, x, axis: axis, isLogarithm: false)
            : try node.apply(.softmax(Op.Softmax(axis: axis)), x)
        }
      ]
    },
    Operator("QLinearGlobalAveragePool", domain: "com.microsoft") { node in
      try node.requireChannelsFirst()
      return [
        try quantizedFunction(node) { x in
          try node.apply(.reduce(Op.Reduce(.mean, axes: Array(2..<max(x.rank, 2)))), x)
        }
      ]
    },
    Operator("QLinearAveragePool", domain: "com.microsoft") { node in
      try node.requireChannelsFirst()
      let counts = try node.int("count_include_pad", default: 0) != 0
      return [try quantizedFunction(node) { try pool(node, .average, $0, countIncludePad: counts) }]
    },
    Operator("QLinearConcat", domain: "com.microsoft", mapQLinearConcat),
    // A condition, then two operands with their parameters, then those of the result.
    Operator("QLinearWhere", domain: "com.microsoft") { node in
      let chosen = try node.apply(.where(Op.Where()), node.input(0), node.dequantized(1), node.dequantized(4))
      return [try node.quantized(chosen, 7, dtype: node.input(1).dtype)]
    },
  ]

extension ONNXNode {
  fileprivate func requireChannelsFirst() throws {
    guard try int("channels_last", default: 0) == 0 else {
      throw unsupported("channels_last", expected: "0", found: 1)
    }
  }

  /// The real numbers that operand `index` stands for, whose scale and zero point follow it.
  fileprivate func dequantized(_ index: Int, axis: Int = 0) throws -> Value {
    try dequantized(input(index), scale: input(index + 1), zero: optionalInput(index + 2), axis: axis)
  }

  func dequantized(_ x: Value, scale: Value, zero: Value?, axis: Int) throws -> Value {
    let parameters = try parameters(of: x, scale: scale, zero: zero, dtype: x.dtype, axis: axis)
    return try apply(.dequantizeLinear(Op.DequantizeLinear(parameters)), x)
  }

  /// The integers of a result, whose scale is operand `index`; the zero point follows it.
  fileprivate func quantized(_ x: Value, _ index: Int, dtype: DType) throws -> Value {
    let parameters = try parameters(
      of: x, scale: input(index), zero: optionalInput(index + 1), dtype: dtype, axis: 0)
    return try apply(.quantizeLinear(Op.QuantizeLinear(parameters)), x)
  }
}

/// Operands: x, its scale and zero point, the weight's three, scale and zero point of the result, bias int32 in units of
/// `scale of x · scale of the weight`.
@Sendable private func mapQLinearConv(_ node: ONNXNode) throws -> [Value] {
  let bias = try node.optionalInput(8).map { try realBias(node, $0, scales: (node.input(1), node.input(4))) }
  let sum = try conv(node, node.dequantized(0), node.dequantized(3), bias)
  return [try node.quantized(sum, 6, dtype: node.input(0).dtype)]
}

private func realBias(_ node: ONNXNode, _ bias: Value, scales: (Value, Value)) throws -> Value {
  let scale = try node.mul(node.reshape(scales.0, []), scales.1)
  return try node.reshape(node.mul(cast(node, bias, to: .float32), scale), [-1])
}

@Sendable private func mapQLinearMatMul(_ node: ONNXNode) throws -> [Value] {
  let sum = try product(node, node.dequantized(0), node.dequantized(3, axis: -1))
  return [try node.quantized(sum, 6, dtype: node.input(0).dtype)]
}

/// As QLinearMatMul, with transposed operands, a factor, a bias, and real results if no scale is given for them.
@Sendable private func mapQGemm(_ node: ONNXNode) throws -> [Value] {
  let isTransposed = try node.int("transB", default: 0) != 0
  var a = try node.dequantized(0)
  if try node.int("transA", default: 0) != 0 { a = try node.transposedMatrix(a) }
  let b = try node.dequantized(3, axis: isTransposed ? 0 : 1)
  let alpha = try node.float("alpha", default: 1)
  guard alpha == 1 else { throw node.unsupported("alpha", expected: "1", found: alpha) }
  let bias = try node.optionalInput(6).map { try realBias(node, $0, scales: (node.input(1), node.input(4))) }
  let weight = isTransposed ? b : try node.transposedMatrix(b)
  let sum = try node.apply(.linear(Op.Linear()), a, weight, bias)
  return [node.optionalInput(7) == nil ? sum : try node.quantized(sum, 7, dtype: node.input(0).dtype)]
}

private func quantizedBinary(_ node: ONNXNode, _ function: Op.Binary) throws -> Value {
  let result = try node.apply(.binary(function), node.dequantized(0), node.dequantized(3))
  return try node.quantized(result, 6, dtype: node.input(0).dtype)
}

/// Operands: x, its scale and zero point, those of the result.
private func quantizedFunction(_ node: ONNXNode, _ function: (Value) throws -> Value) throws -> Value {
  try node.quantized(function(node.dequantized(0)), 3, dtype: node.input(0).dtype)
}

/// Operands: scale and zero point of the result, then three for each part.
@Sendable private func mapQLinearConcat(_ node: ONNXNode) throws -> [Value] {
  let parts = try stride(from: 2, to: node.inputs.count, by: 3).map { try Optional(node.dequantized($0)) }
  let joined = try node.results(.concat(Op.Concat(axis: node.int("axis", default: 0))), parts)[0]
  return [try node.quantized(joined, 0, dtype: node.input(2).dtype)]
}
