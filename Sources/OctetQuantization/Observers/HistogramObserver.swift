public import OctetCore

/// A running histogram, and the range of it whose quantization error is least by PyTorch's search
/// (torch.ao.quantization.HistogramObserver of PyTorch 2.13). Infinities are left out and counted.
///
/// ``MSEObserver`` finds the least error of all ranges; this one what PyTorch finds.
public struct HistogramObserver: SummarizingObserver {
  public var scheme: QuantizationScheme
  var seen: Histogram

  /// - Parameter bins: from 1 to 2²⁰; other numbers are refused when something is observed.
  public init(
    bins: Int = 2048, dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil,
    quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
    seen = Histogram(bins: bins)
  }

  public var bins: Int { seen.bins }
  /// Numbers of values; fractions of them once the range has grown; empty before anything has been observed.
  public var histogram: [Float] { seen.counts }
  /// The range of the histogram in real units; +inf before anything has been observed.
  public var minVal: Float { seen.minimum }
  /// −inf before anything has been observed.
  public var maxVal: Float { seen.maximum }
  /// How many infinities were left out.
  public var infinityCount: Int { seen.infinityCount }

  var options: [String] { ["\(bins) bins"] }

  func ranges() -> [RealRange] {
    let search = NormMinimization(
      counts: seen.counts, minimum: seen.minimum, maximum: seen.maximum, destinationBins: 1 << scheme.dtype.bitWidth)
    return [search.range()]
  }
}
