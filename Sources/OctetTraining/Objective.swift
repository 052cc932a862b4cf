public import OctetCore
import OctetNN

/// What a network is to learn: which arrays of a batch it is given, and how wrong its outputs are.
///
///     let objective = Objective.classification()          // images → labels
///     let own = Objective(inputs: ["x"]) { outputs, batch in try mseLoss(outputs[0], batch["y"]) }
public struct Objective {
  public typealias Loss = (_ outputs: [Tensor], _ batch: Batch) throws -> Tensor
  public typealias Count = (_ outputs: [Tensor], _ batch: Batch) throws -> Int

  /// The arrays of a batch that are the network's inputs, in their order.
  public let inputs: [String]
  /// One number, float32, that falls as the network learns: a mean over the samples of the batch.
  public let loss: Loss
  /// How many samples are right; `nil` where there is no such thing.
  public let correct: Count?

  public init(inputs: [String], loss: @escaping Loss, correct: Count? = nil) {
    self.inputs = inputs
    self.loss = loss
    self.correct = correct
  }

  /// One class of several for each sample, by cross-entropy.
  ///
  /// - Parameters:
  ///   - input: the array that the network is given; its only output is logits [n, classes].
  ///   - labels: the array of classes, [n], integers.
  ///   - labelSmoothing: what is taken from a label and shared among all classes, 0...1.
  public static func classification(
    _ input: String = "images", labels: String = "labels", labelSmoothing: Float = 0
  ) -> Objective {
    Objective(inputs: [input]) { outputs, batch in
      try crossEntropy(outputs[0], batch[labels], labelSmoothing: labelSmoothing)
    } correct: { outputs, batch in
      try countRight(outputs[0], batch[labels])
    }
  }

  /// How many samples have their largest score, of [n, classes, ...], where they should: at their label, of integers
  /// [n, ...], or where others' scores, float32 [n, classes, ...], are largest.
  package static func countRight(_ scores: Tensor, _ wanted: Tensor) throws -> Int {
    func classes(_ scores: Tensor) throws -> Tensor { try scores.argmax(axis: 1, keepDimensions: false) }
    let expected = try (wanted.dtype == .float32 ? classes(wanted) : wanted.cast(to: .int64)).scalars(as: Int64.self)
    return zip(try classes(scores).scalars(as: Int64.self), expected).count { $0 == $1 }
  }
}
