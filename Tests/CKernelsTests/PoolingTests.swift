import CKernels
import Testing

@Suite struct PoolingTests {
  static let windows: [octet_window] = {
    var windows: [octet_window] = []
    for channels in [1, 5, 8, 16, 17, 31, 32, 33, 70] {
      for (kernel, stride, dilation, pad, ceil) in [
        (2, 2, 1, 0, 0), (3, 2, 1, 1, 0), (3, 1, 2, 1, 0), (3, 2, 1, 0, 1), (7, 7, 1, 0, 0),
      ] {
        let size = { (n: Int) in (n + 2 * pad - (kernel - 1) * dilation - 1 + ceil) / stride + 1 }
        for include in [false, true] {
          windows.append(
            octet_window(
              in_h: 7, in_w: 10, channels: channels, out_h: size(7), out_w: size(10), kernel_h: kernel,
              kernel_w: kernel, stride_h: stride, stride_w: stride, dilation_h: dilation,
              dilation_w: dilation, pad_top: pad, pad_left: pad, count_include_pad: include))
        }
      }
    }
    return windows
  }()

  private let batch = 2

  private func outputs(_ w: octet_window) -> Int { batch * w.out_h * w.out_w * w.channels }
  private func inputs(_ w: octet_window) -> Int { batch * w.in_h * w.in_w * w.channels }

  @Test func `maximum of bytes`() {
    for var window in Self.windows {
      var random = SeededGenerator(seed: window.channels)
      let input = GuardedMemory(random.bytes(inputs(window)))
      let expected = Oracle.pool(window, batch: batch, input: input.values) { $0.max() ?? 0 }
      for set in InstructionSet.supported {
        let output = GuardedMemory<UInt8>(count: outputs(window))
        let rows = batch * window.out_h
        set.isa.max_pool_u8(&window, input.pointer, output.pointer, 2, rows)
        set.isa.max_pool_u8(&window, input.pointer, output.pointer, 0, 2)
        #expect(output.values == expected, "\(set), \(window)")
      }
      withExtendedLifetime(input) {}
    }
  }

  @Test func `maximum of floats`() {
    for var window in Self.windows {
      var random = SeededGenerator(seed: window.channels)
      let input = GuardedMemory(random.floats(inputs(window)))
      let expected = Oracle.pool(window, batch: batch, input: input.values) { $0.max() ?? -.infinity }
      for set in InstructionSet.supported {
        let output = GuardedMemory<Float>(count: outputs(window))
        set.isa.max_pool_f32(&window, input.pointer, output.pointer, 0, batch * window.out_h)
        #expect(output.values == expected, "\(set), \(window)")
      }
      withExtendedLifetime(input) {}
    }
  }

  @Test func `average of bytes`() {
    for var window in Self.windows {
      var random = SeededGenerator(seed: window.channels)
      let input = GuardedMemory(random.bytes(inputs(window)))
      let zero = Int32(random.next() % 256)
      let scale: Float = 1.3
      let expected = Oracle.pool(window, batch: batch, input: input.values) { values in
        let sum = values.reduce(Int32(0)) { $0 + Int32($1) - zero }
        let count = window.count_include_pad ? window.kernel_h * window.kernel_w : values.count
        return Oracle.byte(Float(sum) * (1 / Float(count)) * scale, lower: -11, upper: 244, zero: 11)
      }
      for set in InstructionSet.supported {
        let output = GuardedMemory<UInt8>(count: outputs(window))
        set.isa.average_pool_u8(
          &window, input.pointer, zero, scale, 11, -11, 244, output.pointer, 0, batch * window.out_h)
        #expect(output.values == expected, "\(set), \(window)")
      }
      withExtendedLifetime(input) {}
    }
  }

  @Test func `average of floats`() {
    for var window in Self.windows {
      var random = SeededGenerator(seed: window.channels)
      let input = GuardedMemory(random.floats(inputs(window)))
      let expected = Oracle.pool(window, batch: batch, input: input.values) { values in
        let count = window.count_include_pad ? window.kernel_h * window.kernel_w : values.count
        return values.reduce(0, +) / Float(count)
      }
      for set in InstructionSet.supported {
        let output = GuardedMemory<Float>(count: outputs(window))
        set.isa.average_pool_f32(&window, input.pointer, output.pointer, 0, batch * window.out_h)
        #expect(output.values == expected, "\(set), \(window)")
      }
      withExtendedLifetime(input) {}
    }
  }
}
