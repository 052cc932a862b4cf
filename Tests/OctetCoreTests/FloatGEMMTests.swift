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

  /// What is there already, and rows that are farther apart than they are long.
  @Test func productsAreAddedWhereTheyBelong() {
    var generator = SeededGenerator(seed: 4)
    for (m, n, k) in [(3, 5, 7), (40, 33, 500), (130, 17, 1000)] {
      let (a, b) = (
        Matrix(m, k, transposed: false, gap: 1, &generator), Matrix(k, n, transposed: true, gap: 0, &generator)
      )
      let start = (0..<m * (n + 3)).map { _ in Float.random(in: -1...1, using: &generator) }
      var results = [start]
      FloatGEMM.multiplyWithKernels(
        m: m, n: n, k: k, a.elements, a.strides, b.elements, b.strides, into: &results[0], rowStride: n + 3,
        adding: true)
      #if (OpenBLAS && os(Linux)) || canImport(Accelerate)
        results.append(start)
        FloatGEMM.multiplyWithBLAS(
          m: m, n: n, k: k, a.elements, a.strides, b.elements, b.strides, into: &results[1], rowStride: n + 3,
          adding: true)
      #endif
      for result in results {
        for place in result.indices {
          let (i, j) = (place / (n + 3), place % (n + 3))
          let sum = j < n ? (0..<k).reduce(0.0) { $0 + Double(a[i, $1]) * Double(b[$1, j]) } : 0
          let isRight = abs(Double(result[place]) - Double(start[place]) - sum) <= 1e-6 * Double(k)
          if !isRight || j >= n && result[place] != start[place] { Issue.record("\(m)×\(n)×\(k) at \(i), \(j)") }
        }
      }
    }
  }

  /// Divided along rows, columns and sums.
  @Test func partsAreWhatTheWholeIs() {
    var generator = SeededGenerator(seed: 5)
    for (m, n, k) in [(300, 20, 33), (21, 301, 40), (65, 70, 50), (9, 11, 5003), (1, 1, 3000), (128, 128, 1024)] {
      for (transposeA, transposeB) in [(false, false), (true, true)] {
        let a = Matrix(m, k, transposed: transposeA, gap: 0, &generator)
        let b = Matrix(k, n, transposed: transposeB, gap: 2, &generator)
        let start = (0..<m * n).map { _ in Float.random(in: -1...1, using: &generator) }
        for isAdding in [false, true] {
          var (whole, parts) = (isAdding ? start : [Float](repeating: .nan, count: m * n), start)
          if !isAdding { parts = whole }
          FloatGEMM.multiply(
            m: m, n: n, k: k, a.elements, a.strides, b.elements, b.strides, into: &whole, adding: isAdding)
          FloatGEMM.multiplyConcurrently(
            m: m, n: n, k: k, a.elements, a.strides, b.elements, b.strides, into: &parts, adding: isAdding)
          let worst = zip(whole, parts).reduce(Float(0)) {
            $1.0.isNaN || $1.1.isNaN ? .infinity : max($0, abs($1.0 - $1.1))
          }
          #expect(worst <= 1e-6 * Float(k).squareRoot() * 4, "\(m)×\(n)×\(k), adding \(isAdding)")
        }
      }
    }
  }
}
