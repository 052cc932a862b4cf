import CKernels
import Testing

@Suite struct ConvolutionTests {
  static let shapes: [octet_conv_shape] = {
    var shapes: [octet_conv_shape] = []
    for channels in [1, 3, 4, 5, 16, 33] {
      for (outputs, pad) in [(3, 0), (16, 1), (35, 2)] {
        shapes.append(.convolution(7, 6, channels, outputs, pad: (pad, pad)))
        shapes.append(.convolution(9, 8, channels, outputs, stride: (2, 2), pad: (pad, pad)))
        shapes.append(.convolution(8, 9, channels, outputs, dilation: (2, 3), pad: (pad, pad), extra: (1, 2)))
        shapes.append(.convolution(8, 7, channels, outputs, kernel: (2, 5), stride: (1, 3), pad: (0, pad)))
        shapes.append(.convolution(6, 6, channels, outputs, kernel: (1, 1), stride: (2, 1), pad: (pad, 0)))
        shapes.append(.convolution(5, 4, channels, outputs, kernel: (1, 1)))
        shapes.append(.convolution(5, 6, channels, outputs, kernel: (3, 1), dilation: (2, 1), extra: (3, 3)))
      }
    }
    for (groups, inputs, outputs) in [(2, 2, 4), (2, 8, 6), (3, 15, 51), (4, 16, 64), (5, 5, 5), (2, 66, 34)] {
      shapes.append(.convolution(6, 7, inputs, outputs, pad: (1, 1), groups: groups))
      shapes.append(.convolution(6, 7, inputs, outputs, stride: (2, 1), dilation: (1, 2), groups: groups))
      shapes.append(.convolution(4, 4, inputs, outputs, kernel: (1, 1), groups: groups))
    }
    return shapes
  }()

  @Test func `every shape, the same bytes on every instruction set`() {
    for (index, shape) in Self.shapes.enumerated() {
      let convolution = QuantizedConvolution(
        shape, batch: 1 + index % 3, inputZero: [0, 255, 128, 77][index % 4], residual: index % 3 == 1, seed: index)
      let sums = convolution.sums()
      for set in InstructionSet.supported {
        for threads in [1, 3] {
          let bytes = convolution.run(set, OCTET_OUTPUT_UINT8, as: UInt8.self, threads: threads)
          #expect(bytes == convolution.bytes(sums), "\(set), \(shape), threads \(threads)")
        }
        if index % 4 == 0 {
          #expect(convolution.run(set, OCTET_OUTPUT_INT32, as: Int32.self) == sums, "\(set), \(shape)")
          let floats = convolution.run(set, OCTET_OUTPUT_FLOAT32, as: Float.self)
          #expect(floats == convolution.floats(sums), "\(set), \(shape)")
        }
      }
    }
  }

  /// Large enough for several strips of an image and several blocks of weights.
  @Test(arguments: InstructionSet.supported)
  func `strips and blocks of weights`(set: InstructionSet) {
    let shapes: [octet_conv_shape] = [
      .convolution(64, 160, 33, 4, pad: (1, 1)), .convolution(40, 40, 130, 5, stride: (2, 2)),
      .convolution(3, 3, 257, 300, pad: (1, 1)), .convolution(64, 64, 64, 3, kernel: (1, 1)),
      .convolution(80, 81, 40, 6, stride: (3, 2), dilation: (2, 2), pad: (2, 2), groups: 2),
    ]
    for (index, shape) in shapes.enumerated() {
      let convolution = QuantizedConvolution(shape, inputZero: 200, seed: index)
      let sums = convolution.sums()
      for threads in [1, 3] {
        let found = convolution.run(set, OCTET_OUTPUT_INT32, as: Int32.self, threads: threads)
        #expect(found == sums, "\(shape), threads \(threads)")
      }
    }
  }

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
