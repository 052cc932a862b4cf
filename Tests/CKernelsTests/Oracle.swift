import CKernels

/// What the kernels are measured against: the definitions, one loop per index, nothing shared with the package.
enum Oracle {
  /// Σ (a − zero) · w over the window of every output; padding counts as real 0. Output [batch, out_h, out_w, out_c].
  static func convolution<Number: Numeric>(
    _ s: octet_conv_shape, batch: Int, input: [Number], zero: Number, weights: [Number]
  ) -> [Number] {
    let inputs = s.in_c / s.groups
    let outputs = s.out_c / s.groups
    var result: [Number] = []
    result.reserveCapacity(batch * s.out_h * s.out_w * s.out_c)
    for image in 0..<batch {
      for y in 0..<s.out_h {
        for x in 0..<s.out_w {
          for channel in 0..<s.out_c {
            var sum: Number = 0
            for ky in 0..<s.kernel_h {
              let row = y * s.stride_h + ky * s.dilation_h - s.pad_top
              guard row >= 0, row < s.in_h else { continue }
              for kx in 0..<s.kernel_w {
                let column = x * s.stride_w + kx * s.dilation_w - s.pad_left
                guard column >= 0, column < s.in_w else { continue }
                let pixel = ((image * s.in_h + row) * s.in_w + column) * s.in_c
                for i in 0..<inputs {
                  let a = input[pixel + channel / outputs * inputs + i]
                  let w = weights[((channel * inputs + i) * s.kernel_h + ky) * s.kernel_w + kx]
                  sum += (a - zero) * w
                }
              }
            }
            result.append(sum)
          }
        }
      }
    }
    return result
  }

  /// Clamped, rounded half to even, moved to the zero point; the low byte.
  static func byte(_ real: Float, lower: Float, upper: Float, zero: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: Int32(min(max(real, lower), upper).rounded(.toNearestOrEven)) + zero)
  }
}
