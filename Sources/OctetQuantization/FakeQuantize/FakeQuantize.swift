public import OctetCore
import Synchronization

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
public final class FakeQuantize: Sendable {
  /// What becomes of scale and zero point in training.
  public enum Learning: String, Hashable, Sendable, Codable {
    /// They are what the observer finds.
    case observed
    /// Once the observer is switched off, they learn: ``parameters`` are to be given to an optimizer. (Learned step size
    /// quantization: Esser and others, 2019.) The zero point learns only if it lies anywhere.
    case learned
  }

  public let learning: Learning
  private let state: Mutex<State>
  private let clipping = ClippingRecord()

  /// What changes in training.
  struct State {
    var observer: any Observer
    var isObserverEnabled = true
    var isFakeQuantizeEnabled = true
    var observations = 0
    var found: QuantizationParameters?
    var learned: (scale: Parameter, zeroPoint: Parameter)?
    /// How fast the observer's scales change, and those that learn.
    var observedPace = ScalePace()
    var learnedPace = ScalePace()
    /// What was rounded to last by scales that learn.
    var last: QuantizationParameters?
  }

  public init(_ observer: any Observer, learning: Learning = .observed) {
    self.learning = learning
    state = Mutex(State(observer: observer))
  }

  public var observer: any Observer { state.withLock { $0.observer } }

  /// Whether the observer watches, and scale and zero point follow it.
  public var isObserverEnabled: Bool {
    get { state.withLock { $0.isObserverEnabled } }
    set { state.withLock { $0.isObserverEnabled = newValue } }
  }

  /// Whether values are rounded; otherwise they pass as they are.
  public var isFakeQuantizeEnabled: Bool {
    get { state.withLock { $0.isFakeQuantizeEnabled } }
    set { state.withLock { $0.isFakeQuantizeEnabled = newValue } }
  }

  /// How many tensors with finite elements the observer has been shown.
  public var observations: Int { state.withLock { $0.observations } }

  /// The values rounded, and what the observer has to see seen.
  ///
  /// - Parameter x: float32, of any shape that suits the observer; traced tensors are let pass.
  /// - Throws: what the observer throws (`notANumber` for NaN, `shapeMismatch` for another number of channels …);
  ///   `unsupported` for scales by block.
  public func callAsFunction(_ x: Tensor) throws -> Tensor {
    if x.isTraced { return x }
    try observe(x)
    return try rounded(x)
  }

  /// Shows a tensor to the observer, if that is on.
  func observe(_ x: Tensor) throws {
    try state.withLock { state in
      guard state.isObserverEnabled else { return }
      try state.observer.observe(x.detached)
      // (What has no finite element is nothing to find a range in.)
      guard try x.hasFiniteElement else { return }
      state.observations += 1
      try state.follow()
    }
  }

  /// The values rounded, if that is on.
  func rounded(_ x: Tensor) throws -> Tensor {
    guard isFakeQuantizeEnabled else { return x }
    let parameters = try calculateQParams()
    guard learning == .learned, !isObserverEnabled else {
      return try FakeQuantization(parameters: parameters, record: clipping)(x)
    }
    let (scale, zeroPoint) = try learnedParameters()
    state.withLock { state in
      if let last = state.last, last != parameters { state.learnedPace.add(from: last, to: parameters) }
      state.last = parameters
    }
    return try LearnedFakeQuantization(parameters: parameters, record: clipping)(x, scale.value, zeroPoint.value)
  }

  /// Scale and zero point as they are now. If nothing has been observed: scale 1, zero point 0.
  public func calculateQParams() throws -> QuantizationParameters { try state.withLock { try $0.calculateQParams() } }

  /// Real units per step, one for all or one for each channel; 1 before anything has been observed.
  public var scale: [Float] { get throws { try calculateQParams().scales } }

  /// The integer of real 0 for each scale.
  public var zeroPoint: [Int] { get throws { try calculateQParams().zeroPoints } }

  /// The smallest and largest value that the observer goes by, in real units, for each scale; empty before it has seen
  /// anything, and for observers that keep none.
  public var minVal: [Float] { (observer as? any RangeKeeping)?.keptRange.minimum ?? [] }
  public var maxVal: [Float] { (observer as? any RangeKeeping)?.keptRange.maximum ?? [] }

  /// The share of values that were clipped when gradients last passed; `nil` before that.
  public var clippedShare: Float? { clipping.share }

  /// The number of scales as a share of that of values.
  var ownShareOfScales: Float {
    guard let count = clipping.count, let scales = try? scale.count else { return 0 }
    return Float(scales) / Float(count)
  }

  /// What learns: scale, and zero point if that lies anywhere. Empty unless scale and zero point are ``Learning/learned`` and
  /// the observer has seen something. (Their gradients are 0 while the observer is on.)
  public var parameters: [Parameter] {
    get throws {
      guard learning == .learned, state.withLock({ $0.found != nil }) else { return [] }
      let (scale, zeroPoint) = try learnedParameters()
      return zeroPoint.isTrainable ? [scale, zeroPoint] : [scale]
    }
  }

  var observedPace: ScalePace { state.withLock { $0.observedPace } }
  var learnedPace: ScalePace { state.withLock { $0.learnedPace } }

  /// Made of what the observer has found, when they are first asked for.
  func learnedParameters() throws -> (scale: Parameter, zeroPoint: Parameter) {
    try state.withLock { state in
      if let learned = state.learned { return learned }
      let found = try state.calculateQParams()
      let isSymmetric = (state.observer as? any SummarizingObserver)?.scheme.symmetry == .symmetric
      let made = (
        scale: Parameter(try Tensor(found.scales, shape: [found.scales.count])),
        zeroPoint: Parameter(
          try Tensor(found.zeroPoints.map { Float($0) }, shape: [found.scales.count]), isTrainable: !isSymmetric)
      )
      state.learned = made
      return made
    }
  }

  /// Looks at what changes, or changes it, while nobody else does.
  func withState<Result: Sendable>(_ body: (inout State) throws -> Result) rethrows -> Result {
    try state.withLock { try body(&$0) }
  }
}

extension FakeQuantize.State {
  /// What the observer finds is what holds. What has learned starts anew from it: the same parameters, which an optimizer
  /// may hold.
  mutating func follow() throws {
    let found = try observer.calculateQParams()
    if let old = self.found { observedPace.add(from: old, to: found) }
    self.found = found
    try learnAnew(from: found)
  }

  mutating func learnAnew(from found: QuantizationParameters) throws {
    guard let learned else { return }
    guard learned.scale.value.shape == [found.scales.count] else {
      self.learned = nil
      return
    }
    learned.scale.value = try Tensor(found.scales, shape: [found.scales.count])
    learned.zeroPoint.value = try Tensor(found.zeroPoints.map { Float($0) }, shape: [found.scales.count])
  }

  func calculateQParams() throws -> QuantizationParameters {
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
}

extension Tensor {
  /// Whether a float32 tensor has one.
  var hasFiniteElement: Bool {
    get throws { try withUnsafeScalars(as: Float.self) { $0.contains { $0.isFinite } } }
  }
}

/// How fast scales change from one observation to the next, as a share of themselves: the largest one of all channels.
struct ScalePace: Codable {
  /// What counts as the beginning, when scales may do as they like.
  static let warmUp = 10
  private(set) var observations = 0
  /// An average over about the last ten.
  private(set) var recent: Float = 0
  /// The largest since the beginning, and behind it.
  private(set) var largest: Float = 0

  mutating func add(from old: QuantizationParameters, to new: QuantizationParameters) {
    guard old.scales.count == new.scales.count else { return }
    observations += 1
    let change = zip(old.scales, new.scales).map { Swift.abs($1 / $0 - 1) }.max() ?? 0
    recent += (change - recent) / Float(min(observations, 10))
    if observations > Self.warmUp { largest = max(largest, change) }
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
