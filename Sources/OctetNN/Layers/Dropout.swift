public import OctetCore

/// In training mode sets each element to 0 with probability `probability` and divides the others by `1 − probability`;
/// in evaluation mode does nothing.
public final class Dropout: Module {
  public let probability: Float
  private var generator: SplitMix64

  /// - Precondition: the probability is at least 0 and below 1.
  public init(_ probability: Float = 0.5, seed: UInt64 = 0) {
    precondition(probability >= 0 && probability < 1, "a probability in [0, 1)")
    self.probability = probability
    generator = SplitMix64(seed: seed)
    super.init()
  }

  public override func reseedOwnGenerator(_ seed: UInt64) { generator = SplitMix64(seed: seed) }

  public override func forward(_ x: Tensor) throws -> Tensor {
    guard isTraining, probability > 0 else { return x }
    try x.requireConcrete("the random mask of dropout in training mode")
    let (keep, probability) = (1 / (1 - probability), probability)
    let count = try x.count
    let start = generator
    generator.skip(count)
    var mask = Tensor(uninitialized: x.shape, dtype: .float32)
    try mask.withUnsafeMutableScalars(as: Float.self) { mask in
      concurrently(elements: count) { range in
        var generator = start
        generator.skip(range.lowerBound)
        for i in range { mask[i] = Float(generator.next() >> 40) * 0x1p-24 < probability ? 0 : keep }
      }
    }
    return try x * mask
  }
}
