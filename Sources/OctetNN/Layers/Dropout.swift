public import OctetCore

/// In training mode sets each element to 0 with probability `probability` and divides the others by `1 − probability`;
/// in evaluation mode does nothing. A traced graph has it as an operation, for training that goes on there.
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
    guard probability > 0 else { return x }
    let dropout = Op.Dropout(probability)
    guard isTraining else { return x.isTraced ? try apply(.dropout(dropout), [x])[0] : x }
    try x.requireConcrete("the random mask of dropout in training mode")
    let start = generator
    generator.skip(try x.count)
    return try x * dropout.mask(x.shape, from: start)
  }
}
