import OctetCore

let linearAlgebraOperators = [
  Operator("Gemm", mapGemm),
  Operator("Einsum", since: 12, mapEinsum),
  Operator("MatMul") { node in [try product(node, node.input(0), node.input(1))] },
]

extension ONNXNode {
  /// A matrix with its axes swapped. Quantized weights stay quantized: their integers are swapped, and the axis of their
  /// scales.
  func transposedMatrix(_ matrix: Value) throws -> Value {
    if let swapped = try builder.swappingQuantizedAxes(of: matrix, named: "\(name)/weight") { return swapped }
    return try apply(.transpose(Op.Transpose([1, 0])), matrix)
  }

  /// Whether a value is a weight: known while reading, or integers that are dequantized.
  func isWeight(_ value: Value) -> Bool { value.tensor != nil || builder.isDequantizedConstant(value) }
}

/// `a · b`; with a weight on the right a linear layer, which quantization knows best.
func product(_ node: ONNXNode, _ a: Value, _ b: Value) throws -> Value {
  if b.rank == 2, a.rank >= 1, a.tensor == nil, node.isWeight(b) {
    return try node.apply(.linear(Op.Linear()), a, node.transposedMatrix(b))
  }
  return try node.apply(.matmul(Op.MatMul()), a, b)
}

/// `alpha · a′ · b′ + beta · c`
@Sendable private func mapGemm(_ node: ONNXNode) throws -> [Value] {
  var (a, b) = (try node.input(0), try node.input(1))
  var c = node.optionalInput(2)
  guard a.rank == 2, b.rank == 2 else {
    throw node.invalid("operands", expected: "two matrices", found: "\(a.type), \(b.type)")
  }
  if try node.int("transA", default: 0) != 0 { a = try node.transposedMatrix(a) }
  let alpha = try node.float("alpha", default: 1)
  let beta = try node.float("beta", default: 1)
  if alpha != 1 {
    if b.tensor != nil { b = try node.mul(b, node.scalar(alpha)) } else { a = try node.mul(a, node.scalar(alpha)) }
  }
  if beta != 1, let addend = c { c = beta == 0 ? nil : try node.mul(addend, node.scalar(beta)) }
  let isTransposed = try node.int("transB", default: 0) != 0
  guard node.isWeight(b) else {
    let product = try node.apply(.matmul(Op.MatMul()), a, isTransposed ? node.transposedMatrix(b) : b)
    return [try c.map { try node.add(product, $0) } ?? product]
  }
  let weight = isTransposed ? b : try node.transposedMatrix(b)
  // A row of one number for each column is a bias.
  var bias: Value?
  if let row = c, row.rank == 2, row.shape[0] == 1, row.shape[1] == weight.shape[0] {
    bias = try node.apply(.squeeze(Op.Squeeze([0])), row)
  } else if let row = c, row.rank == 1, row.shape[0] == weight.shape[0] {
    bias = row
  }
  let product = try node.apply(.linear(Op.Linear()), a, weight, bias)
  if bias == nil, let c { return [try node.add(product, c)] }
  return [product]
}
