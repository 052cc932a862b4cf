import CKernels
import Testing

@Suite struct LayoutTests {
  @Test(arguments: InstructionSet.supported)
  func `to pixels with channels and back`(set: InstructionSet) {
    for channels in [1, 2, 3, 4, 5, 16, 31, 32, 33, 64, 100] {
      for pixels in [1, 2, 7, 16, 31, 33, 64, 81, 130] {
        var random = SeededGenerator(seed: channels * 1000 + pixels)
        let bytes = GuardedMemory(random.bytes(channels * pixels))
        let floats = GuardedMemory(random.floats(channels * pixels))
        let there = GuardedMemory<UInt8>(count: channels * pixels)
        let back = GuardedMemory<UInt8>(count: channels * pixels)
        let thereFloats = GuardedMemory<Float>(count: channels * pixels)
        let backFloats = GuardedMemory<Float>(count: channels * pixels)
        set.isa.to_nhwc_u8(bytes.pointer, channels, pixels, there.pointer)
        set.isa.to_nchw_u8(there.pointer, channels, pixels, back.pointer)
        set.isa.to_nhwc_f32(floats.pointer, channels, pixels, thereFloats.pointer)
        set.isa.to_nchw_f32(thereFloats.pointer, channels, pixels, backFloats.pointer)
        let places = (0..<channels * pixels).map { $0 % channels * pixels + $0 / channels }
        #expect(there.values == places.map { bytes.elements[$0] }, "\(channels) × \(pixels)")
        #expect(thereFloats.values == places.map { floats.elements[$0] }, "\(channels) × \(pixels)")
        #expect(back.values == bytes.values && backFloats.values == floats.values)
      }
    }
  }
}
