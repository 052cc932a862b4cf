public import OctetCore

/// The smallest and the largest value of every channel, reduced over every axis but one.
/// (torch.ao.quantization.PerChannelMinMaxObserver.)
public struct PerChannelMinMaxObserver: Observer {
  public var scheme: QuantizationScheme
  /// The axis that channels are counted along; negative from the end.
  public let axis: Int
  /// In real units, one for each channel; empty before anything has been observed.
  public private(set) var minVal: [Float] {
    get { minimum }
    set { minimum = newValue }
  }
  public private(set) var maxVal: [Float] {
    get { maximum }
    set { maximum = newValue }
  }
  /// How many infinities were left out.
  public private(set) var infinityCount = 0
  @ExtendedReals private var minimum = []
  @ExtendedReals private var maximum = []

  public init(
    axis: Int = 0, dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil,
    quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.axis = axis
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
  }

  /// - Throws: also `shapeMismatch` if `x` lacks the axis or has another number of channels than before.
  public mutating func observe(_ x: Tensor) throws {
    guard let extremes = try ChannelExtremes(of: x, axis: axis) else { return }
    try include(extremes.minimum, extremes.maximum)
    infinityCount += extremes.infinities
  }

  public func calculateQParams() throws -> QuantizationParameters {
    guard !minVal.isEmpty else { return try scheme.unobserved("PerChannelMinMaxObserver", axis: axis) }
    let range = try scheme.range()
    let parameters = try zip(minVal, maxVal).map { low, high in
      // A channel of infinities alone has no finite extremes: its range is {0}.
      try low <= high ? scheme.scaleAndZeroPoint(low, high, range) : scheme.scaleAndZeroPoint(0, 0, range)
    }
    return try QuantizationParameters(
      scales: parameters.map(\.0), zeroPoints: parameters.map(\.1), dtype: scheme.dtype, range: range, axis: axis)
  }

  public mutating func merge(_ other: PerChannelMinMaxObserver) throws {
    if !other.minVal.isEmpty { try include(other.minVal, other.maxVal) }
    infinityCount += other.infinityCount
  }

  public mutating func reset() {
    minVal = []
    maxVal = []
    infinityCount = 0
  }

  private mutating func include(_ minimum: [Float], _ maximum: [Float]) throws {
    guard minVal.isEmpty || minVal.count == minimum.count else {
      throw OctetError(
        .shapeMismatch, "PerChannelMinMaxObserver", expected: "\(minVal.count) channels as before",
        found: "\(minimum.count)")
    }
    minVal = minVal.isEmpty ? minimum : zip(minVal, minimum).map { min($0, $1) }
    maxVal = maxVal.isEmpty ? maximum : zip(maxVal, maximum).map { max($0, $1) }
  }
}
