public import OctetCore

/// The smallest and the largest value so far. (torch.ao.quantization.MinMaxObserver; ±inf is left out and counted.)
public struct MinMaxObserver: SummarizingObserver {
  public var scheme: QuantizationScheme
  var seen = Extremes()

  public init(
    dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil, quantMax: Int? = nil,
    reduceRange: Bool = false
  ) {
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
  }

  /// In real units; +inf before anything has been observed.
  public var minVal: Float { seen.minimum.first ?? .infinity }
  /// In real units; −inf before anything has been observed.
  public var maxVal: Float { seen.maximum.first ?? -.infinity }
  /// How many infinities were left out.
  public var infinityCount: Int { seen.infinityCount }

  func ranges() -> [RealRange] { seen.ranges }
}

/// The average of the smallest and of the largest value of every batch: the first as it is, then
/// `m += averagingConstant · (current − m)`. (torch.ao.quantization.MovingAverageMinMaxObserver.)
///
/// Merging two gives what one would have that saw the batches of the first and then those of the second.
public struct MovingAverageMinMaxObserver: SummarizingObserver {
  public var scheme: QuantizationScheme
  var seen: MovingAverage

  /// - Parameter averagingConstant: the weight of a new batch, above 0 and at most 1.
  public init(
    averagingConstant: Float = 0.01, dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine,
    quantMin: Int? = nil, quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
    seen = MovingAverage(averagingConstant: averagingConstant)
  }

  /// The weight of a new batch.
  public var averagingConstant: Float { seen.averagingConstant }
  /// In real units; +inf before anything has been observed.
  public var minVal: Float { seen.average.minimum.first ?? .infinity }
  /// In real units; −inf before anything has been observed.
  public var maxVal: Float { seen.average.maximum.first ?? -.infinity }
  /// How many infinities were left out.
  public var infinityCount: Int { seen.average.infinityCount }

  var options: [String] { ["averaging constant \(averagingConstant)"] }
  func ranges() -> [RealRange] { seen.average.ranges }
}
