import CKernels

/// A random integer convolution with everything its epilogue may need, its exact answer, and a way to run it.
struct QuantizedConvolution {
  var shape: octet_conv_shape
  var batch = 1
  var input: [UInt8]
  var inputZero: UInt8
  var weights: [Int8]
  var bias: [Int32]
  var scale: [Float]
  var offset: [Float]
  var lower: Float = 0
  var upper: Float = 255
  var zero: Int32 = 0
  var residual: [UInt8]?
  var residualZero: Int32 = 7
  var residualScale: Float = 0.37

  var outputCount: Int { batch * shape.out_h * shape.out_w * shape.out_c }

  init(_ shape: octet_conv_shape, batch: Int = 1, inputZero: UInt8 = 0, residual: Bool = false, seed: Int) {
    var random = SeededGenerator(seed: seed)
    self.shape = shape
    self.batch = batch
    self.inputZero = inputZero
    input = random.bytes(batch * shape.in_h * shape.in_w * shape.in_c)
    let depth = shape.in_c / shape.groups * shape.kernel_h * shape.kernel_w
    weights = random.signedBytes(shape.out_c * depth)
    bias = (0..<shape.out_c).map { _ in Int32.random(in: -5000...5000, using: &random) }
    // Outputs spread over about one and a half times the range of a byte.
    let spread = 200 / (6000 * Float(depth).squareRoot())
    scale = random.floats(shape.out_c, in: spread * 0.5...spread)
    offset = random.floats(shape.out_c, in: 0...200)
    if residual { self.residual = random.bytes(batch * shape.out_h * shape.out_w * shape.out_c) }
  }

  /// Everything the epilogue says, in the oracle's words. `sums` are exact.
  func sums() -> [Int32] {
    let exact = Oracle.convolution(
      shape, batch: batch, input: input.map(Int32.init), zero: Int32(inputZero), weights: weights.map(Int32.init))
    return exact.enumerated().map { $1 + bias[$0 % shape.out_c] }
  }
  func reals(_ sums: [Int32]) -> [Float] {
    sums.enumerated().map { index, sum in
      let channel = index % shape.out_c
      let real = Float(sum) * scale[channel] + offset[channel]
      guard let residual else { return real }
      return real + Float(Int32(residual[index]) - residualZero) * residualScale
    }
  }
  func bytes(_ sums: [Int32]) -> [UInt8] {
    reals(sums).map { Oracle.byte($0, lower: lower, upper: upper, zero: zero) }
  }
  func floats(_ sums: [Int32]) -> [Float] { reals(sums).map { min(max($0, lower), upper) } }

  /// Arrays by channel stand in groups of whole panels.
  private func padded<T>(_ values: [T], to count: Int, filler: T) -> [T] {
    let perGroup = shape.out_c / shape.groups
    let paddedGroup = count / shape.groups
    var result = [T](repeating: filler, count: count)
    for (channel, value) in values.enumerated() {
      result[channel / perGroup * paddedGroup + channel % perGroup] = value
    }
    return result
  }

  /// `spoilingPanels` writes over the weights that stand first in the packed ones: what is right nevertheless used
  /// others.
  func run<Output>(
    _ set: InstructionSet, _ kind: octet_output, as: Output.Type, threads: Int = 1, spoilingPanels: Bool = false
  ) -> [Output] {
    var family = set.isa.int8
    var s = shape
    let channels = octet_conv_padded_channels(&family, &s)
    let packed = GuardedMemory<UInt8>(count: octet_conv_packed_size(&family, &s), alignment: 64)
    let sums = GuardedMemory<Int32>(count: channels)
    let plain = GuardedMemory(weights)
    octet_conv_pack(&family, &s, plain.pointer, packed.pointer, sums.pointer)
    if spoilingPanels {
      for i in 0..<channels * (weights.count / shape.out_c) { packed.pointer[i] ^= 0x55 }
    }
    let biases = padded(bias, to: channels, filler: 0)
    let initial = GuardedMemory(zip(sums.values, biases).map { $1 - Int32(inputZero) * $0 })
    let scales = GuardedMemory(padded(scale, to: channels, filler: 0))
    let offsets = GuardedMemory(padded(offset, to: channels, filler: 0))
    let residuals = residual.map { GuardedMemory($0) }
    let source = GuardedMemory(input)
    let output = GuardedMemory<Output>(count: outputCount)
    let scratch = GuardedMemory<UInt8>(count: octet_conv_scratch_size(&family, &s), alignment: 64)
    var epilogue = octet_epilogue(
      output: kind, initial: initial.pointer, scale: scales.pointer, bias: offsets.pointer, lower: lower,
      upper: upper, zero: zero, residual: residuals.map { UnsafeRawPointer($0.pointer) },
      residual_zero: residualZero, residual_scale: residualScale, weight_zero: nil, fits_int32: false)
    let tasks = octet_conv_tasks(&family, &s, batch, threads)
    // In reverse, as threads might: tasks must not depend on each other. The second half in one call, for what one
    // task leaves in the scratch must not matter to the next either.
    for task in [tasks / 2..<tasks] + (0..<tasks / 2).reversed().map({ $0..<$0 + 1 }) {
      octet_conv_run(
        &family, &s, batch, source.pointer, inputZero, packed.pointer, &epilogue, output.pointer, tasks,
        task.lowerBound, task.upperBound, scratch.pointer)
    }
    return withExtendedLifetime((plain, packed, initial, scales, offsets, residuals, source, scratch)) { output.values }
  }
}

extension octet_conv_shape {
  static func gemm(_ m: Int, _ n: Int, _ k: Int) -> octet_conv_shape {
    octet_conv_shape(
      in_h: m, in_w: 1, in_c: k, out_h: m, out_w: 1, out_c: n, kernel_h: 1, kernel_w: 1, stride_h: 1, stride_w: 1,
      dilation_h: 1, dilation_w: 1, pad_top: 0, pad_left: 0, groups: 1)
  }

  /// Output sizes follow; `extra` is padding at the bottom and right beyond that at the top and left.
  static func convolution(
    _ height: Int, _ width: Int, _ inputs: Int, _ outputs: Int, kernel: (Int, Int) = (3, 3),
    stride: (Int, Int) = (1, 1), dilation: (Int, Int) = (1, 1), pad: (Int, Int) = (0, 0), extra: (Int, Int) = (0, 0),
    groups: Int = 1
  ) -> octet_conv_shape {
    let reachY = (kernel.0 - 1) * dilation.0 + 1
    let reachX = (kernel.1 - 1) * dilation.1 + 1
    return octet_conv_shape(
      in_h: height, in_w: width, in_c: inputs, out_h: (height + 2 * pad.0 + extra.0 - reachY) / stride.0 + 1,
      out_w: (width + 2 * pad.1 + extra.1 - reachX) / stride.1 + 1, out_c: outputs, kernel_h: kernel.0,
      kernel_w: kernel.1, stride_h: stride.0, stride_w: stride.1, dilation_h: dilation.0, dilation_w: dilation.1,
      pad_top: pad.0, pad_left: pad.1, groups: groups)
  }
}
