public import OctetCore

/// The average of the smallest and of the largest value of every batch: the first as it is, then
/// `m += averagingConstant · (current − m)`. (torch.ao.quantization.MovingAverageMinMaxObserver.)
public struct MovingAverageMinMaxObserver: Observer {
  public var scheme: QuantizationScheme
  /// The weight of a new batch.
  public let averagingConstant: Float
  /// How many infinities were left out.
  public private(set) var infinityCount = 0
  @ExtendedReal private var minimum = .infinity
  @ExtendedReal private var maximum = -.infinity

  /// - Parameter averagingConstant: the weight of a new batch, above 0 and at most 1.
  public init(
    averagingConstant: Float = 0.01, dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine,
    quantMin: Int? = nil, quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.averagingConstant = averagingConstant
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
  }

  /// In real units; +inf before anything has been observed.
  public var minVal: Float { minimum }
  /// In real units; −inf before anything has been observed.
  public var maxVal: Float { maximum }

  public mutating func observe(_ x: Tensor) throws {
    guard let current = try Extremes(of: x) else { return }
    infinityCount += current.infinities
    guard current.minimum <= current.maximum else { return }
    let isFirst = minimum > maximum
    minimum = isFirst ? current.minimum : minimum + averagingConstant * (current.minimum - minimum)
    maximum = isFirst ? current.maximum : maximum + averagingConstant * (current.maximum - maximum)
  }

  public func calculateQParams() throws -> QuantizationParameters {
    guard minimum <= maximum else { return try scheme.unobserved("MovingAverageMinMaxObserver") }
    let range = try scheme.range()
    let (scale, zero) = try scheme.scaleAndZeroPoint(minimum, maximum, range)
    return try QuantizationParameters(scale: scale, zeroPoint: zero, dtype: scheme.dtype, range: range)
  }

  /// Averages are merged as if the other one's were a batch.
  public mutating func merge(_ other: MovingAverageMinMaxObserver) {
    infinityCount += other.infinityCount
    guard other.minimum <= other.maximum else { return }
    let isFirst = minimum > maximum
    minimum = isFirst ? other.minimum : minimum + averagingConstant * (other.minimum - minimum)
    maximum = isFirst ? other.maximum : maximum + averagingConstant * (other.maximum - maximum)
  }

  public mutating func reset() {
    (minimum, maximum, infinityCount) = (.infinity, -.infinity, 0)
  }
}

/// The same for every channel, reduced over every axis but one.
/// (torch.ao.quantization.MovingAveragePerChannelMinMaxObserver.)
public struct MovingAveragePerChannelMinMaxObserver: Observer {
  public var scheme: QuantizationScheme
  /// The axis that channels are counted along; negative from the end.
  public let axis: Int
  /// The weight of a new batch.
  public let averagingConstant: Float
  private var channels: [MovingAverageMinMaxObserver] = []

  /// - Parameter averagingConstant: the weight of a new batch, above 0 and at most 1.
  public init(
    axis: Int = 0, averagingConstant: Float = 0.01, dtype: DType = .uint8,
    scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil, quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.axis = axis
    self.averagingConstant = averagingConstant
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
  }

  /// In real units, one for each channel; empty before anything has been observed.
  public var minVal: [Float] { channels.map(\.minVal) }
  public var maxVal: [Float] { channels.map(\.maxVal) }

  /// - Throws: also `shapeMismatch` if `x` lacks the axis or has another number of channels than before.
  public mutating func observe(_ x: Tensor) throws {
    guard let current = try ChannelExtremes(of: x, axis: axis) else { return }
    let count = current.minimum.count
    if channels.isEmpty {
      channels = [MovingAverageMinMaxObserver](repeating: .init(averagingConstant: averagingConstant), count: count)
    }
    guard channels.count == count else {
      throw OctetError(
        .shapeMismatch, "MovingAveragePerChannelMinMaxObserver", expected: "\(channels.count) channels as before",
        found: "\(count)")
    }
    for i in channels.indices where current.minimum[i] <= current.maximum[i] {
      try channels[i].observe(Tensor([current.minimum[i], current.maximum[i]], shape: [2]))
    }
  }

  public func calculateQParams() throws -> QuantizationParameters {
    guard !channels.isEmpty else {
      return try scheme.unobserved("MovingAveragePerChannelMinMaxObserver", axis: axis)
    }
    let range = try scheme.range()
    let parameters = try channels.map { channel in
      try channel.minVal <= channel.maxVal
        ? scheme.scaleAndZeroPoint(channel.minVal, channel.maxVal, range) : scheme.scaleAndZeroPoint(0, 0, range)
    }
    return try QuantizationParameters(
      scales: parameters.map(\.0), zeroPoints: parameters.map(\.1), dtype: scheme.dtype, range: range, axis: axis)
  }

  public mutating func merge(_ other: MovingAveragePerChannelMinMaxObserver) throws {
    if channels.isEmpty {
      channels = other.channels
    } else if !other.channels.isEmpty {
      guard channels.count == other.channels.count else {
        throw OctetError(
          .shapeMismatch, "MovingAveragePerChannelMinMaxObserver", expected: "\(channels.count) channels as before",
          found: "\(other.channels.count)")
      }
      for i in channels.indices { channels[i].merge(other.channels[i]) }
    }
  }

  public mutating func reset() { channels = [] }
}
