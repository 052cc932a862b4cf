public import OctetCore

/// Watches values and says how to quantize them.
///
/// Observers are values: a configured one that has seen nothing is a template, and copies of it observe different
/// tensors. A type of your own that conforms is used like those of this module.
public protocol Observer: Sendable, Codable, CustomStringConvertible {
  /// Takes the elements of `x` (float32, real units) into account. Traced tensors are let pass.
  ///
  /// - Throws: `OctetError`: `notANumber` if there is a NaN, `dtypeMismatch` if `x` is not float32, `invalidArgument` for a
  ///   configuration that makes no sense.
  mutating func observe(_ x: Tensor) throws

  /// The quantization parameters for what has been observed. If that is nothing: scale 1, zero point 0, and a warning.
  func calculateQParams() throws -> QuantizationParameters

  /// Takes into account what another observer of the same configuration has seen, as if it came after what this one has.
  ///
  /// - Throws: `OctetError` (`invalidArgument`) if the configurations differ.
  mutating func merge(_ other: Self) throws

  /// Forgets what has been observed.
  mutating func reset()
}

extension Observer {
  /// The name of the type; observers of this module also say how they are configured and what they have seen.
  public var description: String { "\(Self.self)" }

  /// The parameters for one tensor, by a copy of this template.
  func parameters(for tensor: Tensor) throws -> QuantizationParameters {
    var observer = self
    try observer.observe(tensor)
    return try observer.calculateQParams()
  }

  /// Merges an observer whose type is not known.
  ///
  /// - Throws: `OctetError` (`invalidArgument`) if it is of another type or configuration.
  mutating func merge(any other: any Observer) throws {
    guard let other = other as? Self else {
      throw OctetError(.invalidArgument, "observer", expected: "\(Self.self)", found: "\(type(of: other))")
    }
    try merge(other)
  }
}
