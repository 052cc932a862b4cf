import CKernels
import Testing

@Suite struct PackingTests {
  @Test(arguments: InstructionSet.supported)
  func `packed weights do not depend on the image`(set: InstructionSet) {
    var family = set.isa.int8
    var packings: [[UInt8]] = []
    for (height, pad) in [(5, 0), (9, 1), (33, 1)] {
      var shape = octet_conv_shape.convolution(height, height + 1, 5, 20, pad: (pad, pad))
      var random = SeededGenerator(seed: 1)
      let weights = random.signedBytes(20 * 5 * 9)
      let packed = GuardedMemory<UInt8>(count: octet_conv_packed_size(&family, &shape), alignment: 64)
      octet_conv_pack(&family, &shape, weights, packed.pointer, nil)
      packings.append(packed.values)
    }
    #expect(packings[0] == packings[1] && packings[0] == packings[2])
  }
}
