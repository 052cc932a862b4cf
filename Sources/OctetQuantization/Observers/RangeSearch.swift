import OctetCore

/// The real numbers that integers stand for, evenly spaced.
struct Grid {
  let low: Double
  let step: Double
  /// The number of the highest one; `low` is number 0.
  let last: Double

  init(_ scheme: QuantizationScheme, _ range: RealRange) throws {
    let integers = try scheme.range()
    let (scale, zero) = try scheme.scaleAndZeroPoint(range.minimum, range.maximum, integers)
    low = Double(integers.lowerBound - zero) * Double(scale)
    step = Double(scale)
    last = Double(integers.count - 1)
  }

  /// The number of the nearest to `x`.
  @inline(__always)
  func nearest(to x: Double) -> Double {
    // Adding 1.5 · 2⁵² and taking it away again rounds: no call, and vectors can do it.
    min(max((x - low) / step, 0), last) + 0x1.8p52 - 0x1.8p52
  }
}

/// Looks for the range of a histogram that costs least. Ranges contain 0, and end at borders of bins or at 0.
///
/// Symmetric ranges are tried one and all. Of the others, the cheapest of a few all over are each bettered at one end and the
/// other in turn, by trying all places of it, until that helps no more. Of equals the wider one wins.
struct RangeSearch {
  let histogram: Histogram
  let scheme: QuantizationScheme

  private static let places = 24
  private static let starts = 4

  func leastCost(_ cost: (Grid) throws -> Double) throws -> RealRange {
    let edges = histogram.edges
    // From the outermost.
    let lows = edges.filter { $0 < 0 } + [0]
    let highs = edges.reversed().filter { $0 > 0 } + [0]
    func priced(_ range: RealRange) throws -> Priced { Priced(range: range, cost: try cost(Grid(scheme, range))) }

    switch scheme.symmetry {
    case .symmetric:
      let bounds = (lows.map(-) + highs).sorted(by: >)
      let bound = try Self.cheapest(bounds.map { try priced((-$0, $0)) }).range.maximum
      return (max(lows[0], -bound), min(highs[0], bound))
    case .affine:
      let some = try Self.some(lows).flatMap { low in try Self.some(highs).map { try priced((low, $0)) } }
      let bettered = try some.sorted { $0.cost < $1.cost }.prefix(Self.starts).map { start in
        var best = start
        while true {
          let high = Self.cheapest([best] + (try highs.map { try priced((best.range.minimum, $0)) }))
          let low = Self.cheapest([high] + (try lows.map { try priced(($0, high.range.maximum)) }))
          if !(low.cost < best.cost) { return best }
          best = low
        }
      }
      return Self.cheapest(bettered).range
    }
  }

  private struct Priced {
    let range: RealRange
    let cost: Double
  }

  /// The first of those that cost least.
  private static func cheapest(_ candidates: [Priced]) -> Priced {
    candidates.dropFirst().reduce(candidates[0]) { $1.cost < $0.cost ? $1 : $0 }
  }

  /// The outermost and a few others.
  private static func some(_ candidates: [Float]) -> [Float] {
    stride(from: 0, to: candidates.count, by: (candidates.count + places - 1) / places).map { candidates[$0] }
  }
}
