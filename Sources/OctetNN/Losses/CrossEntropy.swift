public import OctetCore

/// The mean of `−ln softmax(logits)[label]`, a number: PyTorch's `cross_entropy`.
///
///     loss = Σ w[label] · ((1 − s) · −ln p[label] + s / c · Σ_k w[k] / w[label] · −ln p[k]) / Σ w[label]
///
/// - Parameters:
///   - logits: [n, c] or [n, c, ...]
///   - labels: [n] or [n, ...], int64 or int32: numbers in 0..<c; or the probabilities of the classes, float32, of the shape
///     of the logits.
///   - weight: [c], how much each class counts; `nil`: as much as the others.
///   - labelSmoothing: s in 0...1, what is taken from a label and shared among all classes.
/// - Throws: `OctetError` if shapes do not fit or a label is none of the classes. (No number means “ignore”.)
public func crossEntropy(
  _ logits: Tensor, _ labels: Tensor, weight: Tensor? = nil, labelSmoothing: Float = 0
) throws -> Tensor {
  try naming("crossEntropy") {
    let targets = try ClassTargets(logits, labels, weight: weight, labelSmoothing: labelSmoothing)
    return try targets.loss(logSoftmax(logits, axis: 1))
  }
}

/// The mean of `−logProbabilities[label]`, a number: PyTorch's `nll_loss`. Parameters as in ``crossEntropy(_:_:weight:labelSmoothing:)``.
public func nllLoss(_ logProbabilities: Tensor, _ labels: Tensor, weight: Tensor? = nil) throws -> Tensor {
  try naming("nllLoss") {
    try ClassTargets(logProbabilities, labels, weight: weight, labelSmoothing: 0).loss(logProbabilities)
  }
}

/// How much each logarithm of a probability counts.
private struct ClassTargets {
  /// [n, c, ...]
  let shares: Tensor
  /// What the sum is divided by.
  let total: Float

  init(_ logits: Tensor, _ labels: Tensor, weight: Tensor?, labelSmoothing: Float) throws {
    guard (0...1).contains(labelSmoothing) else {
      throw OctetError(.invalidArgument, "labelSmoothing", expected: "0…1", found: "\(labelSmoothing)")
    }
    guard logits.rank >= 2 else {
      throw OctetError(.shapeMismatch, "logits", expected: "[n, classes, ...]", found: "\(logits.type)")
    }
    let count = try logits.count
    let classes = logits.shape[1]
    let weights = try weight?.scalars(as: Float.self) ?? [Float](repeating: 1, count: classes)
    guard weights.count == classes else {
      throw OctetError(.shapeMismatch, "weight", expected: "[\(classes)]", found: "\(weight!.type)")
    }
    let inner = logits.shape.dropFirst(2).reduce(1, *)
    var shares = [Float](repeating: 0, count: count)
    func each(_ body: (_ place: Int, _ first: Int) throws -> Void) rethrows {
      for place in 0..<logits.shape[0] * inner { try body(place, place / inner * classes * inner + place % inner) }
    }
    func add(_ probability: Float, _ index: Int, of first: Int) {
      shares[first + index * inner] += weights[index] * probability
    }
    func smooth(_ first: Int) {
      guard labelSmoothing > 0 else { return }
      for index in 0..<classes { add(labelSmoothing / Float(classes), index, of: first) }
    }
    if labels.dtype == .float32 {
      guard labels.shape == logits.shape else {
        throw OctetError(.shapeMismatch, "labels", expected: "probabilities \(logits.shape)", found: "\(labels.type)")
      }
      let probabilities = try labels.scalars(as: Float.self)
      each { _, first in
        for index in 0..<classes { add((1 - labelSmoothing) * probabilities[first + index * inner], index, of: first) }
        smooth(first)
      }
      total = Float(logits.shape[0] * inner)
    } else {
      guard labels.shape == [logits.shape[0]] + logits.shape.dropFirst(2) else {
        throw OctetError(
          .shapeMismatch, "labels", expected: "\([logits.shape[0]] + logits.shape.dropFirst(2))",
          found: "\(labels.type)")
      }
      let numbers = try labels.cast(to: .int64).scalars(as: Int64.self)
      var sum = 0.0
      try each { place, first in
        guard let index = Int(exactly: numbers[place]), (0..<classes).contains(index) else {
          throw OctetError(
            .invalidArgument, "labels", expected: "classes in 0..<\(classes)", found: "\(numbers[place])")
        }
        add(1 - labelSmoothing, index, of: first)
        smooth(first)
        sum += Double(weights[index])
      }
      total = Float(sum)
    }
    self.shares = try Tensor(shares, shape: logits.shape)
  }

  func loss(_ logProbabilities: Tensor) throws -> Tensor {
    try WeightedSum()(logProbabilities, shares) * Tensor(-1 / total)
  }
}

/// Σ x · share, a number. What does not count adds nothing, even if it is impossible (−∞).
private struct WeightedSum: DifferentiableFunction {
  func outputType(_ inputs: [TensorType]) throws -> TensorType { TensorType(.float32, []) }

  func forward(_ inputs: [Tensor]) throws -> Tensor {
    try inputs[0].withUnsafeScalars(as: Float.self) { x in
      try inputs[1].withUnsafeScalars(as: Float.self) { shares in
        let size = 1 << 15
        var sums = [Double](repeating: 0, count: (x.count + size - 1) / size)
        sums.withUnsafeMutableBufferPointer { sums in
          concurrently(sums.count) { part in
            for i in part * size..<min((part + 1) * size, x.count) where shares[i] != 0 {
              sums[part] += Double(x[i] * shares[i])
            }
          }
        }
        return try Tensor(Float(sums.reduce(0, +)))
      }
    }
  }

  func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] {
    [try inputs[1] * gradient, nil]
  }
}
