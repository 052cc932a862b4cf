import CKernels
import OctetCore

/// The product of two values [..., m, k] · [..., k, n], both in the order of their shapes.
///
/// For integers, each matrix b is turned into weights with a zero point, packed, and multiplied as a linear layer's are:
/// `Σ (a − za)(b − zb)`, then the one requantization.
struct MatMulStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let isInteger: Bool
  var label: String { "matmul" }

  private struct Sizes {
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

    /// b as the weights of a linear layer of `rows` rows.
    func shape(rows: Int) -> octet_conv_shape {
      octet_conv_shape(
        in_h: rows, in_w: 1, in_c: k, out_h: rows, out_w: 1, out_c: n, kernel_h: 1, kernel_w: 1, stride_h: 1,
        stride_w: 1, dilation_h: 1, dilation_w: 1, pad_top: 0, pad_left: 0, groups: 1)
    }
  }

  /// A worker's memory: b transposed, packed, its sums, and the arrays of the epilogue.
  private struct Scratch {
    let padded: Int
    let packed: Int, sums: Int, initial: Int, scale: Int, bias: Int, zero: Int, kernels: Int, size: Int

    init(_ sizes: Sizes, _ family: UnsafePointer<octet_gemm_family>) {
      var shape = sizes.shape(rows: sizes.m)
      padded = octet_conv_padded_channels(family, &shape)
      let array = aligned(padded * 4)
      packed = aligned(sizes.n * sizes.k)
      sums = packed + aligned(octet_conv_packed_size(family, &shape))
      initial = sums + array
      scale = initial + array
      bias = scale + array
      zero = bias + array
      kernels = zero + array
      size = kernels + octet_conv_scratch_size(family, &shape)
    }
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
    return Scratch(sizes, InstructionSet.current.int8).size
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
    let (lower, upper) = q.bounds()
    let family = memory.int8
    let layout = Scratch(sizes, family)
    // Bytes less 128 are the signed weights.
    let weightZero = Int32(qb.zero - 128)
    return { index, rows, scratch in
      func array<Element>(_ offset: Int, _: Element.Type) -> UnsafeMutablePointer<Element> {
        (scratch + offset).assumingMemoryBound(to: Element.self)
      }
      let (weights, sums) = (array(0, Int8.self), array(layout.sums, Int32.self))
      let b = memory.bytes(second) + sizes.b[index] * k * n
      for row in 0..<k {
        for column in 0..<n { weights[column * k + row] = Int8(bitPattern: b[row * n + column] ^ 128) }
      }
      var shape = sizes.shape(rows: rows.count)
      octet_conv_pack(family, &shape, weights, scratch + layout.packed, sums)
      let (initial, scale) = (array(layout.initial, Int32.self), array(layout.scale, Float.self))
      let (bias, zeros) = (array(layout.bias, Float.self), array(layout.zero, Int32.self))
      let za = Int32(qa.zero)
      for c in 0..<layout.padded {
        initial[c] = -za * sums[c] + za * weightZero * Int32(k)
        scale[c] = qa.scale * qb.scale / q.scale
        bias[c] = 0
        zeros[c] = weightZero
      }
      var epilogue = octet_epilogue()
      epilogue.output = OCTET_OUTPUT_UINT8
      epilogue.initial = UnsafePointer(initial)
      epilogue.scale = UnsafePointer(scale)
      epilogue.bias = UnsafePointer(bias)
      epilogue.weight_zero = UnsafePointer(zeros)
      (epilogue.lower, epilogue.upper, epilogue.zero) = (lower, upper, Int32(q.zero))
      let tasks = octet_conv_tasks(family, &shape, 1, 1)
      octet_conv_run(
        family, &shape, 1, memory.bytes(first) + (sizes.a[index] * m + rows.lowerBound) * k, UInt8(qa.zero),
        scratch + layout.packed, &epilogue, memory.bytes(to) + (index * m + rows.lowerBound) * n, tasks, 0, tasks,
        scratch + layout.kernels)
    }
  }
}
