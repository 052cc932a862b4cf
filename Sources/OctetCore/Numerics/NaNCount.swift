import CKernels

extension Tensor {
  /// How many elements of a concrete float32 tensor are NaN.
  ///
  /// - Throws: `OctetError`: `dtypeMismatch` if the tensor is not float32, `notTraceable` if it is traced.
  package var nanCount: Int {
    get throws {
      try withUnsafeScalars(as: Float.self) { elements in
        // The extremes come for nothing: reading memory is what takes time.
        var (low, high, infinities, nans) = (Float.infinity, -Float.infinity, 0, 0)
        guard let base = elements.baseAddress else { return 0 }
        InstructionSet.current.kernels.min_max(base, elements.count, &low, &high, &infinities, &nans)
        return nans
      }
    }
  }
}
