public import OctetCore

/// Batch normalization over the channels (axis 1) of [n, c, ...]: `(x − mean) / √(variance + ε) · weight + bias`.
///
/// In evaluation mode mean and variance are the running statistics. In training mode they are those of the batch, and
/// the running ones move toward them by `momentum` (the variance without bias, as in PyTorch).
public class BatchNorm: Module {
  /// Each [numFeatures]
  public let weight: Parameter
  public let bias: Parameter
  public let runningMean: Parameter
  public let runningVar: Parameter
  public let epsilon: Float
  public let momentum: Float

  public init(_ numFeatures: Int, epsilon: Float = 1e-5, momentum: Float = 0.1) {
    self.epsilon = epsilon
    self.momentum = momentum
    bias = zeros([numFeatures])
    // Tensors of their own: copies would share their memory until the first write.
    weight = Parameter(try! Tensor(repeating: Float(1), shape: [numFeatures]))
    runningMean = Parameter(try! Tensor(zeros: [numFeatures]), isTrainable: false)
    runningVar = Parameter(try! Tensor(repeating: Float(1), shape: [numFeatures]), isTrainable: false)
    super.init()
  }

  public final override var ownParameters: [(name: String, parameter: Parameter)] {
    [("weight", weight), ("bias", bias), ("running_mean", runningMean), ("running_var", runningVar)]
  }

  public final override func forward(_ x: Tensor) throws -> Tensor {
    guard isTraining else {
      return try apply(
        .batchNormalization(Op.BatchNormalization(epsilon: epsilon)),
        [x, weight.value, bias.value, runningMean.value, runningVar.value])[0]
    }
    let (mean, variance) = try statistics(of: x)
    return try BatchNormalizationInTraining(mean: mean, variance: variance)(
      x, weight.value, bias.value, Tensor(repeating: epsilon, shape: weight.value.shape))
  }

  /// Mean and (biased) variance of every channel of the batch; the running statistics move toward them.
  private func statistics(of x: Tensor) throws -> (mean: [Float], variance: [Float]) {
    let (mean, variance) = try batchStatistics(of: x, channels: runningMean.value.shape[0])
    let perChannel = try x.count / mean.count
    runningMean.value = try mix(runningMean.value, mean, 1)
    runningVar.value = try mix(runningVar.value, variance, Float(perChannel) / Float(perChannel - 1))
    return (mean, variance)
  }

  private func mix(_ old: Tensor, _ new: [Float], _ factor: Float) throws -> Tensor {
    let scalars = zip(try old.scalars(as: Float.self), new).map {
      (1 - momentum) * $0 + momentum * ($1 * factor)
    }
    return try Tensor(scalars, shape: old.shape)
  }
}

/// Batch normalization of images [n, c, h, w].
public final class BatchNorm2d: BatchNorm {}

/// Batch normalization of rows [n, c] or signals [n, c, l].
public final class BatchNorm1d: BatchNorm {}
