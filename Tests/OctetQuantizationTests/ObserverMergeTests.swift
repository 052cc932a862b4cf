import OctetCore
import OctetQuantization
import TestSupport
import Testing

/// Observers that saw parts, merged, against one that saw everything.
@Suite struct ObserverMergeTests {
  @Test(arguments: [1, 2, 3, 8])
  func minMaxIsExact(_ parts: Int) throws {
    var (merged, whole) = (MinMaxObserver(), MinMaxObserver())
    var (mergedChannels, wholeChannels) = (PerChannelMinMaxObserver(axis: 1), PerChannelMinMaxObserver(axis: 1))
    for part in 0..<parts {
      var scalars = try Tensor.random([7, 9], seed: UInt64(part)).floats
      scalars[part] = .infinity
      let x = try Tensor(scalars, shape: [7, 9])
      var (observer, channels) = (MinMaxObserver(), PerChannelMinMaxObserver(axis: 1))
      try observer.observe(x)
      try channels.observe(x)
      try whole.observe(x)
      try wholeChannels.observe(x)
      try merged.merge(observer)
      try mergedChannels.merge(channels)
    }
    #expect(try encoded(merged) == encoded(whole))
    #expect(try encoded(mergedChannels) == encoded(wholeChannels))
  }

  /// Of one distribution, whose extremes turn up one by one: up to 8 parts and 50 growths, quantiles within 2 bins, the
  /// scale within 1 %.
  @Test(arguments: [2, 4, 8], [0, 1, 2])
  func histogramStaysClose(_ parts: Int, _ distribution: Int) throws {
    var generator = SeededGenerator(seed: UInt64(parts * 10 + distribution))
    var whole = HistogramObserver()
    var merged = HistogramObserver()
    var values: [Float] = []
    for _ in 0..<parts {
      var observer = HistogramObserver()
      for _ in 0..<6 {
        let scalars = (0..<4000).map { _ -> Float in
          let sum = (0..<6).reduce(Float(0)) { total, _ in total + Float.random(in: -1...1, using: &generator) }
          return switch distribution {
          case 0: sum
          case 1: max(sum, 0)
          default: sum * sum * sum
          }
        }
        values += scalars
        let x = try Tensor(scalars, shape: [4000])
        try observer.observe(x)
        try whole.observe(x)
      }
      try merged.merge(observer)
    }
    #expect(merged.minVal == whole.minVal && merged.maxVal == whole.maxVal)
    let (mass, count): (Float, Float) = (merged.histogram.reduce(0, +), Float(values.count))
    #expect(abs(mass - count) < 1e-4 * count)
    let width = (whole.maxVal - whole.minVal) / Float(whole.bins)
    // Far out in a heavy tail (the last distribution) most bins are empty, and one value more moves a quantile.
    let isHeavy = distribution == 2
    for quantile in isHeavy ? [0.05, 0.25, 0.5, 0.75, 0.95] : [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999] {
      let distance = abs(Self.quantile(quantile, of: merged) - Self.quantile(quantile, of: whole)) / width
      #expect(distance <= 2, "quantile \(quantile): \(distance) bins")
    }
    let (a, b) = (try merged.calculateQParams().scales[0], try whole.calculateQParams().scales[0])
    #expect(abs(a - b) <= (isHeavy ? 0.05 : 0.01) * b, "\(a) and \(b)")
  }

  @Test func emptyHistograms() throws {
    var observer = HistogramObserver()
    try observer.observe(Tensor.random([50], seed: 1))
    let before = try encoded(observer)
    try observer.merge(HistogramObserver())
    #expect(try encoded(observer) == before)
    var empty = HistogramObserver()
    try empty.merge(observer)
    #expect(try encoded(empty) == before)
  }

  /// A constant is a range of no width.
  @Test func constantsMerge() throws {
    var (a, b) = (HistogramObserver(), HistogramObserver())
    try a.observe(Tensor(repeating: Float(1), shape: [10]))
    try b.observe(Tensor(repeating: Float(3), shape: [30]))
    try a.merge(b)
    #expect(a.minVal == 1 && a.maxVal == 3)
    #expect(a.histogram.first == 10 && a.histogram.last == 30)
  }

  private static func quantile(_ quantile: Double, of observer: HistogramObserver) -> Float {
    let total = observer.histogram.reduce(0.0) { $0 + Double($1) }
    var sum = 0.0
    for (bin, count) in observer.histogram.enumerated() {
      if sum + Double(count) >= quantile * total {
        let inside = count > 0 ? (quantile * total - sum) / Double(count) : 0
        return observer.minVal + (observer.maxVal - observer.minVal) / Float(observer.bins)
          * (Float(bin) + Float(inside))
      }
      sum += Double(count)
    }
    return observer.maxVal
  }
}
