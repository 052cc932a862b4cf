public import OctetCore

/// `x · weightᵀ + bias`: input [..., inFeatures], output [..., outFeatures].
public final class Linear: Module {
  /// [outFeatures, inFeatures]
  public let weight: Parameter
  /// [outFeatures]
  public let bias: Parameter?

  public init(_ inFeatures: Int, _ outFeatures: Int, bias: Bool = true) {
    weight = zeros([outFeatures, inFeatures])
    self.bias = bias ? zeros([outFeatures]) : nil
    super.init()
    initializeAtRandom()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try linear(x, weight: weight.value, bias: bias?.value)
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    let shape = weight.value.shape
    weight.value = try uniform(shape: shape, fanIn: shape[1], using: &generator)
    if let bias { bias.value = try uniform(shape: [shape[0]], fanIn: shape[1], using: &generator) }
  }
}

/// A parameter of zeros; shapes come from layer sizes, which are positive.
func zeros(_ shape: [Int]) -> Parameter {
  precondition(shape.allSatisfy { $0 > 0 }, "layer sizes must be positive")
  return Parameter(try! Tensor(zeros: shape))
}

/// A parameter of ones.
func ones(_ shape: [Int]) -> Parameter {
  precondition(shape.allSatisfy { $0 > 0 }, "layer sizes must be positive")
  return Parameter(try! Tensor(repeating: Float(1), shape: shape))
}

extension Module {
  /// Fresh layers are random, as PyTorch's; `initialize(seed:)` makes them repeatable.
  func initializeAtRandom() {
    // One question to the system, not one for every number.
    var generator = SplitMix64(seed: .random(in: .min ... .max))
    try! initializeOwnParameters(using: &generator)
  }
}
