import CKernels
import Testing

@Suite struct ElementwiseTests {
  /// Around every vector length.
  static let counts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 100, 1000]

  /// Runs `kernel` with guarded output of `count` elements on every instruction set and compares bits.
  private func check<Output: Equatable>(
    _ expected: [Output], _ comment: String, _ kernel: (octet_isa, UnsafeMutablePointer<Output>) -> Void
  ) {
    for set in InstructionSet.supported {
      let output = GuardedMemory<Output>(count: expected.count)
      kernel(set.isa, output.pointer)
      #expect(output.values == expected, "\(set), \(comment)")
    }
  }

  @Test func `quantize: ties, out of range, infinities, NaN`() {
    let special: [Float] = [
      0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.5, 254.5, 255.5, 1e9, -1e9, 3e38, -3e38, .infinity,
      -.infinity, .nan, -.nan, .leastNonzeroMagnitude, 2_147_483_648, -2_147_483_904, 255.49998, 256,
    ]
    for count in Self.counts {
      var random = SeededGenerator(seed: count)
      var values = random.floats(count, in: -300...300)
      for i in values.indices where i % 3 == 0 { values[i] = special[(i / 3 + count) % special.count] }
      let x = GuardedMemory(values)
      for (scale, zero, lower, upper) in [(1, 0, 0, 255), (0.5, 128, -128, 127), (0.37, 3, -3, 200)]
        as [(Float, Int32, Float, Float)]
      {
        let expected = values.map { value in
          value.isNaN
            ? UInt8(zero) : Oracle.byte(value / scale, lower: lower, upper: upper, zero: zero)
        }
        check(expected, "count \(count)") { isa, out in
          isa.quantize(x.pointer, count, scale, zero, lower, upper, out)
        }
      }
      withExtendedLifetime(x) {}
    }
  }

  @Test func `quantize divides`() {
    // Multiplying by the reciprocal gives another byte for some of these.
    var random = SeededGenerator(seed: 5)
    let scale: Float = 0.1
    let values = (0..<512).map {
      (Float($0 % 256) + 0.5) * scale * (1 + Float(Int.random(in: -1...1, using: &random)) * 6e-8)
    }
    let expected = values.map { Oracle.byte($0 / scale, lower: 0, upper: 255, zero: 0) }
    let byReciprocal = values.map { Oracle.byte($0 * (1 / scale), lower: 0, upper: 255, zero: 0) }
    #expect(expected != byReciprocal)
    check(expected, "division") { isa, out in isa.quantize(values, values.count, scale, 0, 0, 255, out) }
  }

  @Test func `dequantize`() {
    for count in Self.counts {
      var random = SeededGenerator(seed: count)
      let unsigned = GuardedMemory(random.bytes(count))
      let signed = GuardedMemory(random.signedBytes(count))
      check(unsigned.values.map { Float(Int32($0) - 77) * 0.013 }, "uint8, \(count)") { isa, out in
        isa.dequantize_u8(unsigned.pointer, count, 0.013, 77, out)
      }
      check(signed.values.map { Float(Int32($0) + 5) * 0.7 }, "int8, \(count)") { isa, out in
        isa.dequantize_s8(signed.pointer, count, 0.7, -5, out)
      }
      withExtendedLifetime((unsigned, signed)) {}
    }
  }

  @Test func `requantize, add, multiply and clamp bytes`() {
    for count in Self.counts {
      var random = SeededGenerator(seed: count)
      let a = GuardedMemory(random.bytes(count))
      let b = GuardedMemory(random.bytes(count))
      let pairs = zip(a.values, b.values).map { (Int32($0), Int32($1)) }
      check(
        pairs.map { Oracle.byte(Float($0.0 - 100) * 1.5, lower: -20, upper: 235, zero: 20) }, "requantize \(count)"
      ) { isa, out in isa.requantize_u8(a.pointer, count, 100, 1.5, 20, -20, 235, out) }
      check(
        pairs.map {
          Oracle.byte(Float($0.0 - 3) * 0.41 + Float($0.1 - 250) * 0.77, lower: -128, upper: 127, zero: 128)
        }, "add \(count)"
      ) { isa, out in isa.add_u8(a.pointer, 3, 0.41, b.pointer, 250, 0.77, count, 128, -128, 127, out) }
      check(
        pairs.map { Oracle.byte(Float(($0.0 - 255) * ($0.1 - 1)) * 0.01, lower: -200, upper: 55, zero: 200) },
        "multiply \(count)"
      ) { isa, out in isa.mul_u8(a.pointer, 255, b.pointer, 1, count, 0.01, 200, -200, 55, out) }
      check(a.values.map { min(max($0, 40), 190) }, "clamp \(count)") { isa, out in
        isa.clamp_u8(a.pointer, count, 40, 190, out)
      }
      withExtendedLifetime((a, b)) {}
    }
  }

  @Test func `floats`() {
    for count in Self.counts {
      var random = SeededGenerator(seed: count)
      let a = GuardedMemory(random.floats(count))
      let b = GuardedMemory(random.floats(count))
      check(a.values.map { min(max($0, -0.5), 0.25) }, "clamp \(count)") { isa, out in
        isa.clamp_f32(a.pointer, count, -0.5, 0.25, out)
      }
      check(zip(a.values, b.values).map { max($0 + $1, 0) }, "add \(count)") { isa, out in
        isa.add_f32(a.pointer, b.pointer, count, 0, .infinity, out)
      }
      check(zip(a.values, b.values).map { $0 * $1 }, "multiply \(count)") { isa, out in
        isa.mul_f32(a.pointer, b.pointer, count, out)
      }
      withExtendedLifetime((a, b)) {}
    }
  }

  @Test(arguments: InstructionSet.supported)
  func `a clamped NaN stays NaN`(set: InstructionSet) {
    var out = [Float](repeating: 0, count: 20)
    set.isa.clamp_f32([Float](repeating: .nan, count: 20), 20, 0, 6, &out)
    #expect(out.allSatisfy { $0.isNaN })
    set.isa.add_f32([Float](repeating: .nan, count: 20), out, 20, 0, 6, &out)
    #expect(out.allSatisfy { $0.isNaN })
  }
}
