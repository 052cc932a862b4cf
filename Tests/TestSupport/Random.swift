package import OctetCore

/// Random numbers that are the same everywhere (SplitMix64).
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension Tensor {
  /// Uniform float32 elements.
  package static func random(
    _ shape: [Int], in range: ClosedRange<Float> = -1...1, using generator: inout SeededGenerator
  ) throws -> Tensor {
    try Tensor((0..<elementCount(of: shape)).map { _ in Float.random(in: range, using: &generator) }, shape: shape)
  }

  /// Uniform float32 elements in −1…1.
  package static func random(_ shape: [Int], seed: UInt64) throws -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return try random(shape, using: &generator)
  }

  /// 0, 1, 2 …, times `step`, from `start` on.
  package static func counting(_ shape: [Int], from start: Float = 0, step: Float = 1) throws -> Tensor {
    try Tensor((0..<elementCount(of: shape)).map { start + step * Float($0) }, shape: shape)
  }

  /// The elements of a float32 tensor.
  package var floats: [Float] { get throws { try scalars(as: Float.self) } }
}
