import OctetCore

/// Something that keeps quantization-aware training from converging, and where it was seen.
public struct TrainingWarning: Hashable, Sendable, Codable {
  public enum Fault: String, Hashable, Sendable, Codable, CaseIterable {
    /// An observer has seen nothing: values are rounded by a scale that means nothing.
    case observerNeverUpdated
    /// An observer was switched off while its scale still changed.
    case frozenTooSoon
    /// Many values lie beyond the range and get no gradient.
    case clipsTooMuch
    /// Gradients were computed while ``PreparedGraph/isTraining`` was off.
    case notInTrainingMode
    /// A scale changed by a large part of itself in one step.
    case scaleJumps
  }

  public let fault: Fault
  /// The site, or `weight of` the node; `nil`: the whole network.
  public let subject: String?
  /// How often, or how much: observations until it was switched off, a share of values, a share of a scale.
  public let figure: Float?
}

extension TrainingWarning: CustomStringConvertible {
  /// `relu1: 7.1 % of its values are clipped …`, with what may help.
  public var description: String {
    (subject.map { "\($0): " } ?? "") + text
  }

  private var text: String {
    let share = ((figure ?? 0) * 1000).rounded() / 10
    return switch fault {
    case .observerNeverUpdated:
      "its observer has seen nothing; leave it switched on for the first epochs, or calibrate before training"
    case .frozenTooSoon:
      "its observer was switched off while its scale still moved by \(share) % a step; leave it on for longer"
    case .clipsTooMuch:
      "\(share) % of its values are clipped and learn nothing; let its observer watch again, or give it one with a wider range"
    case .notInTrainingMode:
      "gradients were computed with isTraining off: nothing is observed, and batch normalization goes by its old statistics"
    case .scaleJumps:
      "its scale changed by \(share) % in one step; a lower learning rate, or clipped gradients, may help"
    }
  }
}

extension PreparedGraph {
  /// What looks wrong in training so far; empty if nothing does, and in a graph that was prepared for static quantization.
  ///
  /// - Parameters:
  ///   - clipping: the share of clipped values that is too much.
  ///   - pace: how much of itself a scale may have changed with each of the last observations before its observer was switched
  ///     off.
  ///   - jump: how much of itself a scale may change in one step after its first ones.
  public func warnings(clipping: Float = 0.05, pace: Float = 0.01, jump: Float = 0.25) -> [TrainingWarning] {
    guard let trained, trained.passes + trained.passesOutsideTraining > 0 else { return [] }
    var warnings: [TrainingWarning] = []
    if trained.passes == 0 {
      warnings.append(TrainingWarning(fault: .notInTrainingMode, subject: nil, figure: nil))
    }
    for (name, fake) in fakeQuantizes where !(fake.observer is FixedQParamsObserver) {
      func warn(_ fault: TrainingWarning.Fault, _ figure: Float?) {
        warnings.append(TrainingWarning(fault: fault, subject: name, figure: figure))
      }
      guard fake.observations > 0 else {
        warn(.observerNeverUpdated, nil)
        continue
      }
      if !fake.isObserverEnabled, fake.observedPace.recent > pace { warn(.frozenTooSoon, fake.observedPace.recent) }
      if let share = fake.clippedShare, share > clipping { warn(.clipsTooMuch, share) }
      let largest = max(fake.observedPace.largest, fake.learnedPace.largest)
      if largest > jump { warn(.scaleJumps, largest) }
    }
    return warnings
  }
}
