import OctetCore

let poolingOperators = [
  Operator("MaxPool", mapMaxPool),
  Operator("AveragePool", mapAveragePool),
  Operator("LpPool", mapLpPool),
  Operator("GlobalAveragePool") { node in [try overImage(node, .mean)] },
  Operator("GlobalMaxPool") { node in [try overImage(node, .max)] },
]

func pool(_ node: ONNXNode, _ kind: Op.Pool.Kind, _ x: Value, countIncludePad: Bool) throws -> Value {
  if x.rank == 5 { return try volumePool(node, kind, x, countIncludePad: countIncludePad) }
  var window = try WindowAttributes(node, x: x)
  try window.pad(node, x)
  let op = Op.Pool(
    kind, kernel: window.kernel2D, stride: window.stride2D, padding: window.padding2D, dilation: window.dilation2D,
    ceilMode: try node.int("ceil_mode", default: 0) != 0, countIncludePad: countIncludePad)
  return try node.apply(.pool(op), x)
}

@Sendable private func mapMaxPool(_ node: ONNXNode) throws -> [Value] {
  guard !node.isWanted(1) else { throw node.unsupported("Indices", expected: "not wanted", found: "a result") }
  return [try selection(node, of: node.input(0)) { try pool(node, .max, $0, countIncludePad: false) }]
}

@Sendable private func mapAveragePool(_ node: ONNXNode) throws -> [Value] {
  let counts = try node.int("count_include_pad", default: 0) != 0
  return [try pool(node, .average, node.input(0), countIncludePad: counts)]
}

/// `(Σ |x|ᵖ)^(1/p)`: the mean, times the size of the window.
@Sendable private func mapLpPool(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let window = try WindowAttributes(node, x: x)
  guard try node.int("ceil_mode", default: 0) == 0 else {
    throw node.unsupported("ceil_mode", expected: "0", found: 1)
  }
  let order = try node.scalar(Float(node.int("p", default: 2)))
  let powers = try node.apply(.binary(.pow), node.unary(.abs, x), order)
  let mean = try pool(node, .average, powers, countIncludePad: true)
  let sum = try node.mul(mean, node.scalar(Float(elementCount(of: window.kernel))))
  return [try node.apply(.binary(.pow), sum, node.unary(.reciprocal, order))]
}

private func overImage(_ node: ONNXNode, _ kind: Op.Reduce.Kind) throws -> Value {
  let x = try node.input(0)
  guard x.rank >= 3 else { throw node.invalid("x", expected: "[n, c, …]", found: x.type) }
  return try node.apply(.reduce(Op.Reduce(kind, axes: Array(2..<x.rank))), x)
}
