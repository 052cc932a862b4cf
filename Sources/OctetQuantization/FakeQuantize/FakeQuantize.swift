public import OctetCore

/// Rounds values to the steps of integers and stays in float, so that a network feels in training what it will be in
/// integers. (torch.ao.quantization.FakeQuantize.)
///
///     q = clamp(roundHalfEven(x / scale) + zeroPoint, range),  x̂ = scale · (q − zeroPoint)
///
/// An observer inside watches what passes and finds scale and zero point; both can be switched off by themselves. Gradients
/// pass straight through where q is not clipped.
///
///     let activations = FakeQuantize(MovingAverageMinMaxObserver())
///     let weights = FakeQuantize(MovingAveragePerChannelMinMaxObserver(dtype: .int8, scheme: .symmetric))
///     // In a forward:
///     let y = try activations(conv2d(x, weight: weights(weight.value)))
///
/// It belongs to one training at a time.
public final class FakeQuantize {
  /// What becomes of scale and zero point in training.
  public enum Learning: String, Hashable, Sendable, Codable {
    /// They are what the observer finds.
    case observed
    /// Once the observer is switched off, they learn: ``parameters`` are to be given to an optimizer. (Learned step size
    /// quantization: Esser and others, 2019.) The zero point learns only if it lies anywhere.
    case learned
  }

  public private(set) var observer: any Observer
  public let learning: Learning
  /// Whether the observer watches, and scale and zero point follow it.
  public var isObserverEnabled = true
  /// Whether values are rounded; otherwise they pass as they are.
  public var isFakeQuantizeEnabled = true
  /// How many tensors the observer has been shown.
  public private(set) var observations = 0
  private var found: QuantizationParameters?
  private var learned: (scale: Parameter, zeroPoint: Parameter)?

  public init(_ observer: any Observer, learning: Learning = .observed) {
    self.observer = observer
    self.learning = learning
  }

  /// The values rounded, and what the observer has to see seen.
  ///
  /// - Parameter x: float32, of any shape that suits the observer; traced tensors are let pass.
  /// - Throws: what the observer throws (`notANumber` for NaN, `shapeMismatch` for another number of channels …);
  ///   `unsupported` for scales by block.
  public func callAsFunction(_ x: Tensor) throws -> Tensor {
    if x.isTraced { return x }
    if isObserverEnabled {
      try observer.observe(x.detached)
      observations += 1
      try follow(observer.calculateQParams())
    }
    guard isFakeQuantizeEnabled else { return x }
    let parameters = try calculateQParams()
    guard learning == .learned, !isObserverEnabled else { return try fakeQuantize(x, parameters) }
    let (scale, zeroPoint) = try learnedParameters()
    return try LearnedFakeQuantization(parameters: parameters)(x, scale.value, zeroPoint.value)
  }

  /// What has learned starts anew from what the observer has found: the same parameters, which an optimizer may hold.
  private func follow(_ found: QuantizationParameters) throws {
    self.found = found
    guard let learned else { return }
    guard learned.scale.value.shape == [found.scales.count] else {
      self.learned = nil
      return
    }
    learned.scale.value = try Tensor(found.scales, shape: [found.scales.count])
    learned.zeroPoint.value = try Tensor(found.zeroPoints.map { Float($0) }, shape: [found.scales.count])
  }

  /// Scale and zero point as they are now. If nothing has been observed: scale 1, zero point 0.
  public func calculateQParams() throws -> QuantizationParameters {
    let found = try self.found ?? observer.calculateQParams()
    guard let learned else { return found }
    let scales = try learned.scale.value.scalars(as: Float.self).map { max(abs($0), QuantizationScheme.leastScale) }
    let zeros = try learned.zeroPoint.value.scalars(as: Float.self).map { (zero: Float) -> Int in
      guard !zero.isNaN else {
        throw OctetError(.notANumber, "zero point", expected: "a number", found: "NaN, which it has learned")
      }
      return Int(
        min(max(zero, Float(found.range.lowerBound)), Float(found.range.upperBound)).rounded(.toNearestOrEven))
    }
    return try QuantizationParameters(
      scales: scales, zeroPoints: zeros, dtype: found.dtype, range: found.range, axis: found.axis,
      blockSize: found.blockSize)
  }

  /// Real units per step, one for all or one for each channel; 1 before anything has been observed.
  public var scale: [Float] { get throws { try calculateQParams().scales } }

  /// The integer of real 0 for each scale.
  public var zeroPoint: [Int] { get throws { try calculateQParams().zeroPoints } }

  /// The smallest and largest value that the observer goes by, in real units, for each scale; empty before it has seen
  /// anything, and for observers that keep none.
  public var minVal: [Float] { (observer as? any RangeKeeping)?.keptRange.minimum ?? [] }
  public var maxVal: [Float] { (observer as? any RangeKeeping)?.keptRange.maximum ?? [] }

  /// What learns: scale, and zero point if that lies anywhere. Empty unless scale and zero point are ``Learning/learned`` and
  /// the observer, having seen something, is switched off.
  public var parameters: [Parameter] {
    get throws {
      guard learning == .learned, !isObserverEnabled, found != nil else { return [] }
      let (scale, zeroPoint) = try learnedParameters()
      return zeroPoint.isTrainable ? [scale, zeroPoint] : [scale]
    }
  }

  /// Made of what the observer has found, when they are first asked for.
  private func learnedParameters() throws -> (scale: Parameter, zeroPoint: Parameter) {
    if let learned { return learned }
    let found = try calculateQParams()
    let isSymmetric = (observer as? any SummarizingObserver)?.scheme.symmetry == .symmetric
    let made = (
      scale: Parameter(try Tensor(found.scales, shape: [found.scales.count])),
      zeroPoint: Parameter(
        try Tensor(found.zeroPoints.map { Float($0) }, shape: [found.scales.count]), isTrainable: !isSymmetric)
    )
    learned = made
    return made
  }
}

extension FakeQuantize: CustomStringConvertible {
  /// `FakeQuantize(MinMaxObserver(…): -0.5…1.5, …)`, and what is switched off or learned.
  public var description: String {
    let notes = [
      isObserverEnabled ? nil : "observer off", isFakeQuantizeEnabled ? nil : "rounding off",
      learning == .learned ? "learned" : nil,
    ]
    return (["FakeQuantize(\(observer))"] + notes.compactMap { $0 }).joined(separator: ", ")
  }
}

/// An observer whose range is two numbers for each scale.
protocol RangeKeeping {
  var keptRange: (minimum: [Float], maximum: [Float]) { get }
}

extension MinMaxObserver: RangeKeeping {
  var keptRange: (minimum: [Float], maximum: [Float]) { (seen.minimum, seen.maximum) }
}

extension PerChannelMinMaxObserver: RangeKeeping {
  var keptRange: (minimum: [Float], maximum: [Float]) { (seen.minimum, seen.maximum) }
}

extension MovingAverageMinMaxObserver: RangeKeeping {
  var keptRange: (minimum: [Float], maximum: [Float]) { (seen.average.minimum, seen.average.maximum) }
}

extension MovingAveragePerChannelMinMaxObserver: RangeKeeping {
  var keptRange: (minimum: [Float], maximum: [Float]) { (seen.average.minimum, seen.average.maximum) }
}
