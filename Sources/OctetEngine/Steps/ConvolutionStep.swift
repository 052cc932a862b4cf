import CKernels
import OctetCore

/// Dense or grouped convolution, and linear layers as its 1×1 case.
struct ConvolutionStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let weights: ConvolutionWeights
  let attributes: Op.Convolution
  /// A linear layer: the last axis is the channels, all others are rows.
  let isLinear: Bool

  var isInteger: Bool { weights.isInteger }
  var label: String {
    let kind = isLinear ? "linear" : weights.isDepthwise ? "depthwise conv" : "conv"
    return kind + (attributes.activation.map { " + \($0)" } ?? "") + (inputs.count > 1 ? " + residual" : "")
  }

  private func family(_ memory: Memory) -> UnsafePointer<octet_gemm_family> {
    isInteger ? memory.int8 : memory.float32
  }

  /// The shape of one image (a linear layer: of all rows), and the number of images.
  private func geometry(_ shapes: Shapes) -> (shape: octet_conv_shape, batch: Int) {
    let from = shapes.shape(inputs[0])
    let to = shapes.shape(output)
    var shape = weights.shape
    if isLinear {
      shape.in_h = elementCount(of: Array(from.dropLast()))
      shape.out_h = shape.in_h
      (shape.in_w, shape.out_w) = (1, 1)
      return (shape, 1)
    }
    (shape.in_h, shape.in_w, shape.out_h, shape.out_w) = (from[2], from[3], to[2], to[3])
    return (shape, from[0])
  }

  func scratchSize(_ shapes: Shapes) -> Int {
    if weights.isDepthwise { return 0 }
    var (shape, _) = geometry(shapes)
    return octet_conv_scratch_size(isInteger ? InstructionSet.current.int8 : InstructionSet.current.float32, &shape)
  }

  func call(_ memory: Memory) -> Call {
    let (shape, batch) = geometry(memory.shapes)
    let (from, to) = (inputs[0], output)
    let residual = inputs.count > 1 ? inputs[1] : nil
    let epilogue = weights.epilogue(attributes.activation, memory, input: from, output: to, residual: residual)
    let inputZero = isInteger ? UInt8(memory.quantization(from).zero) : 0
    let weights = self.weights

    if weights.isDepthwise { return bindDepthwise(memory, shape, batch, epilogue, inputZero) }
    let family = family(memory)
    var shapeForTasks = shape
    let tasks = octet_conv_tasks(family, &shapeForTasks, batch, memory.shapes.threads)
    // No images, or no rows.
    if tasks == 0 { return Call(items: 0) { _, _ in } }
    // A few runs of tasks for each thread: enough to balance, not so many that tiles lose their neighbours.
    let items = memory.shapes.threads == 1 ? 1 : min(tasks, memory.shapes.threads * 4)
    return Call(items: items) { item, worker in
      var shape = shape
      var epilogue = epilogue
      if let residual { epilogue.residual = UnsafeRawPointer(memory.addresses[residual]) }
      octet_conv_run(
        family, &shape, batch, memory.addresses[from], inputZero, weights.packed.base, &epilogue, memory.addresses[to],
        tasks, tasks * item / items, tasks * (item + 1) / items, memory.scratch(worker))
    }
  }

  private func bindDepthwise(
    _ memory: Memory, _ shape: octet_conv_shape, _ batch: Int, _ epilogue: octet_epilogue, _ inputZero: UInt8
  ) -> Call {
    let window = octet_window(
      in_h: shape.in_h, in_w: shape.in_w, channels: shape.in_c, out_h: shape.out_h, out_w: shape.out_w,
      kernel_h: shape.kernel_h, kernel_w: shape.kernel_w, stride_h: shape.stride_h, stride_w: shape.stride_w,
      dilation_h: shape.dilation_h, dilation_w: shape.dilation_w, pad_top: shape.pad_top, pad_left: shape.pad_left,
      count_include_pad: false)
    let (from, to) = (inputs[0], output)
    let residual = inputs.count > 1 ? inputs[1] : nil
    let weights = self.weights
    let kernels = memory.kernels
    let cost = shape.out_w * shape.out_c * shape.kernel_h * shape.kernel_w
    return memory.parts(batch * shape.out_h, cost: cost) { rows in
      var window = window
      var epilogue = epilogue
      if let residual { epilogue.residual = UnsafeRawPointer(memory.addresses[residual]) }
      if weights.isInteger {
        kernels.depthwise_u8(
          &window, memory.bytes(from), inputZero, weights.packed.base, &epilogue, memory.bytes(to), rows.lowerBound,
          rows.upperBound)
      } else {
        kernels.depthwise_f32(
          &window, memory.floats(from), weights.packed.base.assumingMemoryBound(to: Float.self), &epilogue,
          memory.floats(to), rows.lowerBound, rows.upperBound)
      }
    }
  }
}
