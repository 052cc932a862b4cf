import Foundation
import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// What holds for every observer.
@Suite struct ObserverTests {
  static let templates: [any Observer] = [
    MinMaxObserver(), MinMaxObserver(dtype: .int8, scheme: .symmetric), PerChannelMinMaxObserver(axis: 0),
    PerChannelMinMaxObserver(axis: -1, dtype: .int8, scheme: .symmetric), HistogramObserver(),
    HistogramObserver(bins: 64, dtype: .int8), MovingAverageMinMaxObserver(),
    MovingAveragePerChannelMinMaxObserver(axis: 1),
    PerGroupMinMaxObserver(axis: 1, groupSize: 2),
    PerGroupMinMaxObserver(axis: -2, groupSize: 3, dtype: .uint4, scheme: .affine),
    PercentileObserver(), PercentileObserver(percentile: 90, bins: 32, dtype: .int16, scheme: .symmetric),
    EntropyObserver(),
    EntropyObserver(bins: 128, dtype: .int4, scheme: .symmetric), MSEObserver(bins: 128),
    MSEObserver(bins: 64, dtype: .uint16, scheme: .symmetric, reduceRange: true),
  ]

  static func numbers(_ seed: UInt64, _ shape: [Int] = [4, 5]) throws -> Tensor { try Tensor.random(shape, seed: seed) }

  @Test(arguments: templates.indices)
  func nothingObserved(_ index: Int) throws {
    let parameters = try Self.templates[index].calculateQParams()
    #expect(parameters.scales == [1])
    #expect(parameters.zeroPoints == [0])
  }

  @Test(arguments: templates.indices)
  func resetForgets(_ index: Int) throws {
    func check<O: Observer>(_ template: O) throws {
      var observer = template
      try observer.observe(Self.numbers(1))
      #expect(try encoded(observer) != encoded(template))
      observer.reset()
      #expect(try encoded(observer) == encoded(template))
    }
    try check(Self.templates[index])
  }

  @Test(arguments: templates.indices)
  func codableRoundTrip(_ index: Int) throws {
    func check<O: Observer>(_ template: O) throws {
      var observer = template
      for step in 0..<2 {
        let copy = try JSONDecoder().decode(O.self, from: JSONEncoder().encode(observer))
        #expect(try encoded(copy) == encoded(observer))
        #expect(try copy.calculateQParams() == observer.calculateQParams())
        if step == 0 { try observer.observe(Self.numbers(2)) }
      }
    }
    try check(Self.templates[index])
  }

  @Test(arguments: templates.indices)
  func nanIsAnError(_ index: Int) throws {
    func check<O: Observer>(_ template: O) throws {
      for position in [0, 7, 19] {
        var observer = template
        var scalars = try Self.numbers(3).floats
        scalars[position] = .nan
        let x = try Tensor(scalars, shape: [4, 5])
        #expect(octetError { try observer.observe(x) }?.code == .notANumber)
        #expect(try encoded(observer) == encoded(template), "what was seen with a NaN is not kept")
      }
    }
    try check(Self.templates[index])
  }

  @Test func infinitiesAreLeftOutAndCounted() throws {
    var scalars = try Self.numbers(4).floats
    let finite = scalars.enumerated().filter { $0.offset != 3 && $0.offset != 11 }.map(\.element)
    (scalars[3], scalars[11]) = (.infinity, -.infinity)
    let x = try Tensor(scalars, shape: [4, 5])
    var (minMax, histogram, perChannel) = (MinMaxObserver(), HistogramObserver(), PerChannelMinMaxObserver(axis: 0))
    try minMax.observe(x)
    try histogram.observe(x)
    try perChannel.observe(x)
    #expect(minMax.minVal == finite.min() && minMax.maxVal == finite.max() && minMax.infinityCount == 2)
    #expect(histogram.minVal == finite.min() && histogram.maxVal == finite.max() && histogram.infinityCount == 2)
    #expect(histogram.histogram.reduce(0, +) == 18)
    #expect(
      perChannel.infinityCount == 2 && perChannel.minVal.min() == finite.min()
        && perChannel.maxVal.max() == finite.max())
    try minMax.observe(Tensor(repeating: Float.infinity, shape: [3]))
    #expect(minMax.maxVal == finite.max() && minMax.infinityCount == 5)
  }

  /// Channels last, in the middle and first, in numbers that fill vectors and leave a rest; a single one; one element each.
  @Test(arguments: [
    ([50, 83], 1), ([83, 2], -1), ([2, 3, 150], 1), ([4, 131], 0), ([75, 1], 1), ([1, 3, 70], 0), ([130], 0),
  ])
  func channelsWhereverTheyLie(_ shape: [Int], _ axis: Int) throws {
    let counted = axis < 0 ? axis + shape.count : axis
    let (size, inner) = (shape[counted], elementCount(of: Array(shape[(counted + 1)...])))
    var scalars = try Self.numbers(9, shape).floats
    (scalars[0], scalars[scalars.count / 2], scalars[scalars.count - 1]) = (.infinity, -.infinity, .infinity)
    scalars[1] = -0.0
    var minimum = [Float](repeating: .infinity, count: size)
    var maximum = [Float](repeating: -.infinity, count: size)
    for (i, x) in scalars.enumerated() where x.isFinite {
      minimum[i / inner % size] = min(minimum[i / inner % size], x + 0)
      maximum[i / inner % size] = max(maximum[i / inner % size], x + 0)
    }
    var observer = PerChannelMinMaxObserver(axis: axis)
    try observer.observe(Tensor(scalars, shape: shape))
    #expect(observer.minVal.map(\.bitPattern) == minimum.map(\.bitPattern))
    #expect(observer.maxVal.map(\.bitPattern) == maximum.map(\.bitPattern))
    #expect(observer.infinityCount == 3)

    (scalars[1], scalars[scalars.count - 2]) = (.nan, .nan)
    let error = octetError { try observer.observe(Tensor(scalars, shape: shape)) }
    #expect(error?.code == .notANumber && error?.found == "2 NaN in \(TensorType(.float32, fixed: shape))")
    #expect(observer.infinityCount == 3, "what was seen with a NaN is not kept")
  }

  @Test func aChannelOfInfinitiesAlone() throws {
    var observer = PerChannelMinMaxObserver(axis: 0, dtype: .int8)
    try observer.observe(Tensor([Float.infinity, -.infinity, 1, 2], shape: [2, 2]))
    let parameters = try observer.calculateQParams()
    #expect(parameters.scales[0] == Float.ulpOfOne)
    #expect(parameters.scales[1] == Float(2) / 255)
    let copy = try JSONDecoder().decode(PerChannelMinMaxObserver.self, from: JSONEncoder().encode(observer))
    #expect(copy.minVal == observer.minVal && copy.maxVal == observer.maxVal)
  }

  @Test func wrongAxis() throws {
    for axis in [2, -3] {
      var observer = PerChannelMinMaxObserver(axis: axis)
      #expect(octetError { try observer.observe(Self.numbers(5)) }?.code == .shapeMismatch)
    }
    var observer = PerChannelMinMaxObserver(axis: 0)
    try observer.observe(Self.numbers(5))
    #expect(octetError { try observer.observe(Self.numbers(5, [3, 5])) }?.code == .shapeMismatch)
    var other = PerChannelMinMaxObserver(axis: 0)
    try other.observe(Self.numbers(5, [3, 5]))
    #expect(octetError { try observer.merge(other) }?.code == .shapeMismatch)
  }

  @Test func wrongElementType() throws {
    var (minMax, histogram, perChannel) = (MinMaxObserver(), HistogramObserver(), PerChannelMinMaxObserver())
    let x = try Tensor([Int32(1), 2], shape: [2])
    #expect(octetError { try minMax.observe(x) }?.code == .dtypeMismatch)
    #expect(octetError { try histogram.observe(x) }?.code == .dtypeMismatch)
    #expect(octetError { try perChannel.observe(x) }?.code == .dtypeMismatch)
  }

  @Test(arguments: [(5, 3), (3, 3), (-1, 255), (0, 256), (1, 200), (Int.min, Int.max)])
  func wrongBounds(_ low: Int, _ high: Int) throws {
    var observer = MinMaxObserver(dtype: .uint8, quantMin: low, quantMax: high)
    try observer.observe(Self.numbers(6))
    #expect(octetError { try observer.calculateQParams() }?.code == .invalidArgument)
    var histogram = HistogramObserver(dtype: .uint8, quantMin: low, quantMax: high)
    #expect(octetError { try histogram.calculateQParams() }?.code == .invalidArgument)
    try histogram.observe(Self.numbers(6))
    #expect(octetError { try histogram.calculateQParams() }?.code == .invalidArgument)
  }

  @Test func typesThatCannotBeQuantizedTo() throws {
    for dtype in [DType.float32, .int32, .bool] {
      #expect(octetError { try MinMaxObserver(dtype: dtype).calculateQParams() }?.code == .invalidArgument)
    }
  }

  @Test func rangesBeyondFloat32AreErrors() throws {
    let x = try Tensor([-Float.greatestFiniteMagnitude, Float.greatestFiniteMagnitude, 0, 1], shape: [2, 2])
    var (minMax, perChannel, histogram) = (MinMaxObserver(), PerChannelMinMaxObserver(axis: 0), HistogramObserver())
    try minMax.observe(x)
    try perChannel.observe(x)
    #expect(octetError { try minMax.calculateQParams() }?.code == .unsupported)
    #expect(octetError { try perChannel.calculateQParams() }?.code == .unsupported)
    #expect(octetError { try histogram.observe(x) }?.code == .unsupported)
    // Just within.
    var wide = HistogramObserver()
    try wide.observe(Tensor([-1e38, 2e38, 0, 1e37] as [Float], shape: [4]))
    #expect(try wide.calculateQParams().scales[0].isFinite)
  }

  @Test func tracedTensorsPass() throws {
    final class Watching: Module {
      var (minMax, perChannel, histogram) = (MinMaxObserver(), PerChannelMinMaxObserver(axis: 1), HistogramObserver())
      override func forward(_ x: Tensor) throws -> Tensor {
        try minMax.observe(x)
        try perChannel.observe(x)
        try histogram.observe(x)
        return try relu(x)
      }
    }
    let module = Watching()
    let graph = try module.trace(TensorType(.float32, [.symbolic("n"), 5]))
    #expect(graph.nodes.count == 1)
    #expect(
      module.minMax.minVal == .infinity && module.perChannel.minVal.isEmpty && module.histogram.maxVal == -.infinity)
    _ = try module(Self.numbers(8))
    #expect(module.minMax.minVal < 0 && module.perChannel.minVal.count == 5 && module.histogram.maxVal > 0)
  }
}

/// The state of an observer as comparable text.
func encoded(_ observer: some Observer) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = .sortedKeys
  return String(decoding: try encoder.encode(observer), as: UTF8.self)
}
