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

  /// What computes it where each channel has a filter of its own.
  private var planes: DepthwisePlanes? {
    guard groupIn == 1, groupOut == 1, groups > 1 else { return nil }
    return DepthwisePlanes(windows, image: Array(image[2...]), result: Array(result[2...]))
  }

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
    if let planes { return try planes.convolution(x, weight: weight, bias: bias, activation.bounds) }
    let family = InstructionSet.current.float32
    return try withUnsafePointer(to: shape(isTransposed: false)) { shape in
      try require(octet_conv_refusal(shape, image[0], false))
      let packed = TensorStorage(byteCount: octet_conv_packed_size(family, shape), zeroed: false)
      try weight.withUnsafeScalars(as: Float.self) { pack($0.baseAddress!, family, shape.pointee, into: packed.base) }
      let tasks = octet_conv_tasks(family, shape, 1, shares)
      return try turned(
        x, to: result, bias, activation.bounds, padded: octet_conv_padded_channels(family, shape),
        scratch: octet_conv_scratch_size(family, shape), tasks: tasks
      ) { input, epilogue, output, range, scratch in
        octet_conv_run(
          family, shape, 1, input, 0, packed.base, epilogue, output, tasks, range.lowerBound, range.upperBound, scratch)
      }
    }
  }

  /// Weights as kernels read them. Without groups, those of some channels lie side by side: several threads can pack them.
  private func pack(
    _ weight: UnsafePointer<Float>, _ family: UnsafePointer<octet_gemm_family>, _ shape: octet_conv_shape,
    into packed: UnsafeMutableRawPointer
  ) {
    let panelChannels = family.pointee.nr
    var panel = shape
    panel.out_c = panelChannels
    let panelSize = octet_conv_packed_size(family, &panel)
    let step = groups == 1 ? max((1 << 15) / (panelChannels * depth), 1) * panelChannels : shape.out_c
    concurrently((shape.out_c + step - 1) / step) { item in
      var own = shape
      own.out_c = min(step, shape.out_c - item * step)
      octet_conv_pack(
        family, &own, weight + item * step * depth, packed + item * step / panelChannels * panelSize, nil)
    }
  }

  /// Into how many parts an image is divided, if there are few.
  private var shares: Int { image[0] >= 8 ? 1 : 8 / image[0] }

  /// The gradient of x for that of the result, which is a transposed convolution: `activation(… + bias)` [n, c, h, w]
  func imageGradient(
    _ gradient: Tensor, weight: Tensor, bias: Tensor? = nil, _ activation: Activation? = nil
  ) throws -> Tensor {
    if isEmpty { return try ofNothing(image, bias, activation) }
    var result = try reachedGradient(gradient, weight: weight, bias: bias, activation.bounds)
    try fillUnreached(&result, bias, activation.bounds)
    return result
  }

  /// The same, but for pixels that no tap reaches.
  private func reachedGradient(
    _ gradient: Tensor, weight: Tensor, bias: Tensor?, _ range: ClosedRange<Float>
  ) throws -> Tensor {
    if let planes { return try planes.imageGradient(gradient, weight: weight, bias: bias, range) }
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
      let tasks = octet_conv_transpose_tasks(family, shape, 1, shares)
      return try turned(
        gradient, to: image, bias, range, padded: octet_conv_padded_channels(family, shape),
        scratch: octet_conv_transpose_scratch_size(family, shape), tasks: tasks
      ) { input, epilogue, output, range, scratch in
        octet_conv_transpose_run(
          family, shape, 1, input, 0, packed.base, epilogue, output, shares, range.lowerBound, range.upperBound, scratch
        )
      }
    }
  }

  /// Pixels of [n, c, h, w] that no tap reaches are sums without terms, whatever is infinite. (Kernels add a term of 0 there.)
  private func fillUnreached(_ image: inout Tensor, _ bias: Tensor?, _ range: ClosedRange<Float>) throws {
    func unreached(_ axis: Int, _ stride: Int, _ dilation: Int, _ padding: Int) -> [Int] {
      var isReached = [Bool](repeating: false, count: self.image[axis])
      for window in 0..<result[axis] {
        for tap in 0..<kernel[axis] {
          let place = window * stride + tap * dilation - padding
          if isReached.indices.contains(place) { isReached[place] = true }
        }
      }
      return isReached.indices.filter { !isReached[$0] }
    }
    let rows = unreached(2, windows.stride.height, windows.dilation.height, windows.padding.top)
    let columns = unreached(3, windows.stride.width, windows.dilation.width, windows.padding.left)
    guard !rows.isEmpty || !columns.isEmpty else { return }
    let starts = try bias?.scalars(as: Float.self)
    let (planes, channels, width, size) = (image.shape[0] * image.shape[1], image.shape[1], image.shape[3], imagePixels)
    try image.withUnsafeMutableScalars(as: Float.self) { out in
      let out = out.baseAddress!
      concurrently(planes) { plane in
        let (to, value) = (out + plane * size, clamp(starts?[plane % channels] ?? 0, to: range))
        for row in rows { (to + row * width).update(repeating: value, count: width) }
        for column in columns {
          for place in stride(from: column, to: size, by: width) { to[place] = value }
        }
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

  /// Images [n, c, h, w] through a kernel that takes and gives [h, w, c] of each, in so many tasks; all of an image's by one thread if
  /// there are many images.
  private func turned(
    _ x: Tensor, to shape: [Int], _ bias: Tensor?, _ range: ClosedRange<Float>, padded: Int, scratch: Int, tasks: Int,
    _ run: (
      _ input: UnsafePointer<Float>, UnsafePointer<octet_epilogue>, _ output: UnsafeMutablePointer<Float>,
      _ tasks: Range<Int>, _ scratch: UnsafeMutableRawPointer
    ) -> Void
  ) throws -> Tensor {
    let kernels = InstructionSet.current.kernels
    let from = shape == result ? image : result
    let (sizeFrom, sizeTo) = (from[1] * from[2] * from[3], shape[1] * shape[2] * shape[3])
    // Nothing to turn where there is one channel, or one pixel.
    let (isTurned, isTurnedBack) = (from[1] > 1 && from[2] * from[3] > 1, shape[1] > 1 && shape[2] * shape[3] > 1)
    let aligned = (sizeFrom + 15) / 16 * 16
    let size = aligned + (sizeTo + 15) / 16 * 16
    let biases = inPanels(try bias?.scalars(as: Float.self) ?? [0], channels: shape[1], groups: groups, padded: padded)
    var result = Tensor(uninitialized: shape, dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try x.withUnsafeScalars(as: Float.self) { x in
        let (x, out) = (x.baseAddress!, out.baseAddress!)
        biases.withUnsafeBufferPointer { biases in
          var epilogue = octet_epilogue()
          epilogue.output = OCTET_OUTPUT_FLOAT32
          epilogue.bias = biases.baseAddress
          (epilogue.lower, epilogue.upper) = (range.lowerBound, range.upperBound)
          func turn(_ image: Int, _ turned: UnsafeMutablePointer<Float>) {
            if isTurned { kernels.to_nhwc_f32(x + image * sizeFrom, from[1], from[2] * from[3], turned) }
          }
          func turnBack(_ image: Int, _ turned: UnsafeMutablePointer<Float>) {
            guard isTurnedBack else { return }
            kernels.to_nchw_f32(turned + aligned, shape[1], shape[2] * shape[3], out + image * sizeTo)
          }
          func compute(
            _ range: Range<Int>, of image: Int, _ turned: UnsafeMutablePointer<Float>,
            _ scratch: UnsafeMutableRawPointer
          ) {
            withUnsafePointer(to: epilogue) { epilogue in
              run(
                isTurned ? UnsafePointer(turned) : x + image * sizeFrom, epilogue,
                isTurnedBack ? turned + aligned : out + image * sizeTo, range, scratch)
            }
          }
          if shares == 1 || tasks == 1 {
            let kernelScratch =
              (scratch + TensorStorage.alignment - 1) / TensorStorage.alignment * TensorStorage.alignment
            concurrently(shape[0], scratch: kernelScratch + size * MemoryLayout<Float>.stride) { image, scratch in
              let turned = (scratch + kernelScratch).assumingMemoryBound(to: Float.self)
              turn(image, turned)
              compute(0..<tasks, of: image, turned, scratch)
              turnBack(image, turned)
            }
          } else {
            let storage = TensorStorage(byteCount: shape[0] * size * MemoryLayout<Float>.stride, zeroed: false)
            let turned = storage.base.assumingMemoryBound(to: Float.self)
            concurrently(shape[0]) { turn($0, turned + $0 * size) }
            concurrently(shape[0] * tasks, scratch: scratch) { item, scratch in
              let (image, task) = (item / tasks, item % tasks)
              compute(task..<task + 1, of: image, turned + image * size, scratch)
            }
            concurrently(shape[0]) { turnBack($0, turned + $0 * size) }
          }
        }
      }
    }
    return result
  }

  /// The gradient of the weight: the sum over images of dy [o, pixels] · columnsᵀ [pixels, depth]. Some images at a time make
  /// a sum of their own, and those are added in their order.
  func weightGradient(_ x: Tensor, _ gradient: Tensor) throws -> Tensor {
    if isEmpty { return try Tensor(zeros: kernel) }
    if let planes { return try planes.weightGradient(x, gradient) }
    let (size, parts) = (elementCount(of: kernel), weightParts)
    let isDivided = parts <= 8 && groupOut >= 64
    // The first part becomes the sum of all.
    let others = TensorStorage(
      byteCount: isDivided ? 0 : (parts - 1) * size * MemoryLayout<Float>.stride, zeroed: false)
    var dweight = Tensor(uninitialized: kernel, dtype: .float32)
    try dweight.withUnsafeMutableScalars(as: Float.self) { dweight in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try x.withUnsafeScalars(as: Float.self) { x in
          let (dweight, x, dy) = (dweight.baseAddress!, x.baseAddress!, dy.baseAddress!)
          if isDivided { return weightGradientOfFew(x, dy, into: dweight) }
          let others = others.base.assumingMemoryBound(to: Float.self)
          concurrently(parts, scratch: columnsSize) { part, scratch in
            let sums = part == 0 ? dweight : others + (part - 1) * size
            let images = image[0] * part / parts..<image[0] * (part + 1) / parts
            for index in images.lowerBound * groups..<images.upperBound * groups {
              let columns = scratch.assumingMemoryBound(to: Float.self)
              let source = x + index * groupIn * imagePixels
              gather(source, 0..<groupIn, into: columns)
              FloatGEMM.multiply(
                m: groupOut, n: depth, k: pixels, dy + index * groupOut * pixels, (pixels, 1),
                windows.areElements ? source : UnsafePointer(columns), (1, pixels),
                into: sums + index % groups * groupOut * depth, adding: index >= (images.lowerBound + 1) * groups)
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

  /// The same of few images, or of weights too large for many sums, one image after another: threads share the columns and the product of each.
  private func weightGradientOfFew(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dweight: UnsafeMutablePointer<Float>
  ) {
    let storage = TensorStorage(byteCount: columnsSize, zeroed: false)
    let columns = storage.base.assumingMemoryBound(to: Float.self)
    let parts = min(groupIn, 16)
    for index in 0..<image[0] * groups {
      let source = x + index * groupIn * imagePixels
      if !windows.areElements {
        concurrently(parts) { part in
          gather(source, groupIn * part / parts..<groupIn * (part + 1) / parts, into: columns)
        }
      }
      FloatGEMM.multiplyConcurrently(
        m: groupOut, n: depth, k: pixels, dy + index * groupOut * pixels, (pixels, 1),
        windows.areElements ? source : UnsafePointer(columns), (1, pixels),
        into: dweight + index % groups * groupOut * depth, adding: index >= groups)
    }
  }

  /// Bytes of the columns of a group of one image, which is the matrix itself where windows are elements.
  private var columnsSize: Int { windows.areElements ? 0 : depth * pixels * MemoryLayout<Float>.stride }

  /// The columns of some channels.
  private func gather(_ source: UnsafePointer<Float>, _ channels: Range<Int>, into columns: UnsafeMutablePointer<Float>)
  {
    if windows.areElements { return }
    windows.gather(
      source + channels.lowerBound * imagePixels, channels: channels.count, Size2D(image[2], image[3]),
      Size2D(result[2], result[3]), into: columns + channels.lowerBound * kernel[2] * kernel[3] * pixels)
  }

  /// Into how many parts images are divided for the gradient of the weight: sixteen, if that costs little memory.
  private var weightParts: Int {
    let memory = 1 << 23  // floats
    return max(min(image[0], 16, memory / elementCount(of: kernel)), 1)
  }
}

extension Activation? {
  /// What results are clamped to.
  fileprivate var bounds: ClosedRange<Float> { self?.range ?? -.infinity...Float.infinity }
}

extension Int {
  /// The product, or the largest number if that is larger.
  func saturatingProduct(_ other: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }

  fileprivate func saturatingSum(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
