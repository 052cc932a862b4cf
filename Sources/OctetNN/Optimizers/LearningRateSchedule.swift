#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The learning rate of each step, as a factor of the optimizer's first one.
///
///     let schedule = LearningRateSchedule.warmUp(100, then: .cosine(steps: 900))
///     optimizer.learningRate = 0.1 * schedule.factor(at: step)
public indirect enum LearningRateSchedule: Hashable, Sendable {
  /// 1 always.
  case constant
  /// `gamma` to the power of how often `size` steps have passed: PyTorch's StepLR.
  case step(size: Int, gamma: Float = 0.1)
  /// From 1 to `minimum` along half a cosine, and no further: PyTorch's CosineAnnealingLR.
  case cosine(steps: Int, minimum: Float = 0)
  /// Up from `1 / initialDivisor` to 1 in a share of the steps, and down to `1 / (initialDivisor · finalDivisor)`, both along
  /// half a cosine: PyTorch's OneCycleLR, with the highest rate as the optimizer's.
  case oneCycle(steps: Int, warmUpShare: Float = 0.3, initialDivisor: Float = 25, finalDivisor: Float = 1e4)
  /// Evenly up from `start` to 1 in so many steps (PyTorch's LinearLR), then another schedule from its beginning.
  case warmUp(Int, start: Float = 1 / 3, then: LearningRateSchedule = .constant)

  /// The factor at a step, counted from 0.
  public func factor(at step: Int) -> Float {
    switch self {
    case .constant: return 1
    case .step(let size, let gamma): return Float(pow(Double(gamma), Double(step / max(size, 1))))
    case .cosine(let steps, let minimum):
      return Float(between(1, Double(minimum), Double(min(step, steps)) / Double(max(steps, 1))))
    case .oneCycle(let steps, let share, let initial, let final):
      let peak = Double(share) * Double(steps) - 1
      let low = 1 / Double(initial)
      if Double(step) <= peak { return Float(between(low, 1, peak > 0 ? Double(step) / peak : 1)) }
      let fall = Double(steps - 1) - peak
      let rest = fall > 0 ? max(Double(min(step, steps - 1)) - peak, 0) / fall : 1
      return Float(between(1, low / Double(final), rest))
    case .warmUp(let steps, let start, let next):
      return step < steps
        ? start + (1 - start) * Float(step) / Float(steps) : next.factor(at: step - steps)
    }
  }

  /// Along half a cosine.
  private func between(_ start: Double, _ end: Double, _ share: Double) -> Double {
    end + (start - end) * (1 + cos(Double.pi * share)) / 2
  }
}
