#if OpenBLAS && os(Linux)
  import COpenBLAS
#endif

/// Factors of symmetric positive definite matrices: LAPACK's where there is one, our own otherwise.
package enum Cholesky {
  /// `a = L · Lᵀ` and `M = L⁻¹`, both [n, n] in row-major order with zeros above the diagonal.
  package struct Factors {
    package var lower: [Float]
    package var inverse: [Float]
  }

  /// - Parameter a: [n, n]; only its lower triangle is read.
  /// - Returns: `nil` if the matrix is not positive definite, as far as float32 can tell.
  package static func factor(_ a: [Float], n: Int) -> Factors? {
    #if OpenBLAS && os(Linux)
      factorWithLAPACK(a, n: n)
    #else
      factorByHalves(a, n: n)
    #endif
  }

  #if OpenBLAS && os(Linux)
    package static func factorWithLAPACK(_ a: [Float], n: Int) -> Factors? {
      FloatGEMM.useOneThread
      var lower = a
      // A lower triangle in row-major order is an upper one in LAPACK's column-major order.
      let (upper, order) = (CChar(UInt8(ascii: "U")), Int32(n))
      let leading = max(order, 1)
      guard LAPACKE_spotrf(LAPACK_COL_MAJOR, upper, order, &lower, leading) == 0 else { return nil }
      clearAboveDiagonal(&lower, n)
      guard isWellAboveRounding(lower, a, n) else { return nil }
      var inverse = lower
      guard LAPACKE_strtri(LAPACK_COL_MAJOR, upper, CChar(UInt8(ascii: "N")), order, &inverse, leading) == 0 else {
        return nil
      }
      return Factors(lower: lower, inverse: inverse)
    }
  #endif

  /// A = [A₁₁ ·; A₂₁ A₂₂] by halves, so that nearly all work is matrix products: L₂₁ = A₂₁ M₁₁ᵀ, then A₂₂ − L₂₁ L₂₁ᵀ is
  /// factored, and M₂₁ = −M₂₂ L₂₁ M₁₁.
  package static func factorByHalves(_ a: [Float], n: Int) -> Factors? {
    var factors = Factors(lower: a, inverse: [Float](repeating: 0, count: n * n))
    let isDefinite = factors.lower.withUnsafeMutableBufferPointer { lower in
      factors.inverse.withUnsafeMutableBufferPointer { inverse in
        n == 0 || Halves(stride: n, l: lower.baseAddress!, m: inverse.baseAddress!).factor(0, n)
      }
    }
    guard isDefinite else { return nil }
    clearAboveDiagonal(&factors.lower, n)
    return isWellAboveRounding(factors.lower, a, n) ? factors : nil
  }

  private static func clearAboveDiagonal(_ matrix: inout [Float], _ n: Int) {
    for i in 0..<n { for j in i + 1..<max(n, i + 1) { matrix[i * n + j] = 0 } }
  }

  /// A pivot that is nothing but the rounding error of its own matrix element says that the matrix is singular.
  private static func isWellAboveRounding(_ lower: [Float], _ a: [Float], _ n: Int) -> Bool {
    (0..<n).allSatisfy { i in
      let pivot = lower[i * n + i]
      return pivot * pivot > a[i * n + i] * .ulpOfOne
    }
  }
}

/// The recursion of ``Cholesky/factorByHalves(_:n:)`` on two matrices in place.
private struct Halves {
  let stride: Int
  /// A's lower triangle, which becomes L. What lies above the diagonal is of no meaning.
  let l: UnsafeMutablePointer<Float>
  /// L⁻¹, all zeros at first.
  let m: UnsafeMutablePointer<Float>

  /// Factors rows and columns start ..< start + n; whether they are positive definite.
  func factor(_ start: Int, _ n: Int) -> Bool {
    if n <= 32 { return factorDirectly(start, n) }
    let (half, rest, middle) = (n / 2, n - n / 2, start + n / 2)
    let rows = FloatGEMM.Strides(row: stride, column: 1)
    let l21 = l + middle * stride + start
    let m21 = m + middle * stride + start
    let m11 = m + start * stride + start
    var product = [Float](repeating: 0, count: rest * max(half, rest))

    guard factor(start, half) else { return false }
    FloatGEMM.multiply(m: rest, n: half, k: half, l21, rows, m11, (1, stride), into: &product)
    write(product, rest, half, to: l21) { $1 }
    FloatGEMM.multiply(m: rest, n: rest, k: half, l21, rows, l21, (1, stride), into: &product)
    write(product, rest, rest, to: l + middle * stride + middle) { $0 - $1 }
    guard factor(middle, rest) else { return false }
    let m22 = m + middle * stride + middle
    FloatGEMM.multiply(m: rest, n: half, k: rest, m22, rows, l21, rows, into: &product)
    write(product, rest, half, to: m21) { $1 }
    FloatGEMM.multiply(m: rest, n: half, k: half, m21, rows, m11, rows, into: &product)
    write(product, rest, half, to: m21) { -$1 }
    return true
  }

  private func write(
    _ product: [Float], _ rows: Int, _ columns: Int, to block: UnsafeMutablePointer<Float>,
    _ combined: (Float, Float) -> Float
  ) {
    for i in 0..<rows {
      let row = block + i * stride
      for j in 0..<columns { row[j] = combined(row[j], product[i * columns + j]) }
    }
  }

  /// By the definition, element by element, summed in Double.
  private func factorDirectly(_ start: Int, _ n: Int) -> Bool {
    let (l, m) = (l + start * stride + start, m + start * stride + start)
    for j in 0..<n {
      for i in j..<n {
        var sum = Double(l[i * stride + j])
        for p in 0..<j { sum -= Double(l[i * stride + p]) * Double(l[j * stride + p]) }
        if i > j {
          l[i * stride + j] = Float(sum / Double(l[j * stride + j]))
        } else {
          // Not `sum <= 0`: a NaN is no pivot either.
          guard sum > 0, sum.isFinite else { return false }
          l[j * stride + j] = Float(sum.squareRoot())
        }
      }
    }
    for j in 0..<n {
      m[j * stride + j] = 1 / l[j * stride + j]
      for i in j + 1..<max(n, j + 1) {
        var sum = 0.0
        for p in j..<i { sum -= Double(l[i * stride + p]) * Double(m[p * stride + j]) }
        m[i * stride + j] = Float(sum / Double(l[i * stride + i]))
      }
    }
    return true
  }
}
