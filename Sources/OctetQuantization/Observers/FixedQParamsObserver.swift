public import OctetCore

/// Parameters that are known beforehand: those of a result with a fixed range, as sigmoid's. It looks at nothing.
/// (torch.ao.quantization.FixedQParamsObserver.)
public struct FixedQParamsObserver: Observer, Hashable {
  public let parameters: QuantizationParameters

  public init(_ parameters: QuantizationParameters) { self.parameters = parameters }

  /// - Parameters:
  ///   - scale: real units per step.
  ///   - zeroPoint: the integer that stands for real 0.
  /// - Throws: `OctetError` (`invalidArgument`) for parameters that make no sense.
  public init(scale: Float, zeroPoint: Int, dtype: DType = .uint8, quantMin: Int? = nil, quantMax: Int? = nil) throws {
    let range = try QuantizationScheme(dtype: dtype, quantMin: quantMin, quantMax: quantMax).range()
    self.init(try QuantizationParameters(scale: scale, zeroPoint: zeroPoint, dtype: dtype, range: range))
  }

  public mutating func observe(_ x: Tensor) {}
  public func calculateQParams() -> QuantizationParameters { parameters }
  public mutating func reset() {}

  public mutating func merge(_ other: FixedQParamsObserver) throws {
    guard other == self else {
      throw OctetError(
        .invalidArgument, "FixedQParamsObserver", expected: "\(parameters)", found: "\(other.parameters)")
    }
  }

  public var description: String { "FixedQParamsObserver(\(parameters))" }
}
