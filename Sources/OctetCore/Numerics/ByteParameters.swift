import CKernels

/// Quantization parameters for which there are kernels: of 8-bit integers, per tensor or per channel.
struct ByteParameters {
  private let parameters: QuantizationParameters
  private let zeroPoints: [Int32]

  /// `nil` if there are none: integers are wider or narrower, or blocks share scales.
  init?(_ parameters: QuantizationParameters) {
    guard parameters.dtype.bitWidth == 8, parameters.blockSize == nil else { return nil }
    self.parameters = parameters
    zeroPoints = parameters.zeroPoints.map(Int32.init)
  }

  /// Real numbers → integers. x: float32, concrete, of a shape that fits the parameters.
  func quantize(_ x: Tensor) throws -> Tensor {
    let kernels = InstructionSet.current.kernels
    let scales = parameters.scales
    let (low, high) = (Int32(parameters.range.lowerBound), Int32(parameters.range.upperBound))
    var result = Tensor(uninitialized: x.shape, dtype: parameters.dtype)
    try x.withUnsafeScalars(as: Float.self) { elements in
      guard let from = elements.baseAddress, !elements.isEmpty else { return }
      result.withUnsafeMutableBytes { bytes in
        let to = bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
        if let axis = parameters.axis {
          var view = channelView(of: x.shape, axis: axis)
          kernels.quantize_channels(&view, from, scales, zeroPoints, low, high, to)
        } else {
          let zero = zeroPoints[0]
          kernels.quantize(from, elements.count, scales[0], zero, Float(low - zero), Float(high - zero), to)
        }
      }
    }
    return result
  }

  /// Integers → real numbers. q: of the parameters' type, concrete, of a shape that fits them.
  func dequantize(_ q: Tensor) throws -> Tensor {
    let kernels = InstructionSet.current.kernels
    let scales = parameters.scales
    var result = Tensor(uninitialized: q.shape, dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { elements in
      guard let to = elements.baseAddress, !elements.isEmpty else { return }
      q.withUnsafeBytes { bytes in
        let unsigned = bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
        let signed = bytes.baseAddress!.assumingMemoryBound(to: Int8.self)
        let isUnsigned = parameters.dtype == .uint8
        if let axis = parameters.axis {
          var view = channelView(of: q.shape, axis: axis)
          if isUnsigned {
            kernels.dequantize_channels_u8(&view, unsigned, scales, zeroPoints, to)
          } else {
            kernels.dequantize_channels_s8(&view, signed, scales, zeroPoints, to)
          }
        } else if isUnsigned {
          kernels.dequantize_u8(unsigned, elements.count, scales[0], zeroPoints[0], to)
        } else {
          kernels.dequantize_s8(signed, elements.count, scales[0], zeroPoints[0], to)
        }
      }
    }
    return result
  }
}
