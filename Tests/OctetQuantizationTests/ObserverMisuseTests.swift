import OctetCore
import OctetQuantization
import TestSupport
import Testing

/// Configurations that make no sense, observers that do not belong together, observers that have seen nothing.
@Suite struct ObserverMisuseTests {
  @Test(arguments: ObserverTests.templates.indices)
  func nothingObservedWarnsByName(_ index: Int) throws {
    let observer = ObserverTests.templates[index]
    let messages = try LogCapture.messages { _ = try observer.calculateQParams() }
    let expected = "warning: \(type(of: observer)) has observed nothing: scale 1, zero point 0"
    #expect(messages == [expected])
    let silent = try LogCapture.messages {
      var observer = observer
      try observer.observe(ObserverTests.numbers(1))
      _ = try observer.calculateQParams()
    }
    #expect(silent.isEmpty)
  }

  /// Two configurations each that differ in one thing.
  static let pairs: [(any Observer, any Observer)] = [
    (MinMaxObserver(), MinMaxObserver(dtype: .int8)), (MinMaxObserver(), MinMaxObserver(scheme: .symmetric)),
    (MinMaxObserver(), MinMaxObserver(quantMax: 100)), (MinMaxObserver(), MinMaxObserver(reduceRange: true)),
    (MovingAverageMinMaxObserver(), MovingAverageMinMaxObserver(averagingConstant: 0.1)),
    (PerChannelMinMaxObserver(axis: 0), PerChannelMinMaxObserver(axis: 1)),
    (MovingAveragePerChannelMinMaxObserver(axis: 0), MovingAveragePerChannelMinMaxObserver(axis: 1)),
    (PerGroupMinMaxObserver(groupSize: 2), PerGroupMinMaxObserver(groupSize: 4)),
    (HistogramObserver(), HistogramObserver(bins: 100)), (MSEObserver(), MSEObserver(dtype: .int16)),
    (PercentileObserver(), PercentileObserver(percentile: 99)), (EntropyObserver(), EntropyObserver(bins: 100)),
    (PlaceholderObserver(), PlaceholderObserver(isDynamic: false)),
    (
      try! FixedQParamsObserver(scale: 1 / 256, zeroPoint: 0), try! FixedQParamsObserver(scale: 1 / 128, zeroPoint: 128)
    ),
  ]

  @Test(arguments: pairs.indices)
  func mergingOtherConfigurationsIsRefused(_ index: Int) throws {
    func check<O: Observer>(_ first: O, _ other: any Observer) throws {
      var (observer, other) = (first, other as! O)
      for _ in 0..<2 {
        let before = try encoded(observer)
        let error = octetError { try observer.merge(other) }
        #expect(error?.code == .invalidArgument && error?.subject == "\(O.self)", "\(String(describing: error))")
        #expect(error?.expected != error?.found)
        #expect(try encoded(observer) == before)
        try observer.observe(ObserverTests.numbers(1))
        try other.observe(ObserverTests.numbers(2))
      }
      try observer.merge(first)
    }
    try check(Self.pairs[index].0, Self.pairs[index].1)
  }

  private func refusal(_ template: any Observer) throws -> OctetError? {
    var observer = template
    return octetError {
      try observer.observe(ObserverTests.numbers(1))
      _ = try observer.calculateQParams()
    }
  }

  @Test func configurationsThatMakeNoSense() throws {
    var observers: [any Observer] = [
      MSEObserver(quantMin: 3, quantMax: 2), EntropyObserver(dtype: .int4, quantMax: 8),
      PercentileObserver(dtype: .uint16, quantMin: -1),
    ]
    for constant in [0, -1, 1.5, .nan, .infinity] as [Float] {
      observers.append(MovingAverageMinMaxObserver(averagingConstant: constant))
    }
    for bins in [0, -1, 1 << 21, .min, .max] as [Int] {
      observers.append(HistogramObserver(bins: bins))
      observers.append(EntropyObserver(bins: bins))
    }
    for percentile in [0, -1, 100.1, .nan] as [Double] {
      observers.append(PercentileObserver(percentile: percentile))
    }
    for size in [0, -4, .min] as [Int] { observers.append(PerGroupMinMaxObserver(groupSize: size)) }
    for dtype in [DType.float32, .bool, .int64] {
      observers.append(MSEObserver(dtype: dtype))
      observers.append(MinMaxObserver(dtype: dtype))
    }
    for observer in observers {
      let (error, text) = (try refusal(observer), observer.description)
      #expect(error?.code == .invalidArgument, "\(text): \(String(describing: error))")
    }
  }

  @Test func axesThatDoNotExist() throws {
    for axis in [2, -3, .max, .min] as [Int] {
      #expect(try refusal(PerChannelMinMaxObserver(axis: axis))?.code == .shapeMismatch)
      #expect(try refusal(MovingAveragePerChannelMinMaxObserver(axis: axis))?.code == .shapeMismatch)
      #expect(try refusal(PerGroupMinMaxObserver(axis: axis, groupSize: 2))?.code == .shapeMismatch)
    }
    var observer = PerGroupMinMaxObserver(groupSize: 2)
    try observer.observe(ObserverTests.numbers(1, [4, 5]))
    #expect(octetError { try observer.observe(ObserverTests.numbers(1, [4, 7])) }?.code == .shapeMismatch)
  }

  @Test func fixedAndPlaceholder() throws {
    var fixed = try FixedQParamsObserver(scale: 1 / 256, zeroPoint: 0)
    fixed.observe(try ObserverTests.numbers(1))
    #expect(fixed.calculateQParams() == (try QuantizationParameters(scale: 1 / 256, zeroPoint: 0, dtype: .uint8)))
    #expect(octetError { try FixedQParamsObserver(scale: 0, zeroPoint: 0) }?.code == .invalidArgument)
    #expect(octetError { try FixedQParamsObserver(scale: 1, zeroPoint: 256) }?.code == .invalidArgument)
    #expect(octetError { try FixedQParamsObserver(scale: 1, zeroPoint: 0, dtype: .bool) }?.code == .invalidArgument)
    let error = octetError { try PlaceholderObserver().calculateQParams() }
    #expect(error?.code == .unsupported && error?.subject == "PlaceholderObserver")
    #expect(PlaceholderObserver(dtype: .int8).dtype == .int8)
  }
}
