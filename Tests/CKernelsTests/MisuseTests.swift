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

  @Test func `weights of few bits`() {
    func refusal(_ rows: Int = 1, _ change: (inout octet_weights_shape) -> Void) -> String? {
      var shape = octet_weights_shape(n: 5, k: 70, bits: 4, is_signed: true, group: 32, has_zeros: false)
      change(&shape)
      return octet_weights_refusal(&shape, rows).map { String(cString: $0) }
    }
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0.group = 0 } == nil)
    #expect(refusal { $0.n = 0 } == "there are no channels")
    #expect(refusal { $0.k = 0 } == "there is no input")
    #expect(refusal(0) { _ in } == "there is no input")
    for bits in [Int32(0), 1, 3, 5, 16, -4] {
      #expect(refusal { $0.bits = bits } == "weights have neither 4 nor 8 bits")
    }
    for group in [1, 16, 33, 48] { #expect(refusal { $0.group = group } == "groups are not of a multiple of 32") }
    #expect(refusal { $0.n = Int.max } == "sizes overflow")
    #expect(refusal { $0.k = Int.max - 31 } == "sizes overflow")
    #expect(refusal(Int.max) { _ in } == "sizes overflow")
    #expect(refusal { ($0.n, $0.k) = (1 << 31, 1 << 31) } == "sizes overflow")
  }

  /// Half a byte or a byte for each weight, and 4 bytes for each scale, up to whole panels.
  @Test(arguments: InstructionSet.supported)
  func `packed weights take no more than they need`(set: InstructionSet) {
    var family = set.isa.weights
    for (bits, group) in [(4, 32), (4, 128), (8, 0), (8, 32)] {
      var shape = octet_weights_shape(
        n: 256, k: 1024, bits: Int32(bits), is_signed: true, group: group, has_zeros: false)
      let scales = group == 0 ? 256 : 256 * 1024 / group
      #expect(octet_weights_packed_size(&family, &shape) == 256 * 1024 * bits / 8 + scales * 4)
    }
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
