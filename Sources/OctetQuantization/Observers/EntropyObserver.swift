public import OctetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A running histogram, and the range of it whose quantized form tells most about it: the least Kullback–Leibler divergence
/// of the quantized histogram from the clipped one.
///
/// After TensorRT's calibrator (S. Migacz, “8-bit inference with TensorRT”, GTC 2017) and ONNX Runtime's
/// `get_entropy_threshold`, for affine ranges too, and with the integers in use for levels. Bins that fall to the same
/// integer share their mass evenly among those that are not empty; what is clipped counts for the outermost bins of the
/// clipped histogram but not for the quantized one (there it is a ten-thousandth of a value if there is nothing else, as
/// ONNX Runtime smooths). A range whose integers are finer than bins cannot be judged and is
/// left out; if that holds for all (16-bit types), nothing is clipped. Infinities are left out and counted.
public struct EntropyObserver: SummarizingObserver {
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
    let divergence = Divergence(seen)
    return [try RangeSearch(histogram: seen, scheme: scheme).leastCost { divergence.of($0) }]
  }
}

/// KL(P‖Q) of a histogram P, clipped to a grid, and its quantized form Q. Sums up to every bin make it a sum over integers:
/// within one, Q is constant.
private struct Divergence {
  /// What counts for a bin without values where there should be some.
  private static let nothing = 1e-4

  private let minimum: Double
  private let width: Double
  private let counts: [Double]
  /// Up to a bin, without it: values, bins that are not empty, c · ln c.
  private var mass = [0.0]
  private var filled = [0.0]
  private var logarithms = [0.0]

  init(_ histogram: Histogram) {
    minimum = Double(histogram.minimum)
    width = (Double(histogram.maximum) - minimum) / Double(histogram.bins)
    counts = histogram.counts.map(Double.init)
    for (i, count) in counts.enumerated() {
      mass.append(mass[i] + count)
      filled.append(filled[i] + (count > 0 ? 1 : 0))
      logarithms.append(logarithms[i] + Self.xLogX(count))
    }
  }

  private static func xLogX(_ x: Double) -> Double { x > 0 ? x * log(x) : 0 }

  /// The first bin whose middle is at or above `x`.
  private func bin(at x: Double) -> Int {
    Int(min(max(((x - minimum) / width - 0.5).rounded(.up), 0), Double(counts.count)))
  }

  func of(_ grid: Grid) -> Double {
    guard grid.step >= width, width > 0 else { return .infinity }
    let (first, end) = (bin(at: grid.low - grid.step / 2), bin(at: grid.low + (grid.last + 0.5) * grid.step))
    guard first < end else { return .infinity }
    // What is clipped, below and above.
    let (below, above) = (mass[first], mass[counts.count] - mass[end])
    func clipped(_ bin: Int) -> Double { (bin == first ? below : 0) + (bin == end - 1 ? above : 0) }
    let outermost = first == end - 1 ? [first] : [first, end - 1]

    var crossEntropy = 0.0
    var start = first
    for level in 0...Int(grid.last) where start < end {
      let next = level == Int(grid.last) ? end : min(bin(at: grid.low + (Double(level) + 0.5) * grid.step), end)
      defer { start = next }
      var (p, q, bins) = (mass[next] - mass[start], mass[next] - mass[start], filled[next] - filled[start])
      for bin in outermost where (start..<next).contains(bin) && clipped(bin) > 0 {
        p += clipped(bin)
        if counts[bin] == 0 { bins += 1 }
      }
      if p == 0 { continue }
      q = q == 0 ? Self.nothing : q / bins
      crossEntropy -= p * log(q)
    }
    var entropy = logarithms[end] - logarithms[first]
    for bin in outermost { entropy += Self.xLogX(counts[bin] + clipped(bin)) - Self.xLogX(counts[bin]) }
    let (total, inside) = (mass[counts.count], mass[end] - mass[first])
    return (entropy + crossEntropy) / total - log(total) + log(inside)
  }
}
