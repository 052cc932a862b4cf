import CKernels

#if OpenBLAS && os(Linux)
  import COpenBLAS
#elseif canImport(Accelerate)
  import Accelerate
#endif

/// Products of float matrices for evaluating operations: BLAS where there is one, our own kernels otherwise.
package enum FloatGEMM {
  /// Element strides of a matrix: (from row to row, from column to column). One of them is 1.
  package typealias Strides = (row: Int, column: Int)

  /// out [m, n] = a [m, k] · b [k, n], or that added to out, whose rows are `rowStride` elements apart (n if it does not say).
  package static func multiply(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ stridesA: Strides, _ b: UnsafePointer<Float>,
    _ stridesB: Strides, into out: UnsafeMutablePointer<Float>, rowStride: Int? = nil, adding: Bool = false
  ) {
    #if (OpenBLAS && os(Linux)) || canImport(Accelerate)
      multiplyWithBLAS(m: m, n: n, k: k, a, stridesA, b, stridesB, into: out, rowStride: rowStride, adding: adding)
    #else
      multiplyWithKernels(m: m, n: n, k: k, a, stridesA, b, stridesB, into: out, rowStride: rowStride, adding: adding)
    #endif
  }

  /// The same for large matrices, in parts that threads share: rows or columns of the result; or parts of long sums, which are
  /// added in their order.
  package static func multiplyConcurrently(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ stridesA: Strides, _ b: UnsafePointer<Float>,
    _ stridesB: Strides, into out: UnsafeMutablePointer<Float>, adding: Bool = false
  ) {
    // (Results that are large have rows and columns enough.)
    if k >= 1024, k >= 4 * max(m, n), m * n <= 1 << 18 {
      let parts = min(k / 512, 16)
      let sums = TensorStorage(byteCount: (parts - 1) * m * n * MemoryLayout<Float>.stride, zeroed: false)
      let others = sums.base.assumingMemoryBound(to: Float.self)
      concurrently(parts) { part in
        let (first, last) = (k * part / parts, k * (part + 1) / parts)
        multiply(
          m: m, n: n, k: last - first, a + first * stridesA.column, stridesA, b + first * stridesB.row, stridesB,
          into: part == 0 ? out : others + (part - 1) * m * n, adding: part == 0 && adding)
      }
      for part in 0..<parts - 1 {
        for i in 0..<m * n { out[i] += others[part * m * n + i] }
      }
    } else if n >= m {
      let parts = max(min(n / 64, 16), 1)
      concurrently(parts) { part in
        // (Whole vectors of columns.)
        let (first, last) = (n / 16 * part / parts * 16, part == parts - 1 ? n : n / 16 * (part + 1) / parts * 16)
        multiply(
          m: m, n: last - first, k: k, a, stridesA, b + first * stridesB.column, stridesB, into: out + first,
          rowStride: n, adding: adding)
      }
    } else {
      let parts = max(min(m / 64, 16), 1)
      concurrently(parts) { part in
        let (first, last) = (m * part / parts, m * (part + 1) / parts)
        multiply(
          m: last - first, n: n, k: k, a + first * stridesA.row, stridesA, b, stridesB, into: out + first * n,
          adding: adding)
      }
    }
  }

  package static func multiplyWithKernels(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ stridesA: Strides, _ b: UnsafePointer<Float>,
    _ stridesB: Strides, into out: UnsafeMutablePointer<Float>, rowStride: Int? = nil, adding: Bool = false
  ) {
    let family = InstructionSet.current.float32
    let scratch = UnsafeMutableRawPointer.allocate(
      byteCount: max(octet_sgemm_scratch_size(family, m, n, k), 1), alignment: TensorStorage.alignment)
    defer { scratch.deallocate() }
    octet_sgemm(
      family, m, n, k, a, stridesA.row, stridesA.column, b, stridesB.row, stridesB.column, out, rowStride ?? n,
      adding, scratch)
  }

  #if (OpenBLAS && os(Linux)) || canImport(Accelerate)
    package static func multiplyWithBLAS(
      m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ stridesA: Strides, _ b: UnsafePointer<Float>,
      _ stridesB: Strides, into out: UnsafeMutablePointer<Float>, rowStride: Int? = nil, adding: Bool = false
    ) {
      #if OpenBLAS && os(Linux)
        useOneThread
      #endif
      // A matrix whose columns are contiguous is the transposition of a row-major one.
      func layout(_ strides: Strides, columns: Int) -> (CBLAS_TRANSPOSE, Int32) {
        strides.column == 1
          ? (CblasNoTrans, Int32(max(strides.row, columns, 1))) : (CblasTrans, Int32(max(strides.column, 1)))
      }
      let (transposeA, lda) = layout(stridesA, columns: k)
      let (transposeB, ldb) = layout(stridesB, columns: n)
      cblas_sgemm(
        CblasRowMajor, transposeA, transposeB, Int32(m), Int32(n), Int32(k), 1, a, lda, b, ldb, adding ? 1 : 0, out,
        Int32(rowStride ?? n))
    }
  #endif

  #if OpenBLAS && os(Linux)
    // Threads are ours to give, not the library's.
    static let useOneThread: Void = openblas_set_num_threads(1)
  #endif
}
