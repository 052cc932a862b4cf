public import OctetCore

/// Normalization over the last axes, those of `normalizedShape`: `(x − mean) / √(variance + ε) · weight + bias`.
public final class LayerNorm: Module {
  public let normalizedShape: [Int]
  public let epsilon: Float
  /// Each of `normalizedShape`
  public let weight: Parameter?
  public let bias: Parameter?

  /// - Precondition: sizes are positive.
  public init(_ normalizedShape: [Int], epsilon: Float = 1e-5, elementwiseAffine: Bool = true, bias: Bool = true) {
    precondition(!normalizedShape.isEmpty, "normalization over one axis or more")
    self.normalizedShape = normalizedShape
    self.epsilon = epsilon
    weight = elementwiseAffine ? ones(normalizedShape) : nil
    self.bias = elementwiseAffine && bias ? zeros(normalizedShape) : nil
    super.init()
  }

  /// Normalization over the last axis.
  public convenience init(_ size: Int, epsilon: Float = 1e-5, elementwiseAffine: Bool = true, bias: Bool = true) {
    self.init([size], epsilon: epsilon, elementwiseAffine: elementwiseAffine, bias: bias)
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    guard x.type.shape.suffix(normalizedShape.count) == normalizedShape.map(Dimension.fixed)[...] else {
      throw OctetError(.shapeMismatch, "layer normalization", expected: "[..., \(normalizedShape)]", found: "\(x.type)")
    }
    return try layerNorm(
      x, axis: -normalizedShape.count, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
  }
}

/// Normalization over groups of the channels (axis 1) of each sample.
public final class GroupNorm: Module {
  public let numGroups: Int
  public let epsilon: Float
  /// Each [numChannels]
  public let weight: Parameter?
  public let bias: Parameter?

  /// - Precondition: `numGroups` divides `numChannels`.
  public init(_ numGroups: Int, _ numChannels: Int, epsilon: Float = 1e-5, affine: Bool = true) {
    precondition(numGroups > 0 && numChannels.isMultiple(of: numGroups), "groups divide channels")
    self.numGroups = numGroups
    self.epsilon = epsilon
    weight = affine ? ones([numChannels]) : nil
    bias = affine ? zeros([numChannels]) : nil
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try groupNorm(x, groups: numGroups, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
  }
}

/// Normalization over each channel (axis 1) of each sample of [n, c, ...]; without running statistics.
public class InstanceNorm: Module {
  public let epsilon: Float
  /// Each [numFeatures]
  public let weight: Parameter?
  public let bias: Parameter?

  public init(_ numFeatures: Int, epsilon: Float = 1e-5, affine: Bool = false) {
    self.epsilon = epsilon
    weight = affine ? ones([numFeatures]) : nil
    bias = affine ? zeros([numFeatures]) : nil
    super.init()
  }

  public final override func forward(_ x: Tensor) throws -> Tensor {
    try instanceNorm(x, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
  }
}

/// Normalization over each channel of each image [n, c, h, w].
public final class InstanceNorm2d: InstanceNorm {}

/// Normalization over each channel of each signal [n, c, l].
public final class InstanceNorm1d: InstanceNorm {}
