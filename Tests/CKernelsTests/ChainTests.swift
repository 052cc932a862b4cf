import CKernels
import Testing

/// Chains add products in int16: exact only because of how the weights were ordered. These weights are ordered in
/// every way there is, and meet the activations that come closest to the bound.
@Suite struct ChainTests {
  enum Weights: CaseIterable {
    case bell, oneGiant, sparseExtremes, pairsAtTheBound, zeroChannels, halfFlat, extremes

    func values(channels: Int, depth: Int, _ random: inout SeededGenerator) -> [Int8] {
      (0..<channels).flatMap { channel in channelValues(channel, depth, &random) }
    }
    private func channelValues(_ channel: Int, _ depth: Int, _ random: inout SeededGenerator) -> [Int8] {
      /// The sum of four dice, −40 ... 40 or so.
      func small() -> Int8 { Int8((0..<4).reduce(0) { sum, _ in sum + Int.random(in: -10...10, using: &random) }) }
      func extreme() -> Int8 { [127, -128, 127, -127].randomElement(using: &random)! }
      switch self {
      case .bell:
        var values = (0..<depth).map { _ in small() }
        values[Int.random(in: 0..<depth, using: &random)] = 127
        return values
      case .oneGiant:
        var values = (0..<depth).map { _ in Int8.random(in: -2...2, using: &random) }
        values[channel % depth] = channel % 2 == 0 ? -128 : 127
        return values
      case .sparseExtremes: return (0..<depth).map { _ in Int.random(in: 0..<9, using: &random) == 0 ? extreme() : 0 }
      case .pairsAtTheBound:
        // 64 + 64, 32 · 4 and the same in negative: chains that leave no room at all.
        let step: Int8 = [64, 32, 16, -64, -32, -16][channel % 6]
        return (0..<depth).map { _ in Int.random(in: 0..<3, using: &random) > 0 ? 0 : step }
      case .zeroChannels: return (0..<depth).map { _ in channel % 3 == 1 ? small() : 0 }
      // Quads that break the bound beside channels that leave room enough.
      case .halfFlat:
        return (0..<depth).map { _ in channel % 2 == 0 ? small() : Int8.random(in: -127...127, using: &random) }
      case .extremes: return (0..<depth).map { _ in extreme() }
      }
    }
  }

  static func convolution(
    _ shape: octet_conv_shape, _ weights: Weights, batch: Int = 1, residual: Bool = false, seed: Int
  ) -> QuantizedConvolution {
    var random = SeededGenerator(seed: seed)
    var result = QuantizedConvolution(
      shape, batch: batch, inputZero: [0, 255, 128, 3][seed % 4], residual: residual, seed: seed)
    result.weights = weights.values(channels: shape.out_c, depth: result.weights.count / shape.out_c, &random)
    switch seed % 3 {
    case 0: result.input = result.input.map { _ in 255 }
    case 1: result.input = result.input.map { $0 < 100 ? 0 : 255 }
    default: break
    }
    result.scale = result.scale.map { $0 * 3 }
    return result
  }

  func check(_ convolution: QuantizedConvolution, threads: Int = 1, _ name: String) {
    let sums = convolution.sums()
    for set in InstructionSet.supported {
      let exact = convolution.run(set, OCTET_OUTPUT_INT32, as: Int32.self, threads: threads)
      #expect(exact == sums, "\(set) \(name)")
      let bytes = convolution.run(set, OCTET_OUTPUT_UINT8, as: UInt8.self, threads: threads)
      #expect(bytes == convolution.bytes(sums), "\(set) \(name)")
      let floats = convolution.run(set, OCTET_OUTPUT_FLOAT32, as: Float.self, threads: threads)
      #expect(floats == convolution.floats(sums), "\(set) \(name)")
    }
  }

  @Test(arguments: Weights.allCases)
  func `every tail of pixels, channels and depth`(weights: Weights) {
    var seed = 0
    let depths = Array(1...20) + [31, 48, 61, 62, 63, 64, 65, 66, 67, 96, 127, 380, 384, 385, 390, 517, 771]
    for (index, k) in depths.enumerated() {
      for m in [8, 23, 24, 25, 31, 32, 33, 56, 63, 64, 65, 71, 129][index % 2 == 0 ? 0..<6 : 6..<13] {
        let n = [15, 16, 17, 24, 31, 33, 40][seed % 7]
        seed += 1
        var gemm = Self.convolution(.gemm(m, n, k), weights, residual: seed % 2 == 0, seed: seed)
        if seed % 5 == 0 { (gemm.lower, gemm.upper, gemm.zero) = (-118, 137, -10) }
        check(gemm, threads: 1 + seed % 3, "\(weights) \(m) \(n) \(k)")
      }
    }
  }

  @Test(arguments: Weights.allCases)
  func `every kind of convolution`(weights: Weights) {
    var shapes: [octet_conv_shape] = []
    for channels in [3, 4, 5, 16, 19, 33] {
      for (outputs, pad) in [(16, 1), (35, 0), (50, 2)] {
        shapes.append(.convolution(7, 6, channels, outputs, pad: (pad, pad)))
        shapes.append(.convolution(11, 14, channels, outputs, stride: (2, 2), pad: (pad, pad)))
        shapes.append(.convolution(8, 9, channels, outputs, dilation: (2, 3), pad: (pad, pad), extra: (1, 2)))
        shapes.append(.convolution(12, 19, channels, outputs, kernel: (2, 5), stride: (1, 3), pad: (0, pad)))
        shapes.append(.convolution(13, 9, channels, outputs, kernel: (4, 1), pad: (pad, 0), extra: (0, 5)))
      }
    }
    for (groups, inputs, outputs) in [(2, 8, 34), (3, 15, 51), (2, 66, 40)] {
      shapes.append(.convolution(6, 7, inputs, outputs, pad: (1, 1), groups: groups))
      shapes.append(.convolution(9, 12, inputs, outputs, stride: (1, 2), dilation: (2, 1), groups: groups))
      shapes.append(.convolution(9, 4, inputs, outputs, kernel: (1, 1), groups: groups))
    }
    // Several strips, several blocks of quads, more channels than wait at once.
    shapes.append(.convolution(30, 160, 64, 16, pad: (1, 1)))
    shapes.append(.convolution(5, 5, 50, 300, pad: (1, 1)))
    for (seed, shape) in shapes.enumerated() {
      let convolution = Self.convolution(
        shape, weights, batch: 1 + seed % 2, residual: seed % 3 == 0, seed: seed)
      check(convolution, threads: 1 + seed % 3, "\(weights) \(shape)")
    }
  }

  /// Strips of one row have too few pixels for chains, those of two rows have enough.
  @Test func `strips with and without chains in one call`() {
    for threads in [1, 3, 5] {
      let convolution = Self.convolution(.convolution(3, 8, 16, 32, pad: (1, 1)), .bell, batch: 4, seed: threads)
      check(convolution, threads: threads, "\(threads) threads")
    }
  }

  /// No sizes of an image are known then; a pitch computed from them is 0 for this kernel.
  @Test(arguments: InstructionSet.supported)
  func `weights are packed without an image`(set: InstructionSet) {
    var family = set.isa.int8
    var shape = octet_conv_shape.convolution(0, 0, 16, 16, kernel: (2, 2), stride: (2, 2), extra: (2, 2))
    (shape.out_h, shape.out_w) = (0, 0)
    var random = SeededGenerator(seed: 1)
    let weights = random.signedBytes(16 * 16 * 4)
    let packed = GuardedMemory<UInt8>(count: octet_conv_packed_size(&family, &shape), alignment: 64)
    octet_conv_pack(&family, &shape, weights, packed.pointer, nil)
    #expect(packed.values.contains { $0 != 0 })
  }

  /// Else the tests above would test something else. (Pixels that fill a vector: a few left over go to panels.)
  @Test(arguments: InstructionSet.supported.filter { $0.isa.int8.chains != nil })
  func `such weights are packed in chains where they are dense enough`(set: InstructionSet) {
    let shapes: [octet_conv_shape] = [
      .gemm(64, 32, 256), .gemm(31, 17, 61), .convolution(14, 14, 16, 32, pad: (1, 1)),
      .convolution(17, 17, 33, 50, stride: (2, 2)), .convolution(9, 10, 66, 40, dilation: (2, 1), groups: 2),
      // Kernel rows of 9, 5 and 6 bytes.
      .convolution(19, 17, 3, 32, stride: (2, 2)), .convolution(14, 20, 1, 24, kernel: (5, 5)),
      .convolution(14, 18, 2, 24),
    ]
    for (seed, shape) in shapes.enumerated() {
      for weights in Weights.allCases where weights != .extremes {
        let convolution = Self.convolution(shape, weights, seed: seed)
        let found = convolution.run(set, OCTET_OUTPUT_INT32, as: Int32.self, spoilingPanels: true)
        #expect(found == convolution.sums(), "\(weights) \(shape)")
      }
      let flat = Self.convolution(shape, .extremes, seed: seed)
      let found = flat.run(set, OCTET_OUTPUT_INT32, as: Int32.self, spoilingPanels: true)
      #expect(found != flat.sums(), "\(shape)")
    }
  }
}
