import CKernels
import OctetCore

/// The weights of a convolution or linear layer in the kernels' layout, with what an epilogue needs for each channel.
struct ConvolutionWeights: Sendable {
  let isInteger: Bool
  let isDepthwise: Bool
  /// Everything but the sizes of the image.
  let shape: octet_conv_shape
  let packed: TensorStorage
  /// By channel, padded as the kernels want it: Σ w, the scale of the weight, and the real bias.
  private let sums: [Int32]
  private let scales: [Float]
  private let biases: [Float]

  /// Weights in integers, symmetric.
  ///
  /// - Parameters:
  ///   - weight: int8 [o, i / groups, kh, kw], or [o, i / groups, k]
  ///   - scales: one, or one for each output channel
  ///   - bias: float32 [o]
  /// - Throws: `OctetError` (`notANumber`) if the bias is not finite.
  init(weight: Tensor, scales: [Float], bias: Tensor?, _ attributes: Op.Convolution, allowsDepthwise: Bool) throws {
    if let odd = try bias?.scalars(as: Float.self).first(where: { !$0.isFinite }) {
      throw OctetError(.notANumber, "bias", expected: "finite numbers", found: "\(odd)")
    }
    try self.init(
      weight: weight, scales: scales, bias: bias, attributes, isInteger: true, allowsDepthwise: allowsDepthwise)
  }

  /// Weights in float: float32 [o, i / groups, kh, kw].
  init(weight: Tensor, bias: Tensor?, _ attributes: Op.Convolution) throws {
    try self.init(weight: weight, scales: [1], bias: bias, attributes, isInteger: false, allowsDepthwise: true)
  }

  private init(
    weight: Tensor, scales: [Float], bias: Tensor?, _ attributes: Op.Convolution, isInteger: Bool, allowsDepthwise: Bool
  ) throws {
    let (outputs, groupInputs) = (weight.shape[0], weight.shape[1])
    let groups = attributes.groups
    var shape = octet_conv_shape()
    (shape.in_c, shape.out_c, shape.groups) = (groupInputs * groups, outputs, groups)
    let kernel = imageShape(weight.shape)
    (shape.kernel_h, shape.kernel_w) = (kernel[2], kernel[3])
    (shape.stride_h, shape.stride_w) = (attributes.stride.height, attributes.stride.width)
    (shape.dilation_h, shape.dilation_w) = (attributes.dilation.height, attributes.dilation.width)
    (shape.pad_top, shape.pad_left) = (attributes.padding.top, attributes.padding.left)

    // Packing does not depend on the image, but its plan divides by the image's width: one pixel will do.
    (shape.in_h, shape.in_w, shape.out_h, shape.out_w) = (1, 1, 1, 1)

    let family = isInteger ? InstructionSet.current.int8 : InstructionSet.current.float32
    let isDepthwise = allowsDepthwise && groups > 1 && groupInputs == 1 && groups == outputs
    let taps = shape.kernel_h * shape.kernel_w
    let padded = isDepthwise ? (outputs + 63) / 64 * 64 : octet_conv_padded_channels(family, &shape)
    let layout = InstructionSet.current.depthwise
    let bytes =
      switch (isDepthwise, isInteger) {
      case (false, _): octet_conv_packed_size(family, &shape)
      case (true, true): octet_depthwise_packed_size(layout, outputs, shape.kernel_h, shape.kernel_w)
      case (true, false): outputs * taps * MemoryLayout<Float>.stride
      }
    // (Packing leaves unwritten what nobody reads: chains take less than they might.)
    let packed = TensorStorage(byteCount: bytes, zeroed: isDepthwise)
    var sums = [Int32](repeating: 0, count: padded)
    let to = packed.base
    weight.withUnsafeBytes { bytes in
      let from = bytes.baseAddress!
      switch (isDepthwise, isInteger) {
      case (false, true): octet_conv_pack(family, &shape, from, to, &sums)
      case (false, false): octet_conv_pack(family, &shape, from, to, nil)
      case (true, true):
        octet_depthwise_pack_s8(
          layout, from.assumingMemoryBound(to: Int8.self), outputs, shape.kernel_h, shape.kernel_w, to, &sums)
      case (true, false):
        octet_depthwise_pack_f32(
          from.assumingMemoryBound(to: Float.self), outputs, taps, to.assumingMemoryBound(to: Float.self))
      }
    }
    func byChannel(_ values: [Float]) -> [Float] {
      inPanels(values, channels: outputs, groups: isDepthwise ? 1 : groups, padded: padded)
    }
    self.isInteger = isInteger
    self.isDepthwise = isDepthwise
    self.shape = shape
    self.packed = packed
    self.sums = sums
    self.scales = byChannel(scales)
    biases = byChannel(try bias?.scalars(as: Float.self) ?? [0])
  }

  /// Elements of the arrays by channel.
  var paddedChannels: Int { sums.count }

  /// What does not depend on activations, at addresses that stay.
  func constants() -> ChannelConstants { ChannelConstants(sums: sums, scales: scales, biases: biases) }

  /// The epilogue for given slots. The residual's address is set when it runs.
  func epilogue(
    _ activation: Activation?, _ memory: Memory, input: Int, output: Int, residual: Int?
  ) -> octet_epilogue {
    let constants = EpilogueConstants(count: sums.count)
    var (epilogue, outputScale) = memory.epilogue(activation, output: output)
    if isInteger {
      let from = memory.quantization(input)
      for c in sums.indices {
        constants.initial[c] = -Int32(from.zero) * sums[c]
        constants.scale[c] = from.scale * scales[c] / outputScale
      }
      if let quantization = residual.flatMap({ memory.shapes.slots[$0].quantization }) {
        epilogue.residual_zero = Int32(quantization.zero)
        epilogue.residual_scale = quantization.scale / outputScale
      }
    }
    for c in sums.indices { constants.bias[c] = biases[c] / outputScale }
    epilogue.initial = UnsafePointer(constants.initial)
    epilogue.scale = UnsafePointer(constants.scale)
    epilogue.bias = UnsafePointer(constants.bias)
    if isInteger {
      let depth = shape.in_c / shape.groups * shape.kernel_h * shape.kernel_w
      epilogue.fits_int32 = octet_epilogue_fits_int32(&epilogue, sums.count, depth)
    }
    memory.keep(constants)
    return epilogue
  }
}

/// By channel: Σ w, the scale of the weight, the real bias, and zeros, 64-byte aligned.
final class ChannelConstants: Sendable {
  private let storage: TensorStorage
  nonisolated(unsafe) let sums: UnsafeMutablePointer<Int32>
  nonisolated(unsafe) let scale: UnsafeMutablePointer<Float>
  nonisolated(unsafe) let bias: UnsafeMutablePointer<Float>
  nonisolated(unsafe) let zeros: UnsafeMutablePointer<Int32>

  init(sums: [Int32], scales: [Float], biases: [Float]) {
    let stride = aligned(sums.count * 4)
    storage = TensorStorage(byteCount: 4 * stride)
    self.sums = storage.base.assumingMemoryBound(to: Int32.self)
    scale = (storage.base + stride).assumingMemoryBound(to: Float.self)
    bias = (storage.base + 2 * stride).assumingMemoryBound(to: Float.self)
    zeros = (storage.base + 3 * stride).assumingMemoryBound(to: Int32.self)
    self.sums.update(from: sums, count: sums.count)
    scale.update(from: scales, count: scales.count)
    bias.update(from: biases, count: biases.count)
  }
}

/// The arrays of an epilogue, 64-byte aligned.
final class EpilogueConstants {
  private let storage: TensorStorage
  let initial: UnsafeMutablePointer<Int32>
  let scale: UnsafeMutablePointer<Float>
  let bias: UnsafeMutablePointer<Float>

  init(count: Int) {
    let stride = (count * 4 + 63) / 64 * 64
    storage = TensorStorage(byteCount: 3 * stride)
    initial = storage.base.assumingMemoryBound(to: Int32.self)
    scale = (storage.base + stride).assumingMemoryBound(to: Float.self)
    bias = (storage.base + 2 * stride).assumingMemoryBound(to: Float.self)
  }
}
