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

  /// out [m, n] = a [m, k] · b [k, n], or that added to out.
  package static func multiply(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ stridesA: Strides, _ b: UnsafePointer<Float>,
    _ stridesB: Strides, into out: UnsafeMutablePointer<Float>, adding: Bool = false
  ) {
    #if (OpenBLAS && os(Linux)) || canImport(Accelerate)
      multiplyWithBLAS(m: m, n: n, k: k, a, stridesA, b, stridesB, into: out, adding: adding)
    #else
      multiplyWithKernels(m: m, n: n, k: k, a, stridesA, b, stridesB, into: out, adding: adding)
    #endif
  }

  package static func multiplyWithKernels(
    m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ stridesA: Strides, _ b: UnsafePointer<Float>,
    _ stridesB: Strides, into out: UnsafeMutablePointer<Float>, adding: Bool = false
  ) {
    let family = InstructionSet.current.float32
    let scratch = UnsafeMutableRawPointer.allocate(
      byteCount: max(octet_sgemm_scratch_size(family, m, n, k), 1), alignment: TensorStorage.alignment)
    defer { scratch.deallocate() }
    octet_sgemm(
      family, m, n, k, a, stridesA.row, stridesA.column, b, stridesB.row, stridesB.column, out, n, adding, scratch)
  }

  #if (OpenBLAS && os(Linux)) || canImport(Accelerate)
    package static func multiplyWithBLAS(
      m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ stridesA: Strides, _ b: UnsafePointer<Float>,
      _ stridesB: Strides, into out: UnsafeMutablePointer<Float>, adding: Bool = false
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
        Int32(n))
    }
  #endif

  #if OpenBLAS && os(Linux)
    // Threads are ours to give, not the library's.
    static let useOneThread: Void = openblas_set_num_threads(1)
  #endif
}
