import CKernels
public import OctetCore
import Synchronization

/// Values rounded to the steps of integers, in float: torch.fake_quantize_per_tensor_affine and its form by channel, which
/// multiply by the reciprocal of the scale where ``quantize(_:_:)`` divides (they differ in a few ties). Gradients pass where
/// the integer is not clipped.
///
/// - Throws: `OctetError`: `unsupported` for scales by block; if x is not float32 or does not fit the parameters.
public func fakeQuantize(_ x: Tensor, _ parameters: QuantizationParameters) throws -> Tensor {
  try FakeQuantization(parameters: parameters, record: nil)(x)
}

/// The function behind ``fakeQuantize(_:_:)``. It keeps one byte for each element.
struct FakeQuantization: DifferentiableFunction {
  let parameters: QuantizationParameters
  /// Where to write how many values were clipped, when gradients are going to pass.
  let record: ClippingRecord?

  static func == (a: FakeQuantization, b: FakeQuantization) -> Bool { a.parameters == b.parameters }

  func hash(into hasher: inout Hasher) { hasher.combine(parameters) }

  func outputType(_ inputs: [TensorType]) throws -> TensorType {
    try Op.QuantizeLinear(parameters).outputTypes([inputs[0]])[0].with(.float32)
  }

  func forward(_ inputs: [Tensor]) throws -> Tensor { try round(inputs[0], mask: nil) }

  func differentiate(
    _ inputs: [Tensor]
  ) throws -> (result: Tensor, pullback: @Sendable (_ gradient: Tensor) throws -> [Tensor?]) {
    var mask = Tensor(uninitialized: inputs[0].shape, dtype: .uint8)
    let result = try mask.withUnsafeMutableScalars(as: UInt8.self) { mask in
      let result = try round(inputs[0], mask: mask.baseAddress)
      record?.set(clipped: mask.count - mask.reduce(0) { $0 + Int($1) }, of: mask.count)
      return result
    }
    let passes = mask
    return (result, { [try masked($0, passes)] })
  }

  func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] {
    try differentiate(inputs).pullback(gradient)
  }

  /// - Parameter mask: 1 where the integer lies within the range, 0 elsewhere.
  func round(_ x: Tensor, mask: UnsafeMutablePointer<UInt8>?) throws -> Tensor {
    guard parameters.blockSize == nil else {
      throw OctetError(.unsupported, "parameters", expected: "scales per tensor or channel", found: "\(parameters)")
    }
    let kernels = InstructionSet.current.kernels
    let (low, high) = (Int32(parameters.range.lowerBound), Int32(parameters.range.upperBound))
    let zeros = parameters.zeroPoints.map(Int32.init)
    let shape = x.shape
    var result = Tensor(uninitialized: shape, dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try x.withUnsafeScalars(as: Float.self) { x in
        guard let from = x.baseAddress, let to = out.baseAddress, !x.isEmpty else { return }
        guard let axis = parameters.axis else {
          let (scale, zero) = (parameters.scales[0], zeros[0])
          return concurrently(elements: x.count) { range in
            let i = range.lowerBound
            kernels.fake_quantize(from + i, range.count, scale, zero, low, high, to + i, mask.map { $0 + i })
          }
        }
        // Some indices before the channels' axis at a time; or, where there are none, some channels.
        let view = channelView(of: shape, axis: axis)
        let isOuter = view.outer > 1
        let block = view.inner * (isOuter ? view.channels : 1)
        let (blocks, size) = (x.count / block, max((1 << 15) / block, 1))
        parameters.scales.withUnsafeBufferPointer { scales in
          zeros.withUnsafeBufferPointer { zeros in
            concurrently((blocks + size - 1) / size) { item in
              let range = item * size..<min((item + 1) * size, blocks)
              let (i, channel) = (range.lowerBound * block, isOuter ? 0 : range.lowerBound)
              var part = view
              if isOuter { part.outer = range.count } else { part.channels = range.count }
              kernels.fake_quantize_channels(
                &part, from + i, scales.baseAddress! + channel, zeros.baseAddress! + channel, low, high, to + i,
                mask.map { $0 + i })
            }
          }
        }
      }
    }
    return result
  }

  private func masked(_ gradient: Tensor, _ mask: Tensor) throws -> Tensor {
    var dx = Tensor(uninitialized: gradient.shape, dtype: .float32)
    try dx.withUnsafeMutableScalars(as: Float.self) { dx in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try mask.withUnsafeScalars(as: UInt8.self) { mask in
          concurrently(elements: dx.count) { range in for i in range { dx[i] = mask[i] == 0 ? 0 : dy[i] } }
        }
      }
    }
    return dx
  }
}

/// The same with a scale and a zero point that learn: operands x, scale [1 or channels], zero point likewise, as real numbers.
///
///     dscale = g · Σ dy · (inside: x̂ − x over scale; clipped: range's end − zero point)
///     dzero  = g · Σ dy · (inside: 0; clipped: −scale),   g = 1 / √(count · qmax)
///
/// (Learned step size quantization; torch._fake_quantize_learnable_per_tensor_affine and its form by channel.)
struct LearnedFakeQuantization: DifferentiableFunction {
  /// What scale and zero point are now.
  let parameters: QuantizationParameters
  let record: ClippingRecord?

  static func == (a: LearnedFakeQuantization, b: LearnedFakeQuantization) -> Bool { a.parameters == b.parameters }

  func hash(into hasher: inout Hasher) { hasher.combine(parameters) }

  private var rounding: FakeQuantization { FakeQuantization(parameters: parameters, record: nil) }

  func outputType(_ inputs: [TensorType]) throws -> TensorType { try rounding.outputType(inputs) }

  func forward(_ inputs: [Tensor]) throws -> Tensor { try rounding.round(inputs[0], mask: nil) }

  func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] {
    let x = inputs[0]
    let (low, high) = (Float(parameters.range.lowerBound), Float(parameters.range.upperBound))
    let channels = parameters.scales.count
    var dscale = [Double](repeating: 0, count: channels)
    var dzero = dscale
    var clipped = 0
    var dx = gradient
    try dx.withUnsafeMutableScalars(as: Float.self) { dy in
      try x.withUnsafeScalars(as: Float.self) { x in
        try result.withUnsafeScalars(as: Float.self) { y in
          parameters.forEachRun(of: inputs[0].shape) { run, channel in
            let (scale, zero) = (parameters.scales[channel], Float(parameters.zeroPoints[channel]))
            let reciprocal = 1 / scale
            var (ofScale, ofZero) = (0.0, 0.0)
            for i in run {
              let q = (x[i] * reciprocal).rounded(.toNearestOrEven) + zero
              // (A NaN counts as too small.)
              let end: Float? = q >= low ? (q > high ? high : nil) : low
              if let end {
                ofScale += Double(dy[i] * (end - zero))
                ofZero -= Double(dy[i] * scale)
                dy[i] = 0
                clipped += 1
              } else {
                ofScale += Double(dy[i] * ((y[i] - x[i]) * reciprocal))
              }
            }
            dscale[channel] += ofScale
            dzero[channel] += ofZero
          }
        }
      }
    }
    record?.set(clipped: clipped, of: try x.count)
    let factor = 1 / max(Double(try x.count) * Double(parameters.range.upperBound), 1).squareRoot()
    func perChannel(_ sums: [Double]) throws -> Tensor {
      try Tensor(sums.map { Float($0 * factor) }, shape: [channels])
    }
    // Values are rounded by the size of the scale, which may have gone below 0.
    let signs = try inputs[1].scalars(as: Float.self).map { $0 < 0 ? -1.0 : 1 }
    return [dx, try perChannel(zip(dscale, signs).map { $0 * $1 }), try perChannel(dzero)]
  }
}

extension TensorType {
  fileprivate func with(_ dtype: DType) -> TensorType { TensorType(dtype, shape) }
}

/// How many values were clipped the last time.
final class ClippingRecord: Sendable {
  private let counts = Mutex((clipped: 0, of: 0))

  func set(clipped: Int, of count: Int) { counts.withLock { $0 = (clipped, count) } }

  /// Of all values.
  var count: Int? { counts.withLock { $0.of > 0 ? $0.of : nil } }

  var share: Float? { counts.withLock { $0.of > 0 ? Float($0.clipped) / Float($0.of) : nil } }
}
