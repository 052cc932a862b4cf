import CKernels
import OctetCore

/// The weights of a transposed convolution in the kernels' layout: one set for each phase of output pixels.
struct TransposedWeights: Sendable {
  let isInteger: Bool
  /// Everything but the sizes of the image.
  let shape: octet_conv_shape
  let packed: TensorStorage
  /// [phases][padded channels]: Σ w
  private let sums: [Int32]
  /// By channel, padded as the kernels want it: the scale of the weight, and the real bias.
  private let scales: [Float]
  private let biases: [Float]

  /// - Parameters:
  ///   - weight: int8 or float32 [i, o / groups, kh, kw] or [i, o / groups, k]
  ///   - scales: one, or one for each index of axis 1, whatever the group; `nil`: float weights
  ///   - bias: float32 [o]
  /// - Throws: `OctetError` (`notANumber`) if the bias of integers is not finite.
  init(weight: Tensor, scales: [Float]?, bias: Tensor?, _ attributes: Op.ConvTranspose) throws {
    if scales != nil, let odd = try bias?.scalars(as: Float.self).first(where: { !$0.isFinite }) {
      throw OctetError(.notANumber, "bias", expected: "finite numbers", found: "\(odd)")
    }
    let kernel = imageShape(weight.shape)
    let (groups, perGroup) = (attributes.groups, kernel[1])
    let outputs = perGroup * groups
    var shape = octet_conv_shape()
    (shape.in_c, shape.out_c, shape.groups) = (kernel[0], outputs, groups)
    (shape.kernel_h, shape.kernel_w) = (kernel[2], kernel[3])
    (shape.stride_h, shape.stride_w) = (attributes.stride.height, attributes.stride.width)
    (shape.dilation_h, shape.dilation_w) = (attributes.dilation.height, attributes.dilation.width)
    (shape.pad_top, shape.pad_left) = (attributes.padding.top, attributes.padding.left)
    // Packing does not depend on the image: one with a pixel in each phase will do.
    (shape.in_h, shape.in_w, shape.out_h, shape.out_w) = (1, 1, shape.stride_h, shape.stride_w)

    isInteger = scales != nil
    let family = isInteger ? InstructionSet.current.int8 : InstructionSet.current.float32
    let padded = octet_conv_padded_channels(family, &shape)
    let packed = TensorStorage(byteCount: octet_conv_transpose_packed_size(family, &shape))
    let reordered = TensorStorage(byteCount: weight.dtype.byteCount(of: elementCount(of: kernel)))
    var sums = [Int32](repeating: 0, count: padded * octet_conv_transpose_phases(&shape))
    let isInteger = self.isInteger
    weight.withUnsafeBytes { bytes in
      if isInteger {
        octet_conv_transpose_pack(family, &shape, bytes.baseAddress!, reordered.base, packed.base, &sums)
      } else {
        octet_conv_transpose_pack(family, &shape, bytes.baseAddress!, reordered.base, packed.base, nil)
      }
    }
    func byChannel(_ values: [Float]) -> [Float] {
      inPanels(values, channels: outputs, groups: groups, padded: padded)
    }
    self.scales = byChannel(scales ?? [1])
    biases = byChannel(try bias?.scalars(as: Float.self) ?? [0])
    self.shape = shape
    self.packed = packed
    self.sums = sums
  }

  func epilogue(_ activation: Activation?, _ memory: Memory, input: Int, output: Int) -> octet_epilogue {
    let constants = EpilogueConstants(count: sums.count)
    var (epilogue, outputScale) = memory.epilogue(activation, output: output)
    if isInteger {
      let from = memory.quantization(input)
      for index in sums.indices { constants.initial[index] = -Int32(from.zero) * sums[index] }
      for c in scales.indices { constants.scale[c] = from.scale * scales[c] / outputScale }
    }
    for c in biases.indices { constants.bias[c] = biases[c] / outputScale }
    epilogue.initial = UnsafePointer(constants.initial)
    epilogue.scale = UnsafePointer(constants.scale)
    epilogue.bias = UnsafePointer(constants.bias)
    memory.keep(constants)
    return epilogue
  }
}

/// Transposed convolution over NHWC.
struct TransposedConvolutionStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let weights: TransposedWeights
  let attributes: Op.ConvTranspose
  var label: String { "transposed conv" + (attributes.activation.map { " + \($0)" } ?? "") }

  private func geometry(_ shapes: Shapes) -> (shape: octet_conv_shape, batch: Int) {
    let (from, to) = (imageShape(shapes.shape(inputs[0])), imageShape(shapes.shape(output)))
    var shape = weights.shape
    (shape.in_h, shape.in_w, shape.out_h, shape.out_w) = (from[2], from[3], to[2], to[3])
    return (shape, from[0])
  }

  func scratchSize(_ shapes: Shapes) -> Int {
    var (shape, _) = geometry(shapes)
    let set = InstructionSet.current
    return octet_conv_transpose_scratch_size(weights.isInteger ? set.int8 : set.float32, &shape)
  }

  func call(_ memory: Memory) -> Call {
    let (shape, batch) = geometry(memory.shapes)
    let (from, to, weights, threads) = (inputs[0], output, weights, memory.shapes.threads)
    let epilogue = weights.epilogue(attributes.activation, memory, input: from, output: to)
    let inputZero = weights.isInteger ? UInt8(memory.quantization(from).zero) : 0
    let family = weights.isInteger ? memory.int8 : memory.float32
    var shapeForTasks = shape
    let tasks = batch == 0 ? 0 : octet_conv_transpose_tasks(family, &shapeForTasks, batch, threads)
    if tasks == 0 { return Call(items: 0) { _, _ in } }
    let items = threads == 1 ? 1 : min(tasks, threads * 4)
    return Call(items: items) { item, worker in
      var shape = shape
      var epilogue = epilogue
      octet_conv_transpose_run(
        family, &shape, batch, memory.addresses[from], inputZero, weights.packed.base, &epilogue, memory.addresses[to],
        threads, tasks * item / items, tasks * (item + 1) / items, memory.scratch(worker))
    }
  }
}
