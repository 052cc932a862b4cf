import CKernels

/// What a convolution and a transposed one have in common: each is how gradients go back through the other.
///
/// Image by image, by the kernels that run plans, whose layout is NHWC: an image is turned on its way, which costs little
/// beside the sums.
struct ConvolutionGeometry {
  let windows: ImageWindows
  let groups: Int
  /// Of x of the convolution: [n, c, h, w]
  let image: [Int]
  /// [o, c / groups, kh, kw]
  let kernel: [Int]
  /// Of its result: [n, o, h', w']
  let result: [Int]

  private var imagePixels: Int { image[2] * image[3] }
  private var pixels: Int { result[2] * result[3] }
  private var groupIn: Int { image[1] / groups }
  private var groupOut: Int { result[1] / groups }
  private var depth: Int { groupIn * kernel[2] * kernel[3] }
  private var isEmpty: Bool { (image + kernel + result).contains(0) }

  /// The convolution of one image; or the transposed one, from its result to it.
  private func shape(isTransposed: Bool) -> octet_conv_shape {
    let (from, to) = isTransposed ? (result, image) : (image, result)
    return octet_conv_shape(
      in_h: from[2], in_w: from[3], in_c: from[1], out_h: to[2], out_w: to[3], out_c: to[1], kernel_h: kernel[2],
      kernel_w: kernel[3],
      // (A single window takes no step.)
      stride_h: result[2] == 1 ? 1 : windows.stride.height, stride_w: result[3] == 1 ? 1 : windows.stride.width,
      dilation_h: kernel[2] == 1 ? 1 : windows.dilation.height,
      dilation_w: kernel[3] == 1 ? 1 : windows.dilation.width,
      pad_top: windows.padding.top, pad_left: windows.padding.left, groups: groups)
  }

  private func require(_ refusal: UnsafePointer<CChar>?) throws {
    if let refusal { throw unsupported(String(cString: refusal)) }
    // A strip of the padded image that one row of windows looks at is copied: its size is the image's no more if a few elements
    // of the kernel lie far apart.
    func reach(_ axis: Int, _ dilation: Int) -> Int { (kernel[axis] - 1).saturatingProduct(dilation) }
    let width = (result[3] - 1).saturatingProduct(windows.stride.width)
    let columns = max(image[3], width).saturatingSum(reach(3, windows.dilation.width)).saturatingSum(1)
    let rows = reach(2, windows.dilation.height).saturatingSum(1)
    let strip = rows.saturatingProduct(columns).saturatingProduct(max(image[1], result[1]))
    guard strip <= Self.longestStrip else { throw unsupported("windows reach too far") }
  }

  /// Floats.
  private static let longestStrip = 1 << 28

  private func unsupported(_ reason: String) -> OctetError {
    OctetError(
      .unsupported, "shapes", expected: "those that kernels take", found: "\(image), weight \(kernel): \(reason)")
  }

  /// `activation(conv(x, weight) + bias)` [n, o, h', w']
  func convolution(_ x: Tensor, weight: Tensor, bias: Tensor?, _ activation: Activation?) throws -> Tensor {
    if isEmpty { return try ofNothing(result, bias, activation) }
    let family = InstructionSet.current.float32
    return try withUnsafePointer(to: shape(isTransposed: false)) { shape in
      try require(octet_conv_refusal(shape, image[0], false))
      let packed = TensorStorage(byteCount: octet_conv_packed_size(family, shape), zeroed: false)
      try weight.withUnsafeScalars(as: Float.self) { octet_conv_pack(family, shape, $0.baseAddress!, packed.base, nil) }
      let tasks = octet_conv_tasks(family, shape, 1, 1)
      return try turned(
        x, to: result, bias, activation, padded: octet_conv_padded_channels(family, shape),
        scratch: octet_conv_scratch_size(family, shape)
      ) { input, epilogue, output, scratch in
        octet_conv_run(family, shape, 1, input, 0, packed.base, epilogue, output, tasks, 0, tasks, scratch)
      }
    }
  }

  /// The gradient of x for that of the result, which is a transposed convolution: `activation(… + bias)` [n, c, h, w]
  func imageGradient(
    _ gradient: Tensor, weight: Tensor, bias: Tensor? = nil, _ activation: Activation? = nil
  ) throws -> Tensor {
    if isEmpty { return try ofNothing(image, bias, activation) }
    let family = InstructionSet.current.float32
    return try withUnsafePointer(to: shape(isTransposed: true)) { shape in
      try require(octet_conv_transpose_refusal(shape, image[0], false))
      // Each step of a stride is a convolution of its own.
      let phases = shape.pointee.stride_h.saturatingProduct(shape.pointee.stride_w)
      guard phases <= max(1 << 12, imagePixels.saturatingProduct(4)) else { throw unsupported("strides are too long") }
      let packedSize = octet_conv_transpose_packed_size(family, shape)
      guard packedSize <= 1 << 30 else { throw unsupported("its weights would take \(packedSize) bytes") }
      let packed = TensorStorage(byteCount: packedSize, zeroed: false)
      try weight.withUnsafeScalars(as: Float.self) { weight in
        let reordered = TensorStorage(byteCount: weight.count * MemoryLayout<Float>.stride, zeroed: false)
        octet_conv_transpose_pack(family, shape, weight.baseAddress!, reordered.base, packed.base, nil)
      }
      let tasks = octet_conv_transpose_tasks(family, shape, 1, 1)
      return try turned(
        gradient, to: image, bias, activation, padded: octet_conv_padded_channels(family, shape),
        scratch: octet_conv_transpose_scratch_size(family, shape)
      ) { input, epilogue, output, scratch in
        octet_conv_transpose_run(family, shape, 1, input, 0, packed.base, epilogue, output, 1, 0, tasks, scratch)
      }
    }
  }

  /// A result of sums without terms.
  private func ofNothing(_ shape: [Int], _ bias: Tensor?, _ activation: Activation?) throws -> Tensor {
    var result = try Tensor(zeros: shape)
    try addBias(bias, to: &result, channelStride: shape[2] * shape[3])
    try finish(&result, residual: nil, activation)
    return result
  }

  /// Images [n, c, h, w] through a kernel that takes and gives [h, w, c] of each.
  private func turned(
    _ x: Tensor, to shape: [Int], _ bias: Tensor?, _ activation: Activation?, padded: Int, scratch: Int,
    _ run: (
      _ input: UnsafePointer<Float>, UnsafePointer<octet_epilogue>, _ output: UnsafeMutablePointer<Float>,
      _ scratch: UnsafeMutableRawPointer
    ) -> Void
  ) throws -> Tensor {
    let kernels = InstructionSet.current.kernels
    let from = shape == result ? image : result
    let (sizeFrom, sizeTo) = (from[1] * from[2] * from[3], shape[1] * shape[2] * shape[3])
    // Nothing to turn where there is one channel, or one pixel.
    let (isTurned, isTurnedBack) = (from[1] > 1 && from[2] * from[3] > 1, shape[1] > 1 && shape[2] * shape[3] > 1)
    let aligned = (sizeFrom + 15) / 16 * 16
    let kernelScratch = (scratch + TensorStorage.alignment - 1) / TensorStorage.alignment * TensorStorage.alignment
    let range = activation?.range ?? -.infinity...Float.infinity
    let biases = try bias.map { try spread($0.scalars(as: Float.self), padded) } ?? [Float](repeating: 0, count: padded)
    var result = Tensor(uninitialized: shape, dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try x.withUnsafeScalars(as: Float.self) { x in
        let (x, out) = (x.baseAddress!, out.baseAddress!)
        biases.withUnsafeBufferPointer { biases in
          var epilogue = octet_epilogue()
          epilogue.output = OCTET_OUTPUT_FLOAT32
          epilogue.bias = biases.baseAddress
          (epilogue.lower, epilogue.upper) = (range.lowerBound, range.upperBound)
          withUnsafePointer(to: epilogue) { epilogue in
            concurrently(shape[0], scratch: kernelScratch + (aligned + sizeTo) * MemoryLayout<Float>.stride) {
              image, scratch in
              let input = (scratch + kernelScratch).assumingMemoryBound(to: Float.self)
              let source = x + image * sizeFrom
              if isTurned { kernels.to_nhwc_f32(source, from[1], from[2] * from[3], input) }
              let output = isTurnedBack ? input + aligned : out + image * sizeTo
              run(isTurned ? UnsafePointer(input) : source, epilogue, output, scratch)
              if isTurnedBack { kernels.to_nchw_f32(output, shape[1], shape[2] * shape[3], out + image * sizeTo) }
            }
          }
        }
      }
    }
    return result
  }

  /// One number for each channel, where kernels look for it: each group fills whole panels.
  private func spread(_ values: [Float], _ padded: Int) -> [Float] {
    var result = [Float](repeating: 0, count: padded)
    let inGroup = values.count / groups
    for (i, value) in values.enumerated() { result[i / inGroup * (padded / groups) + i % inGroup] = value }
    return result
  }

  /// The gradient of the weight: the sum over images of dy [o, pixels] · columnsᵀ [pixels, depth]. Some images at a time make
  /// a sum of their own, and those are added in their order.
  func weightGradient(_ x: Tensor, _ gradient: Tensor) throws -> Tensor {
    if isEmpty { return try Tensor(zeros: kernel) }
    let size = elementCount(of: kernel)
    let (parts, rows) = weightParts
    // The first part becomes the sum of all.
    let others = TensorStorage(byteCount: (parts - 1) * size * MemoryLayout<Float>.stride, zeroed: false)
    var dweight = Tensor(uninitialized: kernel, dtype: .float32)
    try dweight.withUnsafeMutableScalars(as: Float.self) { dweight in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try x.withUnsafeScalars(as: Float.self) { x in
          let (dweight, x, dy) = (dweight.baseAddress!, x.baseAddress!, dy.baseAddress!)
          let others = others.base.assumingMemoryBound(to: Float.self)
          let scratch = windows.areElements ? 0 : depth * pixels * MemoryLayout<Float>.stride
          concurrently(parts * rows, scratch: scratch) { item, scratch in
            let (part, row) = (item / rows, item % rows)
            let columns = scratch.assumingMemoryBound(to: Float.self)
            let sums = part == 0 ? dweight : others + (part - 1) * size
            // Some channels of every group.
            let channels = groupOut * row / rows..<groupOut * (row + 1) / rows
            let images = image[0] * part / parts..<image[0] * (part + 1) / parts
            for index in images.lowerBound * groups..<images.upperBound * groups {
              let source = x + index * groupIn * imagePixels
              if !windows.areElements {
                windows.gather(
                  source, channels: groupIn, Size2D(image[2], image[3]), Size2D(result[2], result[3]), into: columns)
              }
              FloatGEMM.multiply(
                m: channels.count, n: depth, k: pixels, dy + (index * groupOut + channels.lowerBound) * pixels,
                (pixels, 1), windows.areElements ? source : UnsafePointer(columns), (1, pixels),
                into: sums + (index % groups * groupOut + channels.lowerBound) * depth,
                adding: index >= (images.lowerBound + 1) * groups)
            }
          }
          concurrently(elements: size) { range in
            for part in 0..<parts - 1 {
              for i in range { dweight[i] += others[part * size + i] }
            }
          }
        }
      }
    }
    return dweight
  }

  /// Into how many parts images, and the channels of a group, are divided for the gradient of the weight: sixteen, if that
  /// costs little memory.
  private var weightParts: (images: Int, channels: Int) {
    let memory = 1 << 23  // floats
    let images = max(min(image[0], 16, memory / elementCount(of: kernel)), 1)
    return (images, max(min(16 / images, groupOut / 32), 1))
  }
}

extension Int {
  /// The product, or the largest number if that is larger.
  fileprivate func saturatingProduct(_ other: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }

  fileprivate func saturatingSum(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
