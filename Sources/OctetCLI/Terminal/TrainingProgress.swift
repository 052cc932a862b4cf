import Foundation
import Octet

/// Loss and accuracy epoch by epoch on the error output while a network trains; nothing unless that is a terminal.
final class TrainingProgress {
  private let title: String
  private let epochs: Int
  private var bar: Progress

  init(_ title: String, epochs: Int, batches: Int) {
    self.title = title
    self.epochs = epochs
    bar = Progress("\(title): epoch 1 of \(epochs)", total: batches)
  }

  func show(_ step: StepRecord) { bar.show(step.batch + 1) }

  func show(_ epoch: EpochRecord) {
    guard bar.isShown else { return }
    bar.finish()
    let judged = epoch.validation ?? epoch.training
    let accuracy = judged.accuracy.map { "  accuracy \(($0 * 100).formatted(1)) %" } ?? ""
    let line = "\(title): epoch \(epoch.epoch + 1) of \(epochs)  loss \(epoch.training.loss.formatted(4))\(accuracy)\n"
    FileHandle.standardError.write(Data(line.utf8))
    if epoch.epoch + 1 < epochs { bar = Progress("\(title): epoch \(epoch.epoch + 2) of \(epochs)", total: bar.total) }
  }

  func finish() { bar.finish() }
}
