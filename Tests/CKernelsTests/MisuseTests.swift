import CKernels
import Testing

/// Kernels never fail; what they could fail at is refused before.
@Suite struct MisuseTests {
  static let fine = octet_conv_shape.convolution(8, 9, 12, 20, pad: (1, 1), groups: 2)

  private func refusal(_ batch: Int = 1, integers: Bool = true, _ change: (inout octet_conv_shape) -> Void) -> String? {
    var shape = Self.fine
    change(&shape)
    return octet_conv_refusal(&shape, batch, integers).map { String(cString: $0) }
  }

  @Test func `convolutions`() {
    #expect(refusal { _ in } == nil)
    #expect(refusal(0) { _ in } == "there is no input")
    #expect(refusal { $0.in_h = 0 } == "there is no input")
    #expect(refusal { $0.in_w = 0 } == "there is no input")
    #expect(refusal { $0.out_h = 0 } == "there is no output")
    #expect(refusal { $0.out_w = 0 } == "there is no output")
    #expect(refusal { $0.in_c = 0 } == "there are no channels")
    #expect(refusal { $0.out_c = 0 } == "there are no channels")
    #expect(refusal { $0.kernel_h = 0 } == "the kernel is empty")
    #expect(refusal { $0.kernel_w = 0 } == "the kernel is empty")
    #expect(refusal { $0.stride_h = 0 } == "a stride is 0")
    #expect(refusal { $0.stride_w = 0 } == "a stride is 0")
    #expect(refusal { $0.dilation_h = 0 } == "a dilation is 0")
    #expect(refusal { $0.dilation_w = 0 } == "a dilation is 0")
    for groups in [0, 3, 5, 24] {
      #expect(refusal { $0.groups = groups } == "channels are not divisible by groups")
    }
  }

  @Test func `sizes beyond what memory holds`() {
    for path in [
      \octet_conv_shape.in_h, \.in_w, \.out_h, \.out_w, \.kernel_h, \.kernel_w, \.stride_h, \.stride_w, \.dilation_h,
      \.dilation_w, \.pad_top, \.pad_left,
    ] {
      for size in [Int.max, Int.max / 2] {
        #expect(refusal { $0[keyPath: path] = size } == "sizes overflow", "\(path) \(size)")
      }
    }
    for path in [\octet_conv_shape.in_h, \.out_w, \.kernel_h, \.stride_w, \.dilation_h] {
      #expect(refusal { $0[keyPath: path] = -1 } == "sizes overflow", "\(path)")
    }
    #expect(refusal { $0.pad_top = -1 } == "a padding is negative")
    #expect(refusal { $0.pad_left = -1 } == "a padding is negative")
    #expect(refusal(Int.max) { _ in } == "sizes overflow")
    #expect(refusal { ($0.in_c, $0.out_c) = (1 << 32, 1 << 32) } == "sizes overflow")
  }

  /// 65,793 products of 255 and −128 are the most that int32 holds.
  @Test func `sums beyond int32`() {
    func depth(_ k: Int, integers: Bool = true) -> String? {
      refusal(integers: integers) { $0 = .gemm(2, 3, k) }
    }
    #expect(depth(65793) == nil)
    #expect(depth(65794) == "sums overflow int32")
    #expect(depth(65794, integers: false) == nil)
    #expect(refusal { ($0.in_c, $0.groups) = (2 * 65793 / 9, 2) } == nil)
    #expect(refusal { ($0.in_c, $0.groups) = (2 * (65793 / 9 + 1), 2) } == "sums overflow int32")
  }

  @Test func `windows`() {
    func refusal(_ batch: Int = 1, _ change: (inout octet_window) -> Void) -> String? {
      var window = octet_window(
        in_h: 7, in_w: 8, channels: 3, out_h: 5, out_w: 6, kernel_h: 3, kernel_w: 3, stride_h: 1, stride_w: 1,
        dilation_h: 1, dilation_w: 1, pad_top: 0, pad_left: 0, count_include_pad: false)
      change(&window)
      return octet_window_refusal(&window, batch).map { String(cString: $0) }
    }
    #expect(refusal { _ in } == nil)
    #expect(refusal(0) { _ in } == "there is no input")
    #expect(refusal { $0.in_w = 0 } == "there is no input")
    #expect(refusal { $0.out_h = 0 } == "there is no output")
    #expect(refusal { $0.channels = 0 } == "there are no channels")
    #expect(refusal { $0.kernel_w = 0 } == "the kernel is empty")
    #expect(refusal { $0.stride_h = 0 } == "a stride is 0")
    #expect(refusal { $0.dilation_w = 0 } == "a dilation is 0")
    #expect(refusal { $0.pad_left = Int.max } == "sizes overflow")
    #expect(refusal { ($0.in_h, $0.in_w) = (1 << 31, 1 << 31) } == "sizes overflow")
    #expect(refusal { ($0.kernel_h, $0.kernel_w) = (300, 300) } == "sums overflow int32")
  }
}
