import CKernels
import Testing

@Suite struct SgemmTests {
  private static let sizes = [
    (1, 1, 1), (1, 40, 7), (3, 5, 4), (7, 33, 17), (14, 32, 64), (15, 65, 31), (29, 16, 300), (120, 530, 40),
    (113, 20, 600), (40, 48, 256), (5, 600, 513),
  ]

  @Test(arguments: InstructionSet.supported)
  func `all transpositions against double precision`(set: InstructionSet) {
    var family = set.isa.float32
    for (m, n, k) in Self.sizes {
      for (transposeA, transposeB) in [(false, false), (true, false), (false, true), (true, true)] {
        for accumulate in [false, true] {
          var random = SeededGenerator(seed: m + n + k)
          let a = GuardedMemory(random.floats(m * k))
          let b = GuardedMemory(random.floats(k * n))
          let ldc = n + 3
          let c = GuardedMemory(random.floats((m - 1) * ldc + n))
          let before = c.values
          let (aRow, aColumn) = transposeA ? (1, m) : (k, 1)
          let (bRow, bColumn) = transposeB ? (1, k) : (n, 1)
          let scratch = GuardedMemory<UInt8>(count: octet_sgemm_scratch_size(&family, m, n, k), alignment: 64)
          octet_sgemm(
            &family, m, n, k, a.pointer, aRow, aColumn, b.pointer, bRow, bColumn, c.pointer, ldc, accumulate,
            scratch.pointer)
          var worst = 0.0
          var untouched = true
          for i in c.elements.indices {
            let (row, column) = (i / ldc, i % ldc)
            guard column < n else {
              untouched = untouched && c.elements[i] == before[i]
              continue
            }
            var sum = accumulate ? Double(before[i]) : 0
            for l in 0..<k {
              sum +=
                Double(a.elements[row * aRow + l * aColumn])
                * Double(b.elements[l * bRow + column * bColumn])
            }
            worst = max(worst, abs(sum - Double(c.elements[i])))
          }
          #expect(worst < 1e-6 * Double(k + 4), "\(m) \(n) \(k) \(transposeA) \(transposeB) \(accumulate)")
          #expect(untouched)
        }
      }
    }
  }

  @Test(arguments: InstructionSet.supported)
  func `NaN and infinity go through`(set: InstructionSet) {
    var family = set.isa.float32
    // Whole panels and a tail, which have epilogues of their own.
    let n = 40
    let scratch = GuardedMemory<UInt8>(count: octet_sgemm_scratch_size(&family, 2, n, 1), alignment: 64)
    var c = [Float](repeating: 0, count: 2 * n)
    let ones = [Float](repeating: 1, count: n)
    octet_sgemm(&family, 2, n, 1, [.nan, .infinity], 1, 1, ones, n, 1, &c, n, false, scratch.pointer)
    withExtendedLifetime(scratch) {}
    #expect(c[..<n].allSatisfy { $0.isNaN } && c[n...].allSatisfy { $0 == .infinity })
  }
}
