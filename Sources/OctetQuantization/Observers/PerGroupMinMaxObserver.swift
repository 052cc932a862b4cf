public import OctetCore

/// The smallest and the largest value of every group of consecutive indices along an axis, for each position of the other
/// axes: weights whose blocks have scales of their own.
///
/// A weight [8, 64] with groups of 32 along axis 1 has 16 scales, in the order of a tensor [8, 2]. The last group may be
/// shorter. Observing throws `shapeMismatch` also for a tensor that lacks the axis or has another number of groups than
/// before, `invalidArgument` for groups of less than 1.
public struct PerGroupMinMaxObserver: SummarizingObserver {
  public var scheme: QuantizationScheme
  /// The axis that groups lie along; negative from the end.
  public let axis: Int
  /// The number of consecutive indices that share a scale.
  public let groupSize: Int
  var seen = Extremes()

  public init(
    axis: Int = 1, groupSize: Int, dtype: DType = .int4, scheme: QuantizationScheme.Symmetry = .symmetric,
    quantMin: Int? = nil, quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.axis = axis
    self.groupSize = groupSize
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
  }

  /// In real units, one for each group; empty before anything has been observed.
  public var minVal: [Float] { seen.minimum }
  public var maxVal: [Float] { seen.maximum }
  /// How many infinities were left out.
  public var infinityCount: Int { seen.infinityCount }

  var grouping: Grouping { .blocks(axis: axis, size: groupSize) }
  var options: [String] { ["groups of \(groupSize) along axis \(axis)"] }
  func ranges() -> [RealRange] { seen.ranges }
}
