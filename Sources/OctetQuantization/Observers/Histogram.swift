import CKernels
import OctetCore

/// A running histogram, whose range grows with what it sees.
///
/// The algorithm is that of PyTorch 2.13 (torch.ao.quantization.HistogramObserver), with its constants: when the range
/// grows, the old histogram is drawn 16 times finer and its midpoints are dropped into the new bins. Infinities are left
/// out and counted.
struct Histogram: Summary {
  let bins: Int
  /// Numbers of values; fractions of them once the range has grown; empty before anything has been seen.
  private(set) var counts: [Float] = []
  /// The range in real units; +inf and −inf before anything has been seen.
  @ExtendedReal private(set) var minimum = .infinity
  @ExtendedReal private(set) var maximum = -.infinity
  private(set) var infinityCount = 0

  private static let upsampleRate = 16
  /// Bins are numbered in float32 while they are counted.
  private static let possibleBins = 1...1 << 20

  init(bins: Int) { self.bins = bins }

  var isEmpty: Bool { minimum > maximum }

  /// The borders of the bins, one more than bins.
  var edges: [Float] {
    let places = EvenlySpaced(minimum, maximum, count: bins + 1)
    return (0...bins).map { places[$0] }
  }

  /// - Throws: also `unsupported` if values lie farther apart than a float32 can say.
  mutating func observe(_ x: Tensor, _ grouping: Grouping) throws {
    guard Self.possibleBins.contains(bins) else { throw Self.impossible(bins) }
    guard let extremes = try Extremes(of: x, .tensor) else { return }
    guard !extremes.isEmpty else { return infinityCount += extremes.infinityCount }
    try grow(toInclude: extremes.minimum[0], extremes.maximum[0])
    infinityCount += extremes.infinityCount
    try x.withUnsafeScalars(as: Float.self) { count($0) }
  }

  mutating func merge(_ other: Histogram) throws {
    if !other.isEmpty {
      var other = other
      try grow(toInclude: other.minimum, other.maximum)
      try other.grow(toInclude: minimum, maximum)
      for i in counts.indices { counts[i] += other.counts[i] }
    }
    infinityCount += other.infinityCount
  }

  mutating func reset() { self = Histogram(bins: bins) }

  /// Adds the finite elements, all of which lie within the range.
  private mutating func count(_ elements: UnsafeBufferPointer<Float>) {
    guard minimum < maximum else {
      // torch.histc widens an empty range by 1 on either side: everything falls in the middle.
      counts[bins / 2] += Float(elements.count { $0.isFinite })
      return
    }
    InstructionSet.current.kernels.histogram(elements.baseAddress!, elements.count, minimum, maximum, &counts, bins)
  }

  /// Widens the range; what has been counted moves to the new bins.
  ///
  /// - Throws: `OctetError` (`unsupported`) if its width is not a float32.
  private mutating func grow(toInclude low: Float, _ high: Float) throws {
    let (low, high) = (min(minimum, low), max(maximum, high))
    guard low != minimum || high != maximum else { return }
    guard (high - low).isFinite else {
      throw OctetError(
        .unsupported, "observer", expected: "values at most \(Float.greatestFiniteMagnitude) apart",
        found: "\(low)…\(high)")
    }
    let old = (minimum: minimum, maximum: maximum, counts: counts)
    (minimum, maximum, counts) = (low, high, [Float](repeating: 0, count: bins))
    if old.minimum < old.maximum {
      counts = rebinned(old.counts, from: old.minimum, old.maximum)
    } else if old.minimum == old.maximum {
      withUnsafePointer(to: old.minimum) { count(UnsafeBufferPointer(start: $0, count: 1)) }
      let total = old.counts.reduce(0, +)
      for i in counts.indices { counts[i] *= total }
    }
  }

  private func rebinned(_ old: [Float], from oldMinimum: Float, _ oldMaximum: Float) -> [Float] {
    let fine = bins * Self.upsampleRate
    let half = 0.5 * ((oldMaximum - oldMinimum) / Float(fine))
    let midpoints = EvenlySpaced(oldMinimum, oldMaximum, count: fine + 1)
    let boundaries = EvenlySpaced(minimum, maximum, count: bins + 1)
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

// Decoding checks what counting relies on.
extension Histogram {
  private enum CodingKeys: CodingKey {
    case bins, counts, minimum, maximum, infinityCount
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    bins = try values.decode(Int.self, forKey: .bins)
    counts = try values.decode([Float].self, forKey: .counts)
    _minimum = try values.decode(ExtendedReal.self, forKey: .minimum)
    _maximum = try values.decode(ExtendedReal.self, forKey: .maximum)
    infinityCount = try values.decode(Int.self, forKey: .infinityCount)
    guard Self.possibleBins.contains(bins) else { throw Self.impossible(bins) }
    let hasRange = minimum.isFinite && maximum.isFinite && minimum <= maximum && (maximum - minimum).isFinite
    let isEmpty = minimum == .infinity && maximum == -.infinity
    guard hasRange && counts.count == bins || isEmpty && counts.isEmpty else {
      throw OctetError(
        .invalidArgument, "histogram", expected: "a range and \(bins) bins, or neither",
        found: "\(minimum)…\(maximum), \(counts.count) bins")
    }
    guard counts.allSatisfy({ $0 >= 0 && $0.isFinite }), infinityCount >= 0 else {
      throw OctetError(.invalidArgument, "histogram", expected: "counts of 0 or more", found: "others")
    }
  }

  private static func impossible(_ bins: Int) -> OctetError {
    OctetError(.invalidArgument, "histogram", expected: "\(possibleBins) bins", found: "\(bins)")
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
