import CKernels
import Testing

@Suite struct FloatConvolutionTests {
  /// Against Double: an error of some roundings of the largest partial sum.
  @Test func `every shape against double precision`() {
    for (index, shape) in (ConvolutionTests.shapes + GemmTests.rows.map { .gemm($0, 37, 50) }).enumerated() {
      var s = shape
      let batch = 1 + index % 2
      var random = SeededGenerator(seed: index)
      let depth = s.in_c / s.groups * s.kernel_h * s.kernel_w
      let input = random.floats(batch * s.in_h * s.in_w * s.in_c)
      let weights = random.floats(s.out_c * depth)
      let bias = random.floats(s.out_c)
      let count = batch * s.out_h * s.out_w * s.out_c
      let residual = index % 2 == 0 ? random.floats(count) : nil
      let lower: Float = index % 3 == 0 ? 0 : -.infinity
      let exact = Oracle.convolution(
        s, batch: batch, input: input.map(Double.init), zero: 0, weights: weights.map(Double.init))
      let expected = exact.indices.map { i in
        max(exact[i] + Double(bias[i % s.out_c]) + Double(residual?[i] ?? 0), Double(lower))
      }
      for set in InstructionSet.supported {
        var family = set.isa.float32
        let channels = octet_conv_padded_channels(&family, &s)
        var padded = [Float](repeating: 0, count: channels)
        for c in bias.indices {
          let group = s.out_c / s.groups
          padded[c / group * (channels / s.groups) + c % group] = bias[c]
        }
        let biases = GuardedMemory(padded)
        let packed = GuardedMemory<UInt8>(count: octet_conv_packed_size(&family, &s), alignment: 64)
        octet_conv_pack(&family, &s, weights, packed.pointer, nil)
        let scratch = GuardedMemory<UInt8>(count: octet_conv_scratch_size(&family, &s), alignment: 64)
        let source = GuardedMemory(input)
        let output = GuardedMemory<Float>(count: count)
        let residuals = residual.map { GuardedMemory($0) }
        var epilogue = octet_epilogue()
        epilogue.output = OCTET_OUTPUT_FLOAT32
        epilogue.bias = UnsafePointer(biases.pointer)
        epilogue.residual = residuals.map { UnsafeRawPointer($0.pointer) }
        (epilogue.lower, epilogue.upper) = (lower, .infinity)
        let tasks = octet_conv_tasks(&family, &s, batch, 1 + index % 3)
        octet_conv_run(
          &family, &s, batch, source.pointer, 0, packed.pointer, &epilogue, output.pointer, tasks, 0, tasks,
          scratch.pointer)
        let worst = zip(output.values, expected).map { abs(Double($0) - $1) }.max()!
        #expect(worst < 1e-6 * Double(depth + 4), "\(set), \(shape)")
        withExtendedLifetime((biases, packed, source, residuals)) {}
      }
    }
  }
}
