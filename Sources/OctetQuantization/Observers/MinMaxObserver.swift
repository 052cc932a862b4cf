public import OctetCore

/// The smallest and the largest value so far. (torch.ao.quantization.MinMaxObserver; ±inf is left out and counted.)
public struct MinMaxObserver: Observer {
  public var scheme: QuantizationScheme
  /// In real units; +inf before anything has been observed.
  public private(set) var minVal: Float {
    get { minimum }
    set { minimum = newValue }
  }
  /// In real units; −inf before anything has been observed.
  public private(set) var maxVal: Float {
    get { maximum }
    set { maximum = newValue }
  }
  /// How many infinities were left out.
  public private(set) var infinityCount = 0
  @ExtendedReal private var minimum = .infinity
  @ExtendedReal private var maximum = -.infinity

  public init(
    dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil, quantMax: Int? = nil,
    reduceRange: Bool = false
  ) {
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
  }

  public mutating func observe(_ x: Tensor) throws {
    guard let extremes = try Extremes(of: x) else { return }
    minVal = min(minVal, extremes.minimum)
    maxVal = max(maxVal, extremes.maximum)
    infinityCount += extremes.infinities
  }

  public func calculateQParams() throws -> QuantizationParameters {
    guard minVal <= maxVal else { return try scheme.unobserved("MinMaxObserver") }
    let range = try scheme.range()
    let (scale, zero) = try scheme.scaleAndZeroPoint(minVal, maxVal, range)
    return try QuantizationParameters(scale: scale, zeroPoint: zero, dtype: scheme.dtype, range: range)
  }

  public mutating func merge(_ other: MinMaxObserver) {
    minVal = min(minVal, other.minVal)
    maxVal = max(maxVal, other.maxVal)
    infinityCount += other.infinityCount
  }

  public mutating func reset() {
    minVal = .infinity
    maxVal = -.infinity
    infinityCount = 0
  }
}
