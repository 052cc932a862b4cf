import OctetCore
import OctetGraph

/// Batch normalization of a graph in training.
struct Normalization {
  /// Factors that are this small stand for channels that are switched off: dividing by them would blow up rounding errors.
  private static let leastFactor: Float = 1e-12
  /// How far running statistics go toward those of a batch: PyTorch's default.
  private static let momentum: Float = 0.1

  let name: String
  private let epsilon: Float
  private let scale: Parameter
  private let bias: Parameter
  private let mean: Parameter
  private let variance: Parameter

  /// - Parameter node: whose operands but the first are parameters.
  init(_ node: Node, _ payload: Op.BatchNormalization, in graph: Graph) {
    name = node.name
    epsilon = payload.epsilon
    let parameters = node.inputs.dropFirst().map { graph.parameters[$0!]! }
    (scale, bias, mean, variance) = (parameters[0], parameters[1], parameters[2], parameters[3])
  }

  /// `f = γ / √(running variance + ε)`, [c]
  ///
  /// - Parameter isDividedBy: whether results will be divided by it: then 1 where it is 0.
  func factor(isDividedBy: Bool) throws -> Tensor {
    let deviation = try variance.value.scalars(as: Float.self).map { ($0 + epsilon).squareRoot() }
    let factor = try scale.value / Tensor(deviation, shape: [deviation.count])
    guard isDividedBy else { return factor }
    let isZero = try factor.detached.scalars(as: Float.self).map { Swift.abs($0) < Self.leastFactor }
    guard isZero.contains(true) else { return factor }
    let ones = try Tensor(repeating: Float(1), shape: [isZero.count])
    return try `where`(Tensor(isZero, shape: [isZero.count]), ones, factor)
  }

  /// The bias of a layer that normalization is part of: `b · f + (β − mean · f)`.
  func bias(_ own: Tensor?, _ factor: Tensor) throws -> Tensor {
    let offset = try bias.value - mean.value * factor
    return try own.map { try $0 * factor + offset } ?? offset
  }

  /// Normalization by the statistics of the batch, toward which the running ones move.
  ///
  /// - Parameters:
  ///   - y: [n, c, ...]
  ///   - folded: what y is still to be divided by, and what is then to be added; `nil`: nothing.
  func normalizeByBatch(_ y: Tensor, folded: (factor: Tensor, bias: Tensor?)?) throws -> Tensor {
    let channels = scale.value.shape[0]
    let (batchMean, batchVariance) = try batchStatistics(of: y, channels: channels)
    try follow(batchMean, batchVariance, count: y.count / channels, folded)
    // (y/f + b − mean) / √(variance/f² + ε) · γ  =  (y − mean of y) / √(variance of y + ε · f²) · γ · sign of f
    var (epsilons, scales) = (try Tensor(repeating: epsilon, shape: [channels]), scale.value)
    if let factor = folded?.factor {
      epsilons = try factor * factor * epsilons
      let signs = try factor.detached.scalars(as: Float.self).map { $0 < 0 ? Float(-1) : 1 }
      scales = try scales * Tensor(signs, shape: [channels])
    }
    return try BatchNormalizationInTraining(mean: batchMean, variance: batchVariance)(y, scales, bias.value, epsilons)
  }

  /// Moves the running statistics. (The variance without bias, as in PyTorch.)
  private func follow(
    _ batchMean: [Float], _ batchVariance: [Float], count: Int, _ folded: (factor: Tensor, bias: Tensor?)?
  ) throws {
    let channels = batchMean.count
    let factor = try folded?.factor.detached.scalars(as: Float.self) ?? [Float](repeating: 1, count: channels)
    let added = try folded?.bias?.detached.scalars(as: Float.self) ?? [Float](repeating: 0, count: channels)
    let unbiased = Float(count) / Float(count - 1)
    func move(_ parameter: Parameter, _ new: [Float], _ value: (Float, Int) -> Float) throws {
      let old = try parameter.value.scalars(as: Float.self)
      parameter.value = try Tensor(
        old.indices.map { (1 - Self.momentum) * old[$0] + Self.momentum * value(new[$0], $0) }, shape: [channels])
    }
    try move(mean, batchMean) { $0 / factor[$1] + added[$1] }
    try move(variance, batchVariance) { $0 / (factor[$1] * factor[$1]) * unbiased }
  }
}
