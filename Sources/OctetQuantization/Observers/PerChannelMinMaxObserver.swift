public import OctetCore

/// The smallest and the largest value of every channel, reduced over every axis but one.
/// (torch.ao.quantization.PerChannelMinMaxObserver; ±inf is left out and counted.)
///
/// Observing throws `shapeMismatch` also for a tensor that lacks the axis or has another number of channels than before.
public struct PerChannelMinMaxObserver: SummarizingObserver {
  public var scheme: QuantizationScheme
  /// The axis that channels are counted along; negative from the end.
  public let axis: Int
  var seen = Extremes()

  public init(
    axis: Int = 0, dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil,
    quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.axis = axis
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
  }

  /// In real units, one for each channel; empty before anything has been observed.
  public var minVal: [Float] { seen.minimum }
  public var maxVal: [Float] { seen.maximum }
  /// How many infinities were left out.
  public var infinityCount: Int { seen.infinityCount }

  var grouping: Grouping { .channels(axis: axis) }
  var options: [String] { ["axis \(axis)"] }
  func ranges() -> [RealRange] { seen.ranges }
}

/// The average of the smallest and of the largest value of every channel over batches: the first as it is, then
/// `m += averagingConstant · (current − m)`. (torch.ao.quantization.MovingAveragePerChannelMinMaxObserver.)
///
/// Merging two gives what one would have that saw the batches of the first and then those of the second.
public struct MovingAveragePerChannelMinMaxObserver: SummarizingObserver {
  public var scheme: QuantizationScheme
  /// The axis that channels are counted along; negative from the end.
  public let axis: Int
  var seen: MovingAverage

  /// - Parameter averagingConstant: the weight of a new batch, above 0 and at most 1.
  public init(
    axis: Int = 0, averagingConstant: Float = 0.01, dtype: DType = .uint8,
    scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil, quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.axis = axis
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
    seen = MovingAverage(averagingConstant: averagingConstant)
  }

  /// The weight of a new batch.
  public var averagingConstant: Float { seen.averagingConstant }
  /// In real units, one for each channel; empty before anything has been observed.
  public var minVal: [Float] { seen.average.minimum }
  public var maxVal: [Float] { seen.average.maximum }
  /// How many infinities were left out.
  public var infinityCount: Int { seen.average.infinityCount }

  var grouping: Grouping { .channels(axis: axis) }
  var options: [String] { ["axis \(axis)", "averaging constant \(averagingConstant)"] }
  func ranges() -> [RealRange] { seen.average.ranges }
}
