import CKernels
import OctetCore

/// The product of two values [..., m, k] · [..., k, n], both in the order of their shapes.
///
/// For integers: `Σ (a − za)(b − zb)`, then the one requantization.
struct MatMulStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let isInteger: Bool
  var label: String { "matmul" }

  fileprivate struct Sizes {
    let m: Int, k: Int, n: Int
    /// Where the matrices of each product begin, in matrices.
    let a: [Int], b: [Int]

    init(_ shapes: Shapes, _ step: MatMulStep) {
      let (a, b) = (shapes.shape(step.inputs[0]), shapes.shape(step.inputs[1]))
      let leading = Array(shapes.shape(step.output).dropLast(2))
      (m, k, n) = (a[a.count - 2], a[a.count - 1], b[b.count - 1])
      let offsetsA = BroadcastOffsets(of: Array(a.dropLast(2)), to: leading)
      let offsetsB = BroadcastOffsets(of: Array(b.dropLast(2)), to: leading)
      self.a = (0..<elementCount(of: leading)).map { offsetsA[$0] }
      self.b = (0..<elementCount(of: leading)).map { offsetsB[$0] }
    }

    var isEmpty: Bool { a.isEmpty || m == 0 || n == 0 }
  }

  func scratchSize(_ shapes: Shapes) throws -> Int {
    let sizes = Sizes(shapes, self)
    if sizes.isEmpty || sizes.k == 0 { return 0 }
    guard isInteger else {
      return octet_sgemm_scratch_size(InstructionSet.current.float32, sizes.m, sizes.n, sizes.k)
    }
    guard sizes.k <= QuantizationParameters.longestActivationSum else {
      throw OctetError(
        .unsupported, name, expected: "sums of at most \(QuantizationParameters.longestActivationSum) products",
        found: "\(sizes.k)")
    }
    return withUnsafePointer(to: octet_matmul(sizes)) {
      octet_matmul_scratch_size(InstructionSet.current.int8, $0)
    }
  }

  func call(_ memory: Memory) -> Call {
    let sizes = Sizes(memory.shapes, self)
    let to = output
    if sizes.isEmpty { return Call(items: 0) { _, _ in } }
    if sizes.k == 0 {
      // Sums of nothing are 0.
      let zero = isInteger ? UInt8(memory.quantization(to).zero) : 0
      let bytes = memory.shapes.byteCount(to)
      return Call { _, _ in memory.bytes(to).update(repeating: zero, count: bytes) }
    }
    // Where there are fewer products than threads, each is split by rows.
    let pieces = min(sizes.m, (memory.shapes.threads + sizes.a.count - 1) / sizes.a.count)
    let product = isInteger ? integerProduct(memory, sizes) : floatProduct(memory, sizes)
    return Call(items: sizes.a.count * pieces) { item, worker in
      let (index, piece) = (item / pieces, item % pieces)
      product(index, sizes.m * piece / pieces..<sizes.m * (piece + 1) / pieces, memory.scratch(worker))
    }
  }

  private typealias Product = (_ index: Int, _ rows: Range<Int>, _ scratch: UnsafeMutableRawPointer) -> Void

  private func floatProduct(_ memory: Memory, _ sizes: Sizes) -> Product {
    let (first, second, to) = (inputs[0], inputs[1], output)
    let (m, k, n) = (sizes.m, sizes.k, sizes.n)
    let family = memory.float32
    return { index, rows, scratch in
      let a = memory.floats(first) + (sizes.a[index] * m + rows.lowerBound) * k
      let out = memory.floats(to) + (index * m + rows.lowerBound) * n
      octet_sgemm(
        family, rows.count, n, k, a, k, 1, memory.floats(second) + sizes.b[index] * k * n, n, 1, out, n, false, scratch)
    }
  }

  private func integerProduct(_ memory: Memory, _ sizes: Sizes) -> Product {
    let (first, second, to) = (inputs[0], inputs[1], output)
    let (m, k, n) = (sizes.m, sizes.k, sizes.n)
    let (qa, qb, q) = (memory.quantization(first), memory.quantization(second), memory.quantization(to))
    let family = memory.int8
    var product = octet_matmul(sizes)
    (product.a_zero, product.b_zero, product.zero) = (Int32(qa.zero), Int32(qb.zero), Int32(q.zero))
    product.scale = qa.scale * qb.scale / q.scale
    (product.lower, product.upper) = q.bounds()
    return { [product] index, rows, scratch in
      var product = product
      product.m = rows.count
      octet_matmul_run(
        family, &product, memory.bytes(first) + (sizes.a[index] * m + rows.lowerBound) * k,
        memory.bytes(second) + sizes.b[index] * k * n, memory.bytes(to) + (index * m + rows.lowerBound) * n, scratch)
    }
  }
}

extension octet_matmul {
  /// Without what bytes stand for.
  fileprivate init(_ sizes: MatMulStep.Sizes) {
    self.init()
    (m, n, k) = (sizes.m, sizes.n, sizes.k)
  }
}
