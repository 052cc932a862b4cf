import OctetCore

// Activations that are quantized while the network runs. In ONNX that is a pattern of many nodes,
//
//     q, s, z = DynamicQuantizeLinear(x);  y = Cast(MatMulInteger(q, w, z, zw)) · (s · sw)
//
// here it is one operation of the quantized activation and of dequantized weights. Until the pattern is complete its values
// carry what they stand for (``DynamicForm``), and nothing else can use them.

let dynamicOperators = [
  Operator("DynamicQuantizeLinear", since: 11, mapDynamicQuantizeLinear),
  Operator("MatMulInteger") { node in [try integerProduct(node, isConvolution: false)] },
  Operator("ConvInteger") { node in [try integerProduct(node, isConvolution: true)] },
  Operator("DynamicQuantizeMatMul", domain: "com.microsoft", mapDynamicQuantizeMatMul),
  Operator("MatMulNBits", domain: "com.microsoft", mapMatMulNBits),
]

/// What a value of the pattern stands for.
final class DynamicForm {
  enum Kind {
    /// The integers of x, and their zero point.
    case integers, zeroPoint
    /// The scale of x, times a known factor.
    case scale(Tensor?)
    /// Sums of products with known integers: what they are in real numbers, once the weight's scales are known.
    case product(finish: (_ scales: Value) throws -> Value)
  }

  let kind: Kind
  let x: Value

  init(_ kind: Kind, of x: Value) {
    self.kind = kind
    self.x = x
  }
}

private func isSameActivation(_ form: DynamicForm?, _ x: Value) -> Bool { form?.x.name == x.name }

@Sendable private func mapDynamicQuantizeLinear(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  if let known = x.tensor { return try quantizedConstant(node, known) }
  func part(_ suffix: String, _ type: TensorType, _ kind: DynamicForm.Kind) -> Value {
    Value(name: "\(node.name)/\(suffix)", type: type, constant: nil, form: DynamicForm(kind, of: x))
  }
  return [
    part("integers", TensorType(.uint8, x.shape), .integers), part("scale", TensorType(.float32, []), .scale(nil)),
    part("zero_point", TensorType(.uint8, []), .zeroPoint),
  ]
}

private func quantizedConstant(_ node: ONNXNode, _ x: Tensor) throws -> [Value] {
  let parameters = try x.withUnsafeScalars(as: Float.self) { elements in
    elements.isEmpty
      ? DynamicParameters(minimum: 0, maximum: 0, quantMax: 255)
      : DynamicParameters(of: elements.baseAddress!, count: elements.count, quantMax: 255)
  }
  let integers = try quantize(
    x, QuantizationParameters(scale: parameters.scale, zeroPoint: parameters.zeroPoint, dtype: .uint8))
  return [
    node.constant(integers, "integers"), node.constant(try Tensor(parameters.scale), "scale"),
    node.constant(try Tensor(UInt8(parameters.zeroPoint)), "zero_point"),
  ]
}

private func integerProduct(_ node: ONNXNode, isConvolution: Bool) throws -> Value {
  let (a, b) = (try node.input(0), try node.input(1))
  let (zeroA, zeroB) = (node.optionalInput(2), node.optionalInput(3))
  if let form = a.form, case .integers = form.kind {
    guard b.tensor != nil, let zeroA, isSameActivation(zeroA.form, form.x) else {
      throw node.unsupported(
        "operands", expected: "a constant weight, and the activation's own zero point", found: b.name)
    }
    // What the sums are with scale 1 tells their shape; nobody uses it.
    let finish = { (scales: Value) throws -> Value in
      let weight = try node.dequantized(b, scale: scales, zero: zeroB, axis: isConvolution ? 0 : -1)
      let x = try node.apply(.dynamicQuantize(Op.DynamicQuantize(.tensor)), form.x)
      return isConvolution ? try conv(node, x, weight, nil) : try product(node, x, weight)
    }
    let shape = try finish(node.scalar(1)).shape
    return Value(
      name: "\(node.name)/sums", type: TensorType(.int32, shape), constant: nil,
      form: DynamicForm(.product(finish: finish), of: form.x))
  }
  // Integers from elsewhere as numbers: exact as long as sums stay below 2²⁴.
  let one = try node.scalar(1)
  let (x, weight) = (
    try node.dequantized(a, scale: one, zero: zeroA, axis: -2),
    try node.dequantized(b, scale: one, zero: zeroB, axis: -1)
  )
  return try cast(node, isConvolution ? conv(node, x, weight, nil) : product(node, x, weight), to: .int32)
}

/// What of the pattern a product of two values completes; `nil` if it is none of it.
func dynamicProduct(_ node: ONNXNode, _ a: Value, _ b: Value) throws -> Value? {
  for (first, second) in [(a, b), (b, a)] {
    guard let form = first.form else { continue }
    switch form.kind {
    case .scale(let factor):
      guard let known = second.tensor else { continue }
      let product = try factor.map { try node.mul(node.constant($0), second).tensor! } ?? known
      return Value(
        name: "\(node.name)/scale", type: product.type, constant: nil, form: DynamicForm(.scale(product), of: form.x))
    case .product(let finish):
      guard let other = second.form, case .scale(let factor) = other.kind, isSameActivation(other, form.x) else {
        continue
      }
      let scales = try factor ?? Tensor(Float(1))
      return try finish(node.reshape(node.constant(scales, "scales"), [.fixed(scales.count)]))
    case .integers, .zeroPoint: continue
    }
  }
  return nil
}

/// The sums of the pattern as real numbers, which their scale makes of them later.
func dynamicCast(_ x: Value, to dtype: DType) -> Value? {
  guard dtype == .float32, let form = x.form, case .product = form.kind else { return nil }
  return Value(name: x.name, type: TensorType(.float32, x.shape), constant: nil, form: form)
}

/// Operands: a float32, b integers [k, n], its scale and zero point, a bias.
@Sendable private func mapDynamicQuantizeMatMul(_ node: ONNXNode) throws -> [Value] {
  let weight = try node.dequantized(
    node.input(1), scale: node.input(2), zero: node.optionalInput(3), axis: -1)
  let x = try node.apply(.dynamicQuantize(Op.DynamicQuantize(.tensor)), node.input(0))
  let result = try product(node, x, weight)
  return [try node.optionalInput(4).map { try node.add(result, $0) } ?? result]
}

/// Weights of 4 bits [n, blocks, bytes] with a scale, and a zero point or 8, for each block of a row.
@Sendable private func mapMatMulNBits(_ node: ONNXNode) throws -> [Value] {
  let (n, k) = (try node.int("N", default: 0), try node.int("K", default: 0))
  let (bits, size) = (try node.int("bits", default: 4), try node.int("block_size", default: 0))
  guard bits == 4, size > 1, size.isMultiple(of: 2), k > 0, k.isMultiple(of: size), n > 0, k < 1 << 31, n < 1 << 31
  else {
    throw node.unsupported(
      "attributes", expected: "4 bits, and whole blocks of an even size", found: "bits \(bits), K \(k), block \(size)")
  }
  let packed = try node.constant(node.input(1), "B")
  let scales = try node.constant(node.input(2), "scales").numbers("scales")
  let blocks = k / size
  guard packed.dtype == .uint8, try packed.count == n * k / 2, scales.count == n * blocks,
    node.optionalInput(4) == nil
  else {
    throw node.unsupported("B", expected: "[\(n), \(blocks), \(size / 2)] and no g_idx", found: packed.type)
  }
  var zeros = [Int](repeating: 8, count: scales.count)
  if let operand = node.optionalInput(3) {
    // Two to a byte, every row in bytes of its own.
    let stored = try node.constant(operand, "zero_points").scalars(as: UInt8.self)
    let row = (blocks + 1) / 2
    guard stored.count == n * row else {
      throw node.invalid("zero_points", expected: "\(n * row) bytes", found: stored.count)
    }
    zeros = zeros.indices.map { Int(stored[$0 / blocks * row + $0 % blocks / 2] >> UInt8($0 % blocks % 2 * 4) & 15) }
  }
  let parameters = try QuantizationParameters(
    scales: scales, zeroPoints: zeros, dtype: .uint4, axis: 1, blockSize: size)
  var integers = Tensor(uninitialized: [n, k], dtype: .uint4)
  integers.withUnsafeMutableBytes { to in packed.withUnsafeBytes { to.copyMemory(from: $0) } }
  let weight = try node.apply(.dequantizeLinear(Op.DequantizeLinear(parameters)), node.constant(integers, "weight"))
  return [try node.apply(.linear(Op.Linear()), node.input(0), weight, node.optionalInput(5))]
}
