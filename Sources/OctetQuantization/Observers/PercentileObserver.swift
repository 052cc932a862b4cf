public import OctetCore

/// A running histogram, and the range in it that holds a share of the values: affine leaves out as many below as above,
/// symmetric as many as lie outside of ±(one bound). Infinities are left out and counted.
public struct PercentileObserver: SummarizingObserver {
  public var scheme: QuantizationScheme
  /// How many of a hundred values lie within the range: above 0 and at most 100.
  public let percentile: Double
  var seen: Histogram

  /// - Parameters:
  ///   - percentile: above 0 and at most 100; others are refused when parameters are calculated.
  ///   - bins: from 1 to 2²⁰; other numbers are refused when something is observed.
  public init(
    percentile: Double = 99.99, bins: Int = 2048, dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine,
    quantMin: Int? = nil, quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.percentile = percentile
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

  var options: [String] { ["percentile \(percentile)", "\(bins) bins"] }

  func ranges() throws -> [RealRange] {
    guard percentile > 0, percentile <= 100 else {
      throw OctetError(
        .invalidArgument, "PercentileObserver", expected: "a percentile above 0 and at most 100", found: "\(percentile)"
      )
    }
    let share = percentile / 100
    let distribution = Distribution(seen)
    switch scheme.symmetry {
    case .affine:
      return [(distribution.quantile((1 - share) / 2), distribution.quantile((1 + share) / 2))]
    case .symmetric:
      let bound = distribution.bound(within: share)
      return [(max(seen.minimum, -bound), min(seen.maximum, bound))]
    }
  }
}

/// Shares of the values of a histogram, taken to lie evenly in their bin.
private struct Distribution {
  private let edges: [Float]
  /// How many values lie below every edge.
  private var below = [0.0]

  init(_ histogram: Histogram) {
    edges = histogram.edges
    for count in histogram.counts { below.append(below.last! + Double(count)) }
  }

  private var total: Double { below.last! }

  /// What a share of the values lies below.
  func quantile(_ share: Double) -> Float {
    guard share > 0 else { return edges[0] }
    guard share < 1 else { return edges.last! }
    let wanted = share * total
    let end = below.firstIndex { $0 >= wanted } ?? edges.count - 1
    guard end > 0 else { return edges[0] }
    let fraction = (wanted - below[end - 1]) / (below[end] - below[end - 1])
    return edges[end - 1] + (edges[end] - edges[end - 1]) * Float(fraction)
  }

  /// The least bound so that a share of the values lies within ± it.
  func bound(within share: Double) -> Float {
    var (outside, within) = (Float(0), max(-edges[0], edges.last!))
    guard share < 1 else { return within }
    // Halving ends when there is no float32 between the two.
    while true {
      let middle = outside + (within - outside) / 2
      if middle == outside || middle == within { return within }
      if valuesBelow(middle) - valuesBelow(-middle) >= share * total { within = middle } else { outside = middle }
    }
  }

  private func valuesBelow(_ x: Float) -> Double {
    let end = edges.firstIndex { $0 > x } ?? edges.count
    if end == 0 { return 0 }
    if end == edges.count { return total }
    let fraction = Double((x - edges[end - 1]) / (edges[end] - edges[end - 1]))
    return below[end - 1] + fraction * (below[end] - below[end - 1])
  }
}
