import OctetCore
import OctetQuantization
import TestSupport
import Testing

@Suite struct MovingAverageTests {
  private func batches(_ count: Int) throws -> [Tensor] {
    try (0..<count).map { try Tensor.random([6, 5], seed: UInt64($0 + 40)) }
  }

  /// The definition, written out.
  @Test(arguments: [Float(0.01), 0.3, 1])
  func firstAsItIsThenAShareOfTheDifference(_ constant: Float) throws {
    var observer = MovingAverageMinMaxObserver(averagingConstant: constant)
    var (low, high) = (Float(0), Float(0))
    for (i, batch) in try batches(7).enumerated() {
      try observer.observe(batch)
      let (least, most) = (try batch.floats.min()!, try batch.floats.max()!)
      low = i == 0 ? least : low + constant * (least - low)
      high = i == 0 ? most : high + constant * (most - high)
      #expect(observer.minVal == low && observer.maxVal == high, "batch \(i)")
    }
  }

  /// Averages of parts, merged, are the average of all batches one after another.
  @Test(arguments: [Float(0.01), 0.3, 1], [[1, 6], [3, 4], [2, 1, 4], [0, 7], [7, 0], [1, 1, 1, 1, 1, 1, 1]])
  func mergingIsObservingOneAfterAnother(_ constant: Float, _ parts: [Int]) throws {
    let batches = try batches(7)
    var whole = MovingAveragePerChannelMinMaxObserver(axis: 1, averagingConstant: constant)
    for batch in batches { try whole.observe(batch) }
    var merged = MovingAveragePerChannelMinMaxObserver(axis: 1, averagingConstant: constant)
    var start = 0
    for part in parts {
      var observer = MovingAveragePerChannelMinMaxObserver(axis: 1, averagingConstant: constant)
      for batch in batches[start..<start + part] { try observer.observe(batch) }
      try merged.merge(observer)
      start += part
    }
    #expect(zip(merged.minVal, whole.minVal).allSatisfy { abs($0 - $1) < 1e-6 }, "\(merged.minVal) \(whole.minVal)")
    #expect(zip(merged.maxVal, whole.maxVal).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(merged.minVal.count == 5)
  }

  /// A channel that is infinite in some batches averages the others.
  @Test func infinitiesAreLeftOut() throws {
    let constant: Float = 0.25
    var observer = MovingAveragePerChannelMinMaxObserver(axis: 0, averagingConstant: constant)
    let rows: [[Float]] = [[.infinity, 1], [2, 3], [-.infinity, 5], [4, .infinity]]
    for row in rows {
      try observer.observe(Tensor(row, shape: [2, 1]))
    }
    #expect(observer.minVal == [2 + constant * 2, 1 + constant * 2 + constant * (5 - 1.5)])
    #expect(observer.infinityCount == 3)
    #expect(try observer.calculateQParams().scales.count == 2)
  }
}
