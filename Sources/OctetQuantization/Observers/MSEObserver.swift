public import OctetCore

/// A running histogram, and the range of it whose quantization has the least squared error.
///
/// The error is that of the integers in use, with values taken to lie evenly in their bin. Symmetric ranges are all tried;
/// of affine ones the result is one where neither end could be moved alone. Infinities are left out and counted.
public struct MSEObserver: SummarizingObserver {
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
  /// The range of the histogram in real units; +inf before anything has been observed.
  public var minVal: Float { seen.minimum }
  /// −inf before anything has been observed.
  public var maxVal: Float { seen.maximum }
  /// How many infinities were left out.
  public var infinityCount: Int { seen.infinityCount }

  var options: [String] { ["\(bins) bins"] }

  func ranges() throws -> [RealRange] {
    let error = SquaredError(seen)
    return [try RangeSearch(histogram: seen, scheme: scheme).leastCost { error.of($0) }]
  }
}

/// Σ (x − x̂)² over the values of a histogram, taken to lie evenly in their bin.
private struct SquaredError {
  private let edges: [Double]
  private let densities: [Double]

  init(_ histogram: Histogram) {
    edges = histogram.edges.map(Double.init)
    let width = (edges[edges.count - 1] - edges[0]) / Double(histogram.bins)
    // Values that are all the same have no density: any will do.
    densities = histogram.counts.map { Double($0) / (width > 0 ? width : 1) }
  }

  func of(_ grid: Grid) -> Double {
    // ∫ (x − x̂)² dx up to x, n steps above the lowest: n whole steps of step³/12, and the cube of the distance to the nearest.
    let whole = grid.step * grid.step * grid.step / 12
    func integral(_ x: Double) -> Double {
      let n = grid.nearest(to: x)
      let distance = x - grid.low - n * grid.step
      return n * whole + distance * distance * distance / 3
    }
    var (sum, before) = (0.0, integral(edges[0]))
    for i in densities.indices {
      let after = integral(edges[i + 1])
      sum += densities[i] * (after - before)
      before = after
    }
    return sum
  }
}
