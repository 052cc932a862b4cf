import Foundation
import Octet

/// What training made of a model.
struct QATReport: Encodable {
  struct Score: Encodable {
    let loss: Double
    /// Of the labels, or of what the teacher says.
    let accuracy: Double?

    init(_ evaluation: Evaluation) { (loss, accuracy) = (evaluation.loss, evaluation.accuracy) }
  }

  struct Epoch: Encodable {
    let epoch: Int
    let loss: Double
    let judged: Score
  }

  let model: String
  let output: String
  let loss: QATCommand.Loss
  /// Steps of all epochs.
  let steps: Int
  let float: Score
  /// Rounded as calibration alone would have it.
  let calibrated: Score
  let trained: Score
  /// The epoch that is kept, from 1; `nil`: what there was before the first.
  let best_epoch: Int?
  let epochs: [Epoch]
  let warnings: [String]
  let quantized: Int
  let kept: [QuantizeReport.Kept]
  let boundaries: Int
  let taken_from_data: String?
  let bytes_before: Int
  let bytes_after: Int

  init(model: LoadedModel, output: String, _ run: QATRun, _ outcome: Quantization.Outcome) throws {
    (self.model, self.output, loss, steps) = (model.path, output, run.loss, run.steps)
    (float, calibrated, trained) = (Score(run.float), Score(run.before), Score(run.after))
    best_epoch = run.bestEpoch.map { $0 + 1 }
    epochs = run.history.epochs.map {
      Epoch(epoch: $0.epoch + 1, loss: $0.training.loss, judged: Score($0.validation ?? $0.training))
    }
    warnings = run.warnings.map(\.description)
    (quantized, kept, boundaries) = (outcome.quantized.count, outcome.keptByReason, outcome.boundaries)
    taken_from_data = model.taken?.description
    (bytes_before, bytes_after) = (try modelBytes(model.path), try modelBytes(output))
  }

  func show() {
    if isatty(STDOUT_FILENO) == 1, epochs.count > 1 {
      print(Plot("loss", epochs.map(\.judged.loss)))
      let accuracies = epochs.compactMap(\.judged.accuracy)
      if accuracies.count == epochs.count { print(Plot("accuracy", accuracies)) }
    }
    var table = Table(["", "loss", loss == .distill ? "agreement" : "accuracy"], trailing: [1, 2])
    for (name, score) in [("float", float), ("calibrated", calibrated), ("trained", trained)] {
      table.append(
        name, (abs(score.loss) < 5e-6 ? 0 : score.loss).formatted(5),
        score.accuracy.map { "\(($0 * 100).formatted(2)) %" } ?? "–")
    }
    print(table)
    let kept =
      best_epoch.map { "epoch \($0) of \(epochs.count) is kept" } ?? "training made nothing better: none is kept"
    print("\(loss.rawValue), \(steps) steps; \(kept)")
    for warning in warnings { print("warning: \(warning)") }
    showNodes("qat", quantized, self.kept, boundaries)
    if let taken_from_data { print("as in the data, for good: \(taken_from_data)") }
    showBytes(bytes_before, bytes_after)
    print(output)
  }
}
