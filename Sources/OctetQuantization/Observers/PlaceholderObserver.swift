public import OctetCore

/// Stands where an observer is asked for and nothing is to be observed: it says which type values will have, for
/// quantization that finds ranges while it runs. (torch.ao.quantization.PlaceholderObserver.)
public struct PlaceholderObserver: Observer, Hashable {
  public var scheme: QuantizationScheme
  /// Whether ranges are found anew for every input.
  public let isDynamic: Bool

  public init(
    dtype: DType = .uint8, scheme: QuantizationScheme.Symmetry = .affine, quantMin: Int? = nil, quantMax: Int? = nil,
    reduceRange: Bool = false, isDynamic: Bool = true
  ) {
    self.scheme = QuantizationScheme(
      dtype: dtype, symmetry: scheme, quantMin: quantMin, quantMax: quantMax, reduceRange: reduceRange)
    self.isDynamic = isDynamic
  }

  public var dtype: DType { scheme.dtype }

  public mutating func observe(_ x: Tensor) {}
  public mutating func reset() {}

  /// - Throws: `OctetError` (`unsupported`), always: there are none.
  public func calculateQParams() throws -> QuantizationParameters {
    throw OctetError(
      .unsupported, "PlaceholderObserver", expected: "an observer that calculates parameters",
      found: "a placeholder, whose values are not observed")
  }

  public mutating func merge(_ other: PlaceholderObserver) throws {
    guard other == self else {
      throw OctetError(.invalidArgument, "PlaceholderObserver", expected: "\(self)", found: "\(other)")
    }
  }

  public var description: String { "PlaceholderObserver(\(scheme)\(isDynamic ? ", dynamic" : ""))" }
}
