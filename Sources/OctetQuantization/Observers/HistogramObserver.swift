public import OctetCore

/// A running histogram, and the range of it whose quantization error is least.
///
/// The algorithm is that of PyTorch 2.13 (torch.ao.quantization.HistogramObserver), with its constants: when
/// the range grows, the old histogram is drawn 16 times finer and its midpoints are dropped into the new bins.
/// Infinities are left out and counted.
public struct HistogramObserver: Observer {
  public var scheme: QuantizationScheme
  public let bins: Int
  /// Counts of values; fractions of counts once the range has grown.
  public private(set) var histogram: [Float]
  /// The range of the histogram in real units; +inf and −inf before anything has been observed.
  public private(set) var minVal: Float {
    get { minimum }
    set { minimum = newValue }
  }
  public private(set) var maxVal: Float {
    get { maximum }
    set { maximum = newValue }
  }
  /// How many infinities were left out.
  public private(set) var infinityCount = 0
  @ExtendedReal private var minimum = .infinity
  @ExtendedReal private var maximum = -.infinity

  private static let upsampleRate = 16

  /// - Precondition: there is at least one bin.
  public init(
    bins: Int = 2048, dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil,
    quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    precondition(bins > 0, "a histogram has bins")
    self.bins = bins
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
    histogram = [Float](repeating: 0, count: bins)
  }

  // Decoding checks what counting relies on.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    scheme = try values.decode(QuantizationScheme.self, forKey: .scheme)
    bins = try values.decode(Int.self, forKey: .bins)
    histogram = try values.decode([Float].self, forKey: .histogram)
    infinityCount = try values.decode(Int.self, forKey: .infinityCount)
    _minimum = try values.decode(ExtendedReal.self, forKey: .minimum)
    _maximum = try values.decode(ExtendedReal.self, forKey: .maximum)
    guard bins > 0, histogram.count == bins else {
      throw OctetError(.invalidArgument, "histogram", expected: "\(bins) bins", found: "\(histogram.count)")
    }
  }

  private enum CodingKeys: CodingKey {
    case scheme, bins, histogram, infinityCount, minimum, maximum
  }

  public mutating func observe(_ x: Tensor) throws {
    guard let extremes = try Extremes(of: x) else { return }
    infinityCount += extremes.infinities
    guard extremes.minimum <= extremes.maximum else { return }
    try scheme.checkDistance(min(minVal, extremes.minimum), max(maxVal, extremes.maximum))
    grow(to: min(minVal, extremes.minimum), max(maxVal, extremes.maximum))
    try x.withUnsafeScalars(as: Float.self) { count($0) }
  }

  public func calculateQParams() throws -> QuantizationParameters {
    guard minVal <= maxVal else { return try scheme.unobserved("HistogramObserver") }
    let range = try scheme.range()
    let clipped = HistogramSearch(
      histogram: histogram, minimum: minVal, maximum: maxVal, destinationBins: 1 << scheme.dtype.bitWidth
    ).leastErrorRange()
    let (scale, zero) = try scheme.scaleAndZeroPoint(clipped.minimum, clipped.maximum, range)
    return try QuantizationParameters(scale: scale, zeroPoint: zero, dtype: scheme.dtype, range: range)
  }

  /// - Throws: `OctetError` (`invalidArgument`) if the numbers of bins differ.
  public mutating func merge(_ other: HistogramObserver) throws {
    guard other.bins == bins else {
      throw OctetError(.invalidArgument, "HistogramObserver", expected: "\(bins) bins", found: "\(other.bins)")
    }
    infinityCount += other.infinityCount
    guard other.minVal <= other.maxVal else { return }
    try scheme.checkDistance(min(minVal, other.minVal), max(maxVal, other.maxVal))
    var other = other
    grow(to: min(minVal, other.minVal), max(maxVal, other.maxVal))
    other.grow(to: minVal, maxVal)
    for i in histogram.indices { histogram[i] += other.histogram[i] }
  }

  public mutating func reset() { self = HistogramObserver(resetting: self) }

  private init(resetting observer: HistogramObserver) {
    scheme = observer.scheme
    bins = observer.bins
    histogram = [Float](repeating: 0, count: bins)
  }

  /// Adds the finite elements, all of which lie within the range.
  private mutating func count(_ elements: UnsafeBufferPointer<Float>) {
    guard minVal < maxVal else {
      // torch.histc widens an empty range by 1 on either side: everything falls in the middle.
      histogram[bins / 2] += Float(elements.count { $0.isFinite })
      return
    }
    InstructionSet.current.kernels.histogram(elements.baseAddress!, elements.count, minVal, maxVal, &histogram, bins)
  }

  /// Widens the range; what has been counted moves to the new bins.
  private mutating func grow(to minimum: Float, _ maximum: Float) {
    guard minimum != minVal || maximum != maxVal else { return }
    let old = (minVal, maxVal, histogram)
    (minVal, maxVal, histogram) = (minimum, maximum, [Float](repeating: 0, count: bins))
    if old.0 < old.1 {
      histogram = rebinned(old.2, from: old.0, old.1)
    } else if old.0 == old.1 {
      withUnsafePointer(to: old.0) { count(UnsafeBufferPointer(start: $0, count: 1)) }
      let total = old.2.reduce(0, +)
      for i in histogram.indices { histogram[i] *= total }
    }
  }

  private func rebinned(_ old: [Float], from oldMinimum: Float, _ oldMaximum: Float) -> [Float] {
    let fine = bins * Self.upsampleRate
    let half = 0.5 * ((oldMaximum - oldMinimum) / Float(fine))
    let midpoints = EvenlySpaced(oldMinimum, oldMaximum, count: fine + 1)
    let boundaries = EvenlySpaced(minVal, maxVal, count: bins + 1)
    var result = [Double](repeating: 0, count: bins)
    var bin = 0
    for i in 0..<fine {
      let midpoint = midpoints[i] + half
      while bin < bins - 1, boundaries[bin + 1] <= midpoint { bin += 1 }
      result[bin] += Double(old[i / Self.upsampleRate] / Float(Self.upsampleRate))
    }
    return result.map(Float.init)
  }
}

/// `count` numbers from `first` to `last` as torch.linspace makes them: from either end to the middle.
private struct EvenlySpaced {
  private let first: Float
  private let last: Float
  private let count: Int
  private let step: Float

  init(_ first: Float, _ last: Float, count: Int) {
    self.first = first
    self.last = last
    self.count = count
    step = (last - first) / Float(count - 1)
  }

  subscript(index: Int) -> Float {
    index < count / 2 ? first + step * Float(index) : last - step * Float(count - 1 - index)
  }
}
