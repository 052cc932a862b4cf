import CKernels
import Testing

@Suite struct DepthwiseTests {
  static let windows: [octet_window] = {
    var windows: [octet_window] = []
    for channels in [1, 3, 7, 8, 16, 24, 33, 65] {
      for (stride, dilation, pad) in [(1, 1, 1), (2, 1, 1), (1, 2, 2), (1, 1, 0), (2, 1, 2)] {
        let kernel = pad == 2 && stride == 2 ? 5 : 3
        let size = { (n: Int) in (n + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1 }
        windows.append(
          octet_window(
            in_h: 9, in_w: 14, channels: channels, out_h: size(9), out_w: size(14), kernel_h: kernel,
            kernel_w: kernel, stride_h: stride, stride_w: stride, dilation_h: dilation, dilation_w: dilation,
            pad_top: pad, pad_left: pad, count_include_pad: false))
      }
    }
    return windows
  }()

  /// The same thing as a convolution with one group per channel.
  private func shape(_ w: octet_window) -> octet_conv_shape {
    octet_conv_shape(
      in_h: w.in_h, in_w: w.in_w, in_c: w.channels, out_h: w.out_h, out_w: w.out_w, out_c: w.channels,
      kernel_h: w.kernel_h, kernel_w: w.kernel_w, stride_h: w.stride_h, stride_w: w.stride_w,
      dilation_h: w.dilation_h, dilation_w: w.dilation_w, pad_top: w.pad_top, pad_left: w.pad_left,
      groups: w.channels)
  }

  private func run<Output>(
    _ set: InstructionSet, _ window: octet_window, _ c: QuantizedConvolution, _ kind: octet_output, as: Output.Type
  ) -> [Output] {
    var window = window
    let packed = GuardedMemory<Int8>(count: c.weights.count)
    let sums = GuardedMemory<Int32>(count: window.channels)
    octet_depthwise_pack_s8(
      c.weights, window.channels, window.kernel_h * window.kernel_w, packed.pointer, sums.pointer)
    let initial = GuardedMemory(zip(sums.values, c.bias).map { $1 - Int32(c.inputZero) * $0 })
    let scale = GuardedMemory(c.scale)
    let offset = GuardedMemory(c.offset)
    let residual = c.residual.map { GuardedMemory($0) }
    let input = GuardedMemory(c.input)
    let output = GuardedMemory<Output>(count: c.outputCount)
    var epilogue = octet_epilogue(
      output: kind, initial: initial.pointer, scale: scale.pointer, bias: offset.pointer, lower: c.lower,
      upper: c.upper, zero: c.zero, residual: residual.map { UnsafeRawPointer($0.pointer) },
      residual_zero: c.residualZero, residual_scale: c.residualScale)
    let rows = c.batch * window.out_h
    output.pointer.withMemoryRebound(to: UInt8.self, capacity: c.outputCount) { bytes in
      for (first, last) in [(rows / 3, rows), (0, rows / 3)] {
        set.isa.depthwise_u8(
          &window, input.pointer, c.inputZero, packed.pointer, &epilogue, bytes, first, last)
      }
    }
    return withExtendedLifetime((packed, initial, scale, offset, residual, input)) { output.values }
  }

  @Test func `bytes, every instruction set`() {
    for (index, window) in Self.windows.enumerated() {
      var c = QuantizedConvolution(
        shape(window), batch: 2, inputZero: [0, 255, 100][index % 3], residual: index % 2 == 0, seed: index)
      if index % 5 == 0 {
        c.input = c.input.map { _ in 255 }
        c.weights = c.weights.map { _ in -128 }
      }
      let sums = c.sums()
      for set in InstructionSet.supported {
        let bytes = run(set, window, c, OCTET_OUTPUT_UINT8, as: UInt8.self)
        #expect(bytes == c.bytes(sums), "\(set), \(window)")
        #expect(run(set, window, c, OCTET_OUTPUT_INT32, as: Int32.self) == sums, "\(set), \(window)")
        let floats = run(set, window, c, OCTET_OUTPUT_FLOAT32, as: Float.self)
        #expect(floats == c.floats(sums), "\(set), \(window)")
      }
    }
  }

  @Test func `floats against double precision`() {
    for (index, plain) in Self.windows.enumerated() {
      var window = plain
      var random = SeededGenerator(seed: index)
      let taps = window.kernel_h * window.kernel_w
      let input = random.floats(window.in_h * window.in_w * window.channels)
      let weights = random.floats(window.channels * taps)
      let bias = random.floats(window.channels)
      let exact = Oracle.convolution(
        shape(window), batch: 1, input: input.map(Double.init), zero: 0, weights: weights.map(Double.init))
      let expected = exact.enumerated().map { max($1 + Double(bias[$0 % window.channels]), 0) }
      let packed = GuardedMemory<Float>(count: weights.count)
      octet_depthwise_pack_f32(weights, window.channels, taps, packed.pointer)
      let source = GuardedMemory(input)
      let biases = GuardedMemory(bias)
      for set in InstructionSet.supported {
        let output = GuardedMemory<Float>(count: exact.count)
        var epilogue = octet_epilogue()
        epilogue.output = OCTET_OUTPUT_FLOAT32
        epilogue.bias = UnsafePointer(biases.pointer)
        epilogue.upper = .infinity
        set.isa.depthwise_f32(
          &window, source.pointer, packed.pointer, &epilogue, output.pointer, 0, window.out_h)
        let worst = zip(output.values, expected).map { abs(Double($0) - $1) }.max()!
        #expect(worst < 1e-5, "\(set), \(window)")
      }
      withExtendedLifetime((packed, source, biases)) {}
    }
  }
}
