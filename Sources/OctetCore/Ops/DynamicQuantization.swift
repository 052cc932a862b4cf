extension Op {
  /// Quantizes an activation with parameters that come from its own values while the network runs, and dequantizes it:
  /// ONNX's DynamicQuantizeLinear followed by DequantizeLinear. Operand: x float32. Result: float32 of the same shape.
  ///
  /// A product of such an activation and integer weights runs in integers (ONNX: MatMulInteger).
  public struct DynamicQuantize: Operation, Codable {
    /// What shares a scale and a zero point.
    public enum Granularity: String, Sendable, Codable, CaseIterable {
      /// The whole tensor, as ONNX and PyTorch have it.
      case tensor
      /// Every row along the last axis: results do not depend on what else is in the batch.
      case row
    }

    public var granularity: Granularity
    /// Use 0…127 instead of 0…255, as PyTorch does for fbgemm; never needed here.
    public var reduceRange: Bool

    public init(_ granularity: Granularity = .tensor, reduceRange: Bool = false) {
      self.granularity = granularity
      self.reduceRange = reduceRange
    }

    public var attributes: String { "per \(granularity.rawValue)" + (reduceRange ? ", 0…127" : "") }

    /// The largest integer; the smallest is 0.
    package var quantMax: Int { reduceRange ? 127 : 255 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: (granularity == .row ? 1 : 0)...Int.max, "x")
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] { [try roundTrip(inputs[0]!)] }

    /// What quantizing and dequantizing leaves of a concrete tensor.
    func roundTrip(_ x: Tensor) throws -> Tensor {
      let rowLength = granularity == .row ? x.shape.last! : try x.count
      let kernels = InstructionSet.current.kernels
      var result = Tensor(uninitialized: x.shape, dtype: .float32)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try x.withUnsafeScalars(as: Float.self) { elements in
          guard rowLength > 0, let from = elements.baseAddress, let to = out.baseAddress else { return }
          var bytes = [UInt8](repeating: 0, count: rowLength)
          for start in stride(from: 0, to: elements.count, by: rowLength) {
            let parameters = DynamicParameters(of: from + start, count: rowLength, quantMax: quantMax)
            parameters.quantize(from + start, count: rowLength, into: &bytes)
            kernels.dequantize_u8(bytes, rowLength, parameters.scale, Int32(parameters.zeroPoint), to + start)
          }
        }
      }
      return result
    }
  }
}

/// Scale and zero point of values that have just been computed, as ONNX's DynamicQuantizeLinear defines them:
///
///     scale = (max − min) / quantMax (1 if that is 0),  zeroPoint = roundHalfEven(clamp(−min / scale, 0, quantMax))
///
/// over a range that includes 0; infinities and NaN do not count.
package struct DynamicParameters {
  package let scale: Float
  package let zeroPoint: Int
  package let quantMax: Int

  /// - Parameters:
  ///   - minimum: in real units; +inf if there is no number.
  ///   - maximum: in real units; −inf if there is no number.
  @inline(__always)
  package init(minimum: Float, maximum: Float, quantMax: Int) {
    let (low, high) = (min(minimum, 0), max(maximum, 0))
    let range = (high - low) / Float(quantMax)
    scale = range == 0 ? 1 : range
    zeroPoint = Int(min(max(-low / scale, 0), Float(quantMax)).rounded(.toNearestOrEven))
    self.quantMax = quantMax
  }

  package init(of x: UnsafePointer<Float>, count: Int, quantMax: Int) {
    var (minimum, maximum) = (Float.infinity, -Float.infinity)
    var (infinities, nans) = (0, 0)
    InstructionSet.current.kernels.min_max(x, count, &minimum, &maximum, &infinities, &nans)
    self.init(minimum: minimum, maximum: maximum, quantMax: quantMax)
  }

  package func quantize(_ x: UnsafePointer<Float>, count: Int, into bytes: UnsafeMutablePointer<UInt8>) {
    InstructionSet.current.kernels.quantize(
      x, count, scale, Int32(zeroPoint), Float(-zeroPoint), Float(quantMax - zeroPoint), bytes)
  }
}

// MARK: - Gradient

extension Op.DynamicQuantize {
  /// Straight through: nothing is clipped.
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? { { $0 } }
}
