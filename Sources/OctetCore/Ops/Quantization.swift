extension Op {
  /// ONNX's QuantizeLinear: `clamp(roundHalfEven(x / scale) + zeroPoint, range)`, NaN to the zero point.
  /// Operand: x float32. Result: integers of the same shape.
  public struct QuantizeLinear: Operation, Codable {
    public var parameters: QuantizationParameters

    public init(_ parameters: QuantizationParameters) { self.parameters = parameters }

    public var attributes: String { "\(parameters)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 0...Int.max, "x")
      try parameters.check(x)
      return [TensorType(parameters.dtype, x.shape)]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      if let bytes = ByteParameters(parameters) { return [try bytes.quantize(x)] }
      var result = try Tensor(zeros: x.shape, dtype: parameters.dtype)
      try x.withUnsafeScalars(as: Float.self) { elements in
        result.withUnsafeMutableBytes { out in
          parameters.forEachRun(of: x.shape) { run, channel in
            let zero = parameters.zeroPoints[channel]
            let lower = Float(parameters.range.lowerBound - zero)
            let upper = Float(parameters.range.upperBound - zero)
            for i in run {
              let step = quantizedStep(elements[i], scale: parameters.scales[channel], lower: lower, upper: upper)
              storeInteger(step + zero, at: i, parameters.dtype, in: out)
            }
          }
        }
      }
      return [result]
    }
  }

  /// ONNX's DequantizeLinear: `scale · (q − zeroPoint)`. Operand: integers. Result: float32 of the same shape.
  public struct DequantizeLinear: Operation, Codable {
    public var parameters: QuantizationParameters

    public init(_ parameters: QuantizationParameters) { self.parameters = parameters }

    public var attributes: String { "\(parameters)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let q = try operand(inputs, 0, "q")
      try q.require(parameters.dtype, rank: 0...Int.max, "q")
      try parameters.check(q)
      return [TensorType(.float32, q.shape)]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let q = inputs[0]!
      if let bytes = ByteParameters(parameters) { return [try bytes.dequantize(q)] }
      var result = try Tensor(zeros: q.shape)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        q.withUnsafeBytes { bytes in
          parameters.forEachRun(of: q.shape) { run, channel in
            let scale = parameters.scales[channel]
            let zero = parameters.zeroPoints[channel]
            for i in run { out[i] = Float(loadInteger(at: i, parameters.dtype, from: bytes) - zero) * scale }
          }
        }
      }
      return [result]
    }
  }
}

/// `roundHalfEven(clamp(x / scale))`, NaN to 0: the distance from the zero point in steps.
@inline(__always)
package func quantizedStep(_ x: Float, scale: Float, lower: Float, upper: Float) -> Int {
  let step = x / scale
  // Clamping first gives the same integer, since the bounds are integers, and keeps the conversion in range.
  return step.isNaN ? 0 : Int(min(max(step, lower), upper).rounded(.toNearestOrEven))
}

/// Element `index` of packed or whole-byte integers of at most 16 bits.
package func loadInteger(at index: Int, _ dtype: DType, from bytes: UnsafeRawBufferPointer) -> Int {
  switch dtype {
  case .uint8: Int(bytes[index])
  case .int8: Int(Int8(bitPattern: bytes[index]))
  case .uint16: Int(bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
  case .int16: Int(bytes.loadUnaligned(fromByteOffset: index * 2, as: Int16.self))
  case .uint4: Int(bytes[index / 2] >> UInt8(index % 2 * 4) & 15)
  case .int4: Int(Int8(bitPattern: bytes[index / 2] << UInt8((1 - index % 2) * 4)) >> 4)
  case .float32, .float16, .int32, .int64, .bool: preconditionFailure("not a quantized type")
  }
}

/// Stores an integer that the type can hold.
package func storeInteger(_ value: Int, at index: Int, _ dtype: DType, in bytes: UnsafeMutableRawBufferPointer) {
  switch dtype {
  case .uint8, .int8: bytes[index] = UInt8(truncatingIfNeeded: value)
  case .uint16, .int16:
    bytes.storeBytes(of: UInt16(truncatingIfNeeded: value), toByteOffset: index * 2, as: UInt16.self)
  case .uint4, .int4:
    let shift = UInt8(index % 2 * 4)
    bytes[index / 2] = bytes[index / 2] & ~(15 << shift) | (UInt8(truncatingIfNeeded: value) & 15) << shift
  case .float32, .float16, .int32, .int64, .bool: preconditionFailure("not a quantized type")
  }
}

/// The integers that stand for `x`: ONNX's QuantizeLinear, which divides by the scale.
///
/// - Throws: `OctetError` if `x` is not float32 or does not fit the parameters, `notANumber` if it holds a NaN.
public func quantize(_ x: Tensor, _ parameters: QuantizationParameters) throws -> Tensor {
  if !x.isTraced, x.dtype == .float32 {
    let nans = try x.nanCount
    guard nans == 0 else {
      throw OctetError(.notANumber, "quantize", expected: "numbers", found: "\(nans) NaN in \(x.type)")
    }
  }
  return try apply(.quantizeLinear(Op.QuantizeLinear(parameters)), to: x)
}

/// The real numbers that integers stand for, in float32.
///
/// - Throws: `OctetError` if `q` is not of the parameters' type or shape.
public func dequantize(_ q: Tensor, _ parameters: QuantizationParameters) throws -> Tensor {
  try apply(.dequantizeLinear(Op.DequantizeLinear(parameters)), to: q)
}

// MARK: - Gradients

extension Op.QuantizeLinear {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    throw OctetError(
      .unsupported, "quantizeLinear", expected: "a float operation: fake-quantize to train", found: "integers")
  }
}

extension Op.DequantizeLinear {
  /// Integers have no gradient.
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? { nil }
}
