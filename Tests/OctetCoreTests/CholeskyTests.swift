import OctetCore
import TestSupport
import Testing

/// Both factorizations against A = L Lᵀ and L L⁻¹ = 1 in Double, and against a naive one.
@Suite("Cholesky")
struct CholeskyTests {
  private static let variants: [(name: String, factor: @Sendable ([Float], Int) -> Cholesky.Factors?)] = {
    var variants: [(String, @Sendable ([Float], Int) -> Cholesky.Factors?)] = [
      ("ours", { Cholesky.factorByHalves($0, n: $1) })
    ]
    #if OpenBLAS && os(Linux)
      variants.append(("LAPACK", { Cholesky.factorWithLAPACK($0, n: $1) }))
    #endif
    return variants
  }()

  /// x xᵀ + 0.1 for random x [n, n + 3]: definite, with a condition number of some thousands.
  private func definite(_ n: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    let x = (0..<n * (n + 3)).map { _ in Float.random(in: -1...1, using: &generator) }
    var a = [Float](repeating: 0, count: n * n)
    FloatGEMM.multiply(m: n, n: n, k: n + 3, x, (n + 3, 1), x, (1, n + 3), into: &a)
    for i in 0..<n { a[i * n + i] += 0.1 }
    return a
  }

  private func naive(_ a: [Float], _ n: Int) -> [Double] {
    var l = [Double](repeating: 0, count: n * n)
    for i in 0..<n {
      for j in 0...i {
        let sum = (0..<j).reduce(Double(a[i * n + j])) { $0 - l[i * n + $1] * l[j * n + $1] }
        l[i * n + j] = i == j ? sum.squareRoot() : sum / l[j * n + j]
      }
    }
    return l
  }

  @Test(arguments: [1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 96, 129, 200])
  func factors(_ n: Int) throws {
    var a = definite(n, seed: UInt64(n))
    // What lies above the diagonal must not be read.
    for i in 0..<n { for j in i + 1..<max(n, i + 1) { a[i * n + j] = .nan } }
    let oracle = naive(a, n)
    let largest = Double((0..<n).map { a[$0 * n + $0] }.max()!)
    for (name, factor) in Self.variants {
      let factors = try #require(factor(a, n), "\(name), n = \(n)")
      var (product, identity, difference) = (0.0, 0.0, 0.0)
      for i in 0..<n {
        for j in 0..<n {
          func l(_ i: Int, _ j: Int) -> Double { Double(factors.lower[i * n + j]) }
          if j > i {
            #expect(factors.lower[i * n + j] == 0 && factors.inverse[i * n + j] == 0, "\(name): zeros above")
            continue
          }
          let a = Double(a[i * n + j])
          product = max(product, abs((0..<n).reduce(0) { $0 + l(i, $1) * l(j, $1) } - a))
          let one = (0..<n).reduce(0) { $0 + l(i, $1) * Double(factors.inverse[$1 * n + j]) }
          identity = max(identity, abs(one - (i == j ? 1 : 0)))
          difference = max(difference, abs(l(i, j) - oracle[i * n + j]))
        }
      }
      // The backward error of a Cholesky factorization is a small multiple of n · 2⁻²⁴ · max a.
      #expect(product <= Double(n + 10) * 0x1p-24 * largest, "\(name), n = \(n): \(product)")
      #expect(identity <= 2e-3, "\(name), n = \(n): \(identity)")
      #expect(difference <= 1e-3 * largest.squareRoot(), "\(name), n = \(n): \(difference)")
    }
  }

  @Test(arguments: [2, 40, 100])
  func notPositiveDefinite(_ n: Int) {
    for (name, factor) in Self.variants {
      var indefinite = definite(n, seed: 1)
      indefinite[(n - 1) * n + n - 1] = -1
      #expect(factor(indefinite, n) == nil, "\(name)")
      #expect(factor([Float](repeating: 0, count: n * n), n) == nil, "\(name): zeros")
      #expect(factor([Float](repeating: 3, count: n * n), n) == nil, "\(name): of rank 1")
      var broken = definite(n, seed: 2)
      broken[(n - 1) * n] = .nan
      #expect(factor(broken, n) == nil, "\(name): NaN")
      broken[(n - 1) * n] = .infinity
      #expect(factor(broken, n) == nil, "\(name): infinity")
    }
  }
}
