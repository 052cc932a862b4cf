import OctetCore
import TestSupport
import Testing

/// Both float matrix products against sums in Double, and against each other.
@Suite("FloatGEMM")
struct FloatGEMMTests {
  struct Matrix {
    let elements: [Float]
    let strides: FloatGEMM.Strides

    /// rows × columns, row-major or transposed, with `gap` unused elements between lines.
    init(_ rows: Int, _ columns: Int, transposed: Bool, gap: Int, _ generator: inout SeededGenerator) {
      let (lines, length) = transposed ? (columns, rows) : (rows, columns)
      // What must not be read is NaN.
      elements = (0..<lines * (length + gap)).map {
        $0 % (length + gap) < length ? Float.random(in: -1...1, using: &generator) : .nan
      }
      strides = transposed ? (1, length + gap) : (length + gap, 1)
    }

    subscript(row: Int, column: Int) -> Float { elements[row * strides.row + column * strides.column] }
  }

  private func check(_ m: Int, _ n: Int, _ k: Int, gap: Int, _ generator: inout SeededGenerator) {
    for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
      let a = Matrix(m, k, transposed: transposeA, gap: gap, &generator)
      let b = Matrix(k, n, transposed: transposeB, gap: gap, &generator)
      var results = [[Float](repeating: .nan, count: m * n)]
      FloatGEMM.multiplyWithKernels(m: m, n: n, k: k, a.elements, a.strides, b.elements, b.strides, into: &results[0])
      #if (OpenBLAS && os(Linux)) || canImport(Accelerate)
        results.append([Float](repeating: .nan, count: m * n))
        FloatGEMM.multiplyWithBLAS(m: m, n: n, k: k, a.elements, a.strides, b.elements, b.strides, into: &results[1])
      #endif
      var worst = 0.0
      for i in 0..<m {
        for j in 0..<n {
          let terms = (0..<k).map { Double(a[i, $0]) * Double(b[$0, j]) }
          // Any order of summation errs by at most (k + 1) · 2⁻²⁴ · Σ|terms|, doubled here.
          let bound = Double(k + 1) * 0x1p-23 * terms.reduce(0) { $0 + abs($1) }
          let exact = terms.reduce(0, +)
          for result in results {
            let error = abs(Double(result[i * n + j]) - exact)
            worst = max(worst, error.isNaN ? .infinity : error / max(bound, .leastNormalMagnitude))
          }
        }
      }
      #expect(worst <= 1, "\(m)×\(n)×\(k), gap \(gap), transposed \(transposeA) \(transposeB)")
    }
  }

  @Test func everySizeUpTo70() {
    var generator = SeededGenerator(seed: 1)
    for size in 1...70 {
      check(size, size * 13 % 70 + 1, size * 29 % 70 + 1, gap: 0, &generator)
      check(size * 29 % 70 + 1, size, size * 13 % 70 + 1, gap: size % 5, &generator)
      check(size * 13 % 70 + 1, size * 29 % 70 + 1, size, gap: 0, &generator)
    }
  }

  @Test func vectorsAndSingleNumbers() {
    var generator = SeededGenerator(seed: 2)
    for (m, n, k) in [(1, 1, 1), (1, 70, 1), (70, 1, 1), (1, 1, 70), (1, 70, 70), (70, 1, 70), (70, 70, 1)] {
      check(m, n, k, gap: 0, &generator)
      check(m, n, k, gap: 3, &generator)
    }
  }

  @Test func aLongReduction() {
    var generator = SeededGenerator(seed: 3)
    check(5, 7, 3000, gap: 0, &generator)
  }
}
