public import OctetCore

/// Which integers an observer quantizes to, and where it puts real 0.
public struct QuantizationScheme: Hashable, Sendable, Codable {
  public enum Symmetry: String, Hashable, Sendable, Codable {
    /// The range of integers covers exactly the range of the values; real 0 lies anywhere.
    case affine
    /// The range of integers covers ±(the largest absolute value).
    case symmetric
  }

  public var dtype: DType
  public var symmetry: Symmetry
  /// The smallest and largest integer; `nil`: all that the type (or half of it, with `reduceRange`) has.
  public var quantMin: Int?
  public var quantMax: Int?
  /// Chooses the scale for half of the integers, for libraries whose sums overflow with all of them; larger values take
  /// the other half, as in PyTorch. Octet never needs it.
  public var reduceRange: Bool

  public init(
    dtype: DType, symmetry: Symmetry = .affine, quantMin: Int? = nil, quantMax: Int? = nil, reduceRange: Bool = false
  ) {
    self.dtype = dtype
    self.symmetry = symmetry
    self.quantMin = quantMin
    self.quantMax = quantMax
    self.reduceRange = reduceRange
  }

  /// The least scale, 2⁻²³ as in PyTorch.
  package static let leastScale = Float.ulpOfOne

  /// The integers in use.
  ///
  /// - Throws: `OctetError` if the type is not one to quantize to or the bounds are not within it.
  public func range() throws -> ClosedRange<Int> {
    guard let whole = dtype.quantizedRange else {
      throw OctetError(
        .invalidArgument, "observer", expected: "an integer type of 4, 8 or 16 bits", found: dtype.rawValue)
    }
    // Half of −128…127 is −64…63, half of 0…255 is 0…127.
    let available = reduceRange ? whole.lowerBound / 2...(whole.upperBound - 1) / 2 : whole
    let (low, high) = (quantMin ?? available.lowerBound, quantMax ?? available.upperBound)
    guard whole.contains(low), whole.contains(high), low < high, (low...high).contains(0) else {
      throw OctetError(
        .invalidArgument, "observer", expected: "quantMin ≤ 0 ≤ quantMax within \(whole)", found: "\(low) and \(high)")
    }
    return low...high
  }

  /// Scale and zero point for values between `minimum` and `maximum` (real units). The range is first extended to
  /// include 0.
  ///
  /// Affine: `scale = (max − min)/(qmax − qmin)`, `zero = clamp(qmin − roundHalfEven(min/scale))`. Symmetric:
  /// `scale = max(|min|, |max|)/((qmax − qmin)/2)`, `zero = 0` for signed types, the middle for unsigned ones.
  /// (torch.ao.quantization, `_calculate_qparams`.)
  ///
  /// - Throws: `OctetError` (`unsupported`) if the distance from one to the other is not a float32.
  func scaleAndZeroPoint(_ minimum: Float, _ maximum: Float, _ range: ClosedRange<Int>) throws -> (Float, Int) {
    let low = min(minimum, 0)
    let high = max(maximum, 0)
    let steps = Float(range.count - 1)
    switch symmetry {
    case .symmetric:
      let scale = max(max(-low, high) / (steps / 2), Self.leastScale)
      let isSigned = dtype.quantizedRange!.lowerBound < 0
      // PyTorch's 128 of 0…255; half of the range, rounded down, once its bounds are given. (With `reduceRange` PyTorch
      // answers 128 too, which 0…127 does not have: the middle is taken there as well.)
      let isDefault = quantMin == nil && quantMax == nil && !reduceRange
      let middle = (range.lowerBound + range.upperBound + (isDefault ? 1 : 0)) / 2
      return (scale, isSigned ? 0 : middle)
    case .affine:
      try checkDistance(low, high)
      let scale = max((high - low) / steps, Self.leastScale)
      let zero = range.lowerBound - Int((low / scale).rounded(.toNearestOrEven))
      return (scale, min(max(zero, range.lowerBound), range.upperBound))
    }
  }

  /// - Throws: `OctetError` (`unsupported`) if the distance from one to the other is not a float32.
  func checkDistance(_ low: Float, _ high: Float) throws {
    guard (high - low).isFinite else {
      throw OctetError(
        .unsupported, "observer", expected: "values at most \(Float.greatestFiniteMagnitude) apart",
        found: "\(low)…\(high)")
    }
  }
}

extension QuantizationScheme: CustomStringConvertible {
  /// `uint8 affine 0…127`
  public var description: String {
    let integers = (try? range()).map { "\($0.lowerBound)…\($0.upperBound)" } ?? "without a valid range"
    return "\(dtype.rawValue) \(symmetry.rawValue) \(integers)"
  }
}
