import CKernelProblems
import Octet

/// The smallest int8 product there is: one byte times one weight, to one byte. What it takes is calling.
final class SmallestProduct {
  private var call = octet_conv_call()
  private let memory: UnsafeMutableRawPointer
  private static let (input, weight): (UInt8, Int8) = (3, 5)

  init(on set: InstructionSet) {
    var shape = octet_conv_shape(
      in_h: 1, in_w: 1, in_c: 1, out_h: 1, out_w: 1, out_c: 1, kernel_h: 1, kernel_w: 1, stride_h: 1, stride_w: 1,
      dilation_h: 1, dilation_w: 1, pad_top: 0, pad_left: 0, groups: 1)
    let family = set.int8
    let channels = octet_conv_padded_channels(family, &shape)

    // Everything in one block, each part on a cache line of its own.
    func lines(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
    let sizes = [
      64, 64, channels * 4, channels * 4, channels * 4, octet_conv_packed_size(family, &shape),
      octet_conv_scratch_size(family, &shape),
    ].map(lines)
    memory = .allocate(byteCount: sizes.reduce(0, +), alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: sizes.reduce(0, +))
    let parts = sizes.indices.map { memory + sizes[..<$0].reduce(0, +) }

    parts[0].storeBytes(of: Self.input, as: UInt8.self)
    let scales = parts[3].bindMemory(to: Float.self, capacity: channels)
    scales[0] = 1
    withUnsafePointer(to: Self.weight) { octet_conv_pack(family, &shape, $0, parts[5], nil) }
    var epilogue = octet_epilogue()
    epilogue.output = OCTET_OUTPUT_UINT8
    epilogue.initial = UnsafePointer(parts[2].bindMemory(to: Int32.self, capacity: channels))
    epilogue.scale = UnsafePointer(scales)
    epilogue.bias = UnsafePointer(parts[4].bindMemory(to: Float.self, capacity: channels))
    (epilogue.lower, epilogue.upper) = (0, 255)
    epilogue.fits_int32 = octet_epilogue_fits_int32(&epilogue, channels, 1)
    call = octet_conv_call(
      family: family, shape: shape, epilogue: epilogue, input: UnsafeRawPointer(parts[0]),
      packed: UnsafeRawPointer(parts[5]), output: parts[1], scratch: parts[6])
  }

  deinit { memory.deallocate() }

  /// Whether the last calls gave the right byte; forgets it.
  func takeResult() -> Bool {
    defer { call.output.storeBytes(of: 0, as: UInt8.self) }
    return call.output.load(as: UInt8.self) == Self.input * UInt8(Self.weight)
  }

  /// Runs the kernel so many times in a loop of C.
  func runFromC(times: Int) { octet_conv_call_repeat(&call, times) }

  /// What a step of the engine is: a closure that keeps copies of shape and epilogue, and calls the kernel with them.
  var work: () -> Void {
    let (family, input, packed) = (call.family, call.input, call.packed)
    let (shape, epilogue, output, scratch) = (call.shape, call.epilogue, call.output, call.scratch)
    return {
      var shape = shape
      var epilogue = epilogue
      octet_conv_run(family, &shape, 1, input, 0, packed, &epilogue, output, 1, 0, 1, scratch)
    }
  }
}
