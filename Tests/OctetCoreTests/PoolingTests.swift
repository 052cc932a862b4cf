import OctetCore
import TestSupport
import Testing

/// Maxima of windows, and where their gradients go, against the definition.
@Suite("Pooling")
struct PoolingTests {
  private static let cases: [(shape: [Int], pool: Op.Pool)] = [
    ([2, 3, 8, 32], .init(.max, kernel: 2)), ([3, 2, 11, 37], .init(.max, kernel: 2)),
    ([1, 2, 7, 19], .init(.max, kernel: 2, ceilMode: true)),
    ([2, 2, 6, 21], .init(.max, kernel: 3, stride: 2, padding: 1)),
    ([2, 1, 9, 17], .init(.max, kernel: 2, stride: 2, padding: 1)),
    ([1, 1, 1, 1], .init(.max, kernel: 2, stride: 1, padding: 2, dilation: 3)),
    ([70, 30, 6, 6], .init(.max, kernel: 2)),
  ]

  @Test(arguments: cases.indices)
  func maxima(_ index: Int) throws {
    let (shape, pool) = Self.cases[index]
    // Few different numbers, so that many are equal; and some that are none.
    var scalars = try Tensor.random(shape, seed: 1).floats.map { ($0 * 4).rounded() }
    for i in stride(from: 5, to: scalars.count, by: 31) { scalars[i] = .nan }
    for i in stride(from: 7, to: scalars.count, by: 13) { scalars[i] = -.infinity }
    let x = try Tensor(scalars, shape: shape)
    let result = try apply(.pool(pool), [x])[0]
    let (same, pullback) = try pool.differentiate([x], wanted: [true])
    let (h, w, outH, outW) = (shape[2], shape[3], result.shape[2], result.shape[3])
    let seed = try Tensor.random(result.shape, seed: 2)
    let dy = try seed.floats
    var expected = [Float](repeating: 0, count: try result.count)
    var gradient = [Float](repeating: 0, count: scalars.count)
    for place in expected.indices {
      let (plane, oy, ox) = (place / (outH * outW), place / outW % outH, place % outW)
      var best: Int?
      for ky in 0..<pool.kernel.height {
        for kx in 0..<pool.kernel.width {
          let y = oy * pool.stride.height - pool.padding.top + ky * pool.dilation.height
          let x = ox * pool.stride.width - pool.padding.left + kx * pool.dilation.width
          guard y >= 0, y < h, x >= 0, x < w else { continue }
          let i = (plane * h + y) * w + x
          if best == nil || scalars[i] > scalars[best!] || scalars[i].isNaN { best = i }
        }
      }
      expected[place] = best.map { scalars[$0] } ?? -.infinity
      if let best { gradient[best] += dy[place] }
    }
    #expect(try result.floats.map(\.bitPattern) == expected.map(\.bitPattern))
    #expect(try same[0].floats.map(\.bitPattern) == expected.map(\.bitPattern))
    let back = try #require(pullback)
    let found = try #require(try back([seed]).first ?? nil)
    #expect(try discrepancy(found, Tensor(gradient, shape: shape), absolute: 1e-6, relative: 1e-6) == nil)
  }
}
