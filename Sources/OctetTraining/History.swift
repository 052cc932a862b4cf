/// How good a network is on some samples.
public struct Evaluation: Hashable, Sendable, Codable {
  /// The mean over the samples.
  public var loss: Double
  /// The share of samples that are right; `nil` where the objective does not count them.
  public var accuracy: Double?

  public init(loss: Double, accuracy: Double? = nil) {
    self.loss = loss
    self.accuracy = accuracy
  }

  /// More samples right; of equally many (or where they are not counted), the lower loss.
  public func isBetter(than other: Evaluation) -> Bool {
    if let accuracy, let others = other.accuracy, accuracy != others { return accuracy > others }
    return loss < other.loss
  }
}

/// What one epoch brought.
public struct EpochRecord: Hashable, Sendable, Codable {
  /// Counted from 0.
  public let epoch: Int
  /// Of the last step.
  public let learningRate: Float
  /// Over the steps of the epoch, while the network changed (and dropped).
  public let training: Evaluation
  /// After the epoch; `nil` without samples for validation.
  public let validation: Evaluation?

  /// What epochs are compared by.
  var judged: Evaluation { validation ?? training }
}

/// All epochs so far.
public struct History: Hashable, Sendable, Codable {
  public internal(set) var epochs: [EpochRecord] = []

  /// The best epoch: by accuracy in validation, then by loss; without validation by those of training.
  public var best: EpochRecord? {
    epochs.reduce(nil) { best, record in
      best.map { record.judged.isBetter(than: $0.judged) ? record : $0 } ?? record
    }
  }

  public init() {}
}

/// What one step did, for callbacks.
public struct StepRecord: Hashable, Sendable {
  /// Counted from 0 over all epochs.
  public let step: Int
  public let epoch: Int
  /// Which batch of the epoch, and how many there are.
  public let batch: Int
  public let batchCount: Int
  public let loss: Double
  public let learningRate: Float
  /// How long all gradients together were before they were clipped; `nil` without clipping.
  public let gradientNorm: Float?
}
