import OctetCore

extension FakeQuantize {
  /// What it has seen and learned, and what is switched off.
  struct Saved: Codable {
    let observed: Calibration.State
    let isObserverEnabled: Bool
    let isFakeQuantizeEnabled: Bool
    let found: QuantizationParameters?
    let scales: [Float]?
    let zeroPoints: [Float]?
    let observedPace: ScalePace
    let learnedPace: ScalePace
    let last: QuantizationParameters?
  }

  func saved() throws -> Saved {
    try withState { state in
      Saved(
        observed: Calibration.State(observer: state.observer, observations: state.observations),
        isObserverEnabled: state.isObserverEnabled, isFakeQuantizeEnabled: state.isFakeQuantizeEnabled,
        found: state.found, scales: try state.learned?.scale.value.scalars(as: Float.self),
        zeroPoints: try state.learned?.zeroPoint.value.scalars(as: Float.self),
        observedPace: state.observedPace, learnedPace: state.learnedPace, last: state.last)
    }
  }

  /// - Throws: `OctetError` (`invalidArgument`) if that is the state of another observer, or makes no sense.
  func check(_ saved: Saved) throws {
    var observer = observer
    observer.reset()
    try observer.merge(any: saved.observed.observer)
    let counts = [saved.scales?.count, saved.zeroPoints?.count]
    guard Set(counts).count == 1, counts[0] == nil || counts[0] == saved.found?.scales.count,
      saved.found == nil || saved.observed.observations > 0
    else {
      throw OctetError(
        .invalidArgument, "scales", expected: "as many that have learned as have been found",
        found: "\(saved.scales?.count ?? 0), \(saved.zeroPoints?.count ?? 0), \(saved.found?.scales.count ?? 0)")
    }
  }

  /// - Throws: what ``check(_:)`` throws.
  func load(_ saved: Saved) throws {
    try check(saved)
    withState { state in
      state.observer = saved.observed.observer
      state.observations = saved.observed.observations
      state.isObserverEnabled = saved.isObserverEnabled
      state.isFakeQuantizeEnabled = saved.isFakeQuantizeEnabled
      state.found = saved.found
      (state.observedPace, state.learnedPace, state.last) = (saved.observedPace, saved.learnedPace, saved.last)
    }
    guard let scales = saved.scales, let zeroPoints = saved.zeroPoints else {
      // Nothing had learned: what an optimizer may hold starts anew.
      try withState { state in
        if let found = saved.found { try state.learnAnew(from: found) } else { state.learned = nil }
      }
      return
    }
    let (scale, zeroPoint) = try learnedParameters()
    scale.value = try Tensor(scales, shape: [scales.count])
    zeroPoint.value = try Tensor(zeroPoints, shape: [zeroPoints.count])
  }
}
