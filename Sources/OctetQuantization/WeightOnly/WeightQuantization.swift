public import OctetCore

/// How a layer's weight is stored while its activations stay in float.
public struct WeightQuantization: Hashable, Sendable, Codable {
  /// int4, uint4, int8 or uint8.
  public var dtype: DType
  /// How many consecutive inputs of an output share a scale, the last group being shorter where they do not come out
  /// even; `nil`: all of them, one scale for each output channel.
  public var groupSize: Int?
  /// Symmetric: signed types have no zero points. Affine: every group has a zero point of its own.
  public var scheme: QuantizationScheme.Symmetry

  public init(dtype: DType, groupSize: Int? = nil, scheme: QuantizationScheme.Symmetry = .symmetric) {
    self.dtype = dtype
    self.groupSize = groupSize
    self.scheme = scheme
  }

  /// int8, symmetric, one scale for each output channel.
  public static let int8 = WeightQuantization(dtype: .int8)
  /// int4, symmetric, one scale for each group of 128 inputs.
  public static let int4 = WeightQuantization(dtype: .int4, groupSize: 128)

  /// - Throws: `OctetError` (`invalidArgument`) for another type or for groups of less than one.
  func check() throws {
    guard let range = dtype.quantizedRange, range.count <= 256 else {
      throw OctetError(
        .invalidArgument, "WeightQuantization", expected: "int4, uint4, int8 or uint8", found: dtype.rawValue)
    }
    if let groupSize, groupSize < 1 {
      throw OctetError(
        .invalidArgument, "WeightQuantization", expected: "groups of 1 or more inputs", found: "\(groupSize)")
    }
  }

  /// The parameters that cover the extremes of every group (or channel) of a weight [outputs, inputs, ...].
  func parameters(for weight: Tensor) throws -> QuantizationParameters {
    let channels = PerChannelMinMaxObserver(axis: 0, dtype: dtype, scheme: scheme)
    guard let groupSize else { return try channels.parameters(for: weight) }
    // Each group as a channel of its own. Zeros that fill the last one up change nothing: every range includes 0.
    let (n, k) = (weight.shape[0], weight.shape[1])
    let size = min(groupSize, k)
    let count = (k + size - 1) / size
    let isWhole = count * size == k
    let filled = isWhole ? weight : try pad(weight, before: [0, 0], after: [0, count * size - k])
    let parameters = try channels.parameters(for: filled.reshape([n * count, size]))
    return try QuantizationParameters(
      scales: parameters.scales, zeroPoints: parameters.zeroPoints, dtype: dtype, range: parameters.range, axis: 1,
      blockSize: size)
  }
}
