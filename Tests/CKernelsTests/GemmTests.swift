import CKernels
import Testing

@Suite struct GemmTests {
  /// From one element to beyond two tiles of every instruction set, and around every edge in between.
  static let rows = [1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 17, 28, 29]
  static let columns = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65]
  static let depths = [1, 2, 3, 4, 5, 7, 8, 17, 64, 67]

  @Test func `every size, every output type, every instruction set`() {
    var seed = 0
    for m in Self.rows {
      for n in Self.columns {
        for k in Self.depths {
          seed += 1
          var gemm = QuantizedConvolution(
            .gemm(m, n, k), inputZero: [0, 255, 128, 3][seed % 4], residual: seed % 3 == 0, seed: seed)
          if seed % 5 == 0 { (gemm.lower, gemm.upper, gemm.zero) = (0, 100, 28) }
          if seed % 7 == 0 { (gemm.lower, gemm.upper, gemm.zero) = (-118, 137, -10) }
          let sums = gemm.sums()
          for set in InstructionSet.supported {
            switch seed % 4 {
            case 0:
              #expect(gemm.run(set, OCTET_OUTPUT_INT32, as: Int32.self) == sums, "\(set) \(m) \(n) \(k)")
            case 1:
              let floats = gemm.run(set, OCTET_OUTPUT_FLOAT32, as: Float.self)
              #expect(floats == gemm.floats(sums), "\(set) \(m) \(n) \(k)")
            default:
              let bytes = gemm.run(set, OCTET_OUTPUT_UINT8, as: UInt8.self)
              #expect(bytes == gemm.bytes(sums), "\(set) \(m) \(n) \(k)")
            }
          }
        }
      }
    }
  }

  @Test(arguments: InstructionSet.supported)
  func `extreme bytes are exact`(set: InstructionSet) {
    for k in [1, 2, 64, 1000] {
      var gemm = QuantizedConvolution(.gemm(15, 33, k), seed: k)
      gemm.bias = gemm.bias.map { _ in 0 }
      for (a, w) in [(255, -128), (255, 127), (0, -128)] as [(UInt8, Int8)] {
        gemm.input = gemm.input.map { _ in a }
        gemm.weights = gemm.weights.map { _ in w }
        let expected = [Int32](repeating: Int32(a) * Int32(w) * Int32(k), count: 15 * 33)
        #expect(gemm.run(set, OCTET_OUTPUT_INT32, as: Int32.self) == expected, "\(a) · \(w) · \(k)")
      }
      gemm.input = gemm.input.indices.map { $0 % 2 == 0 ? 255 : 0 }
      gemm.weights = gemm.weights.indices.map { $0 % 3 == 0 ? 127 : -128 }
      #expect(gemm.run(set, OCTET_OUTPUT_INT32, as: Int32.self) == gemm.sums())
    }
  }

  @Test(arguments: InstructionSet.supported)
  func `results do not depend on how many threads share the work`(set: InstructionSet) {
    for (m, n, k) in [(1, 130, 40), (5, 300, 64), (100, 20, 30), (2, 16, 9), (40, 70, 4096), (700, 9, 600)] {
      let gemm = QuantizedConvolution(.gemm(m, n, k), inputZero: 9, seed: m)
      let sums = gemm.sums()
      for threads in [1, 2, 3, 8] {
        #expect(gemm.run(set, OCTET_OUTPUT_INT32, as: Int32.self, threads: threads) == sums, "\(m) \(threads)")
      }
    }
  }

  /// Ties of the rounding: sums times one half, at every parity and with odd and even zero points.
  @Test(arguments: InstructionSet.supported)
  func `ties round to even before the zero point is added`(set: InstructionSet) {
    var gemm = QuantizedConvolution(.gemm(1, 40, 1), seed: 1)
    gemm.input = [1]
    gemm.weights = (0..<40).map { Int8($0 - 20) }
    gemm.bias = gemm.bias.map { _ in 0 }
    gemm.scale = gemm.scale.map { _ in 0.5 }
    gemm.offset = gemm.offset.map { _ in 0 }
    for zero in [Int32(20), 21] {
      (gemm.lower, gemm.upper, gemm.zero) = (-20, 20, zero)
      let expected = (0..<40).map { UInt8((Float($0 - 20) / 2).rounded(.toNearestOrEven) + Float(zero)) }
      #expect(gemm.run(set, OCTET_OUTPUT_UINT8, as: UInt8.self) == expected)
    }
  }
}
