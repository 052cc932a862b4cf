import Logging
import OctetCore

/// What an observer keeps of the values that it has seen.
protocol Summary: Hashable, Sendable, Codable {
  /// Whether no finite value has been seen.
  var isEmpty: Bool { get }

  mutating func observe(_ x: Tensor, _ grouping: Grouping) throws
  /// The other one has the same configuration.
  mutating func merge(_ other: Self) throws
  mutating func reset()
}

/// What the observers of this module have in common: a summary of what they have seen, and ranges found in it. They
/// differ in the summary and in how they find the ranges.
protocol SummarizingObserver: Observer, Hashable {
  associatedtype Seen: Summary

  var scheme: QuantizationScheme { get }
  var seen: Seen { get set }
  var grouping: Grouping { get }
  /// What is configured beside the scheme, for people: `percentile 99.9`.
  var options: [String] { get }
  /// The range to quantize, in real units, for each scale; the summary is not empty.
  func ranges() throws -> [RealRange]
}

extension SummarizingObserver {
  var grouping: Grouping { .tensor }
  var options: [String] { [] }

  public mutating func observe(_ x: Tensor) throws { try seen.observe(x, grouping) }

  public mutating func reset() { seen.reset() }

  public func calculateQParams() throws -> QuantizationParameters {
    let integers = try scheme.range()
    if seen.isEmpty {
      Logger(label: "octet.quantization").warning("\(Self.self) has observed nothing: scale 1, zero point 0")
      return try parameters([(1, 0)], integers)
    }
    return try parameters(ranges().map { try scheme.scaleAndZeroPoint($0.minimum, $0.maximum, integers) }, integers)
  }

  private func parameters(_ values: [(scale: Float, zero: Int)], _ integers: ClosedRange<Int>) throws
    -> QuantizationParameters
  {
    try QuantizationParameters(
      scales: values.map(\.scale), zeroPoints: values.map(\.zero), dtype: scheme.dtype, range: integers,
      axis: grouping.axis, blockSize: grouping.blockSize)
  }

  public mutating func merge(_ other: Self) throws {
    // What has forgotten everything is its configuration.
    var (mine, others) = (self, other)
    mine.reset()
    others.reset()
    guard mine == others else {
      throw OctetError(.invalidArgument, "\(Self.self)", expected: mine.configuration, found: others.configuration)
    }
    try seen.merge(other.seen)
  }

  private var configuration: String { (["\(scheme)"] + options).joined(separator: ", ") }

  /// `MinMaxObserver(uint8 affine 0…255): -0.5…1.5, scale 0.007843138, zero point 64, uint8 0…255`
  public var description: String {
    let name = "\(Self.self)(\(configuration)): "
    if seen.isEmpty { return name + "nothing observed" }
    do {
      let (ranges, parameters) = (try ranges(), try calculateQParams())
      let (low, high) = (ranges.map(\.minimum).min()!, ranges.map(\.maximum).max()!)
      return name + "\(low)…\(high), \(parameters)"
    } catch {
      return name + "\(error)"
    }
  }
}
