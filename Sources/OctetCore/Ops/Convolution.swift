extension Op {
  /// Convolution. Operands: x [n, c, h, w], weight [o, c / groups, kh, kw], bias [o] (optional), residual (optional, of
  /// the result's shape). Result: `activation(conv(x, weight) + bias + residual)` [n, o, h', w'].
  ///
  /// A signal x [n, c, l] with weight [o, c / groups, k] counts as an image of height 1; its result is [n, o, l'].
  ///
  /// Bias, residual and activation are what fusing leaves; ONNX's Conv has the first.
  public struct Convolution: Operation, Codable {
    public var stride: Size2D
    public var padding: Padding2D
    public var dilation: Size2D
    public var groups: Int
    public var activation: Activation?

    public init(
      stride: Size2D = 1, padding: Padding2D = 0, dilation: Size2D = 1, groups: Int = 1, activation: Activation? = nil
    ) {
      self.stride = stride
      self.padding = padding
      self.dilation = dilation
      self.groups = groups
      self.activation = activation
    }

    public var attributes: String {
      var parts: [String] = []
      if stride != 1 { parts.append("stride \(stride)") }
      if !padding.isZero { parts.append("padding \(padding)") }
      if dilation != 1 { parts.append("dilation \(dilation)") }
      if groups != 1 { parts.append("groups \(groups)") }
      if let activation { parts.append("\(activation)") }
      return parts.joined(separator: ", ")
    }

    public var operandCount: ClosedRange<Int> { 2...4 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let weight = try operand(inputs, 1, "weight")
      try x.require(.float32, rank: 3...4, "x")
      try weight.require(.float32, rank: x.rank...x.rank, "weight")
      guard let weightShape = weight.fixedShape.map(imageShape), let channels = x.shape[1].size else {
        throw OctetError(.unsupported, "conv", expected: "fixed channels and weight shape", found: "\(x), \(weight)")
      }
      guard groups > 0, stride.isPositive, dilation.isPositive, padding.isValid, weightShape[2] > 0, weightShape[3] > 0
      else {
        throw OctetError(
          .invalidArgument, "conv", expected: "groups, stride, dilation and kernel above 0, padding of 0 or more",
          found: "groups \(groups), stride \(stride), dilation \(dilation), padding \(padding), weight \(weight)")
      }
      try requireImageAttributes(rank: x.rank, stride, padding, dilation)
      guard channels.isMultiple(of: groups), weightShape[1] == channels / groups, weightShape[0].isMultiple(of: groups)
      else {
        throw OctetError(
          .shapeMismatch, "weight", expected: "[multiple of \(groups), \(channels) / \(groups), kh, kw]",
          found: "\(weight)")
      }
      try activation?.check()
      let out = Dimension.fixed(weightShape[0])
      if let bias = optionalOperand(inputs, 2) {
        try bias.require(.float32, rank: 1...1, "bias")
        try bias.requireShape([out], "bias")
      }
      let width = try windowCount(
        x.shape[x.rank - 1], kernel: weightShape[3], stride: stride.width, dilation: dilation.width,
        padding: (padding.left, padding.right), "x")
      var result = TensorType(.float32, [x.shape[0], out, width])
      if x.rank == 4 {
        let height = try windowCount(
          x.shape[2], kernel: weightShape[2], stride: stride.height, dilation: dilation.height,
          padding: (padding.top, padding.bottom), "x")
        result.shape.insert(height, at: 2)
      }
      if let residual = optionalOperand(inputs, 3) {
        try residual.require(.float32, rank: x.rank...x.rank, "residual")
        try residual.requireShape(result.shape, "residual")
      }
      return [result]
    }

    // For each image and group: [o, c·kh·kw] · im2col(x) [c·kh·kw, h'·w'].
    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let weight = inputs[1]!
      let type = try outputTypes(inputs.map { $0?.type })[0]
      var result = try Tensor(zeros: type.fixedShape!)
      let (image, kernel, out) = (imageShape(x.shape), imageShape(weight.shape), imageShape(result.shape))
      let (n, c, h, w) = (image[0], image[1], image[2], image[3])
      let (o, kh, kw) = (kernel[0], kernel[2], kernel[3])
      let (outH, outW) = (out[2], out[3])
      let (groupIn, groupOut, pixels) = (c / groups, o / groups, outH * outW)
      let depth = groupIn * kh * kw
      let windows = ImageWindows(stride: stride, padding: padding, dilation: dilation, kernel: Size2D(kh, kw))

      try result.withUnsafeMutableScalars(as: Float.self) { out in
        guard let out = out.baseAddress, pixels > 0 else { return }
        try x.withUnsafeScalars(as: Float.self) { x in
          try weight.withUnsafeScalars(as: Float.self) { weight in
            let columns = UnsafeMutablePointer<Float>.allocate(capacity: windows.areElements ? 1 : depth * pixels)
            defer { columns.deallocate() }
            for image in 0..<n {
              for group in 0..<groups {
                let source = x.baseAddress! + (image * c + group * groupIn) * h * w
                if !windows.areElements {
                  windows.gather(source, channels: groupIn, Size2D(h, w), Size2D(outH, outW), into: columns)
                }
                FloatGEMM.multiply(
                  m: groupOut, n: pixels, k: depth, weight.baseAddress! + group * groupOut * depth, (depth, 1),
                  windows.areElements ? source : UnsafePointer(columns), (pixels, 1),
                  into: out + (image * o + group * groupOut) * pixels)
              }
            }
          }
        }
      }
      try addBias(optionalOperand(inputs, 2), to: &result, channelStride: pixels)
      try finish(&result, residual: optionalOperand(inputs, 3), activation)
      return [result]
    }
  }
}

/// Adds bias [c] to the channels of a contiguous result: element i belongs to channel (i / channelStride) mod c.
func addBias(_ bias: Tensor?, to result: inout Tensor, channelStride: Int) throws {
  guard let bias else { return }
  try bias.withUnsafeScalars(as: Float.self) { bias in
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      guard channelStride > 0, !bias.isEmpty else { return }
      for (block, start) in stride(from: 0, to: out.count, by: channelStride).enumerated() {
        let value = bias[block % bias.count]
        for i in start..<start + channelStride { out[i] += value }
      }
    }
  }
}

/// Adds the residual and applies the activation.
func finish(_ result: inout Tensor, residual: Tensor?, _ activation: Activation?) throws {
  try result.withUnsafeMutableScalars(as: Float.self) { out in
    try residual?.withUnsafeScalars(as: Float.self) { residual in
      for i in out.indices { out[i] += residual[i] }
    }
    if let range = activation?.range {
      for i in out.indices { out[i] = clamp(out[i], to: range) }
    }
  }
}

/// The value within the range; NaN stays NaN.
func clamp(_ x: Float, to range: ClosedRange<Float>) -> Float {
  x < range.lowerBound ? range.lowerBound : (x > range.upperBound ? range.upperBound : x)
}

// MARK: - Gradient

extension Op.Convolution {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (x, weight) = (inputs[0]!, inputs[1]!)
    let geometry = ConvolutionGeometry(
      windows: ImageWindows(
        stride: stride, padding: padding, dilation: dilation,
        kernel: Size2D(imageShape(weight.shape)[2], imageShape(weight.shape)[3])),
      groups: groups, image: imageShape(x.shape), kernel: imageShape(weight.shape), result: imageShape(results[0].shape)
    )
    let (keptX, keptWeight) = (wanted[1] ? x : nil, wanted[0] ? weight : nil)
    let (y, range) = (activation == nil ? nil : results[0], activation?.range)
    let wants = wanted + [Bool](repeating: false, count: 4 - wanted.count)
    let (shape, weightShape) = (x.shape, weight.shape)
    return { gradients in
      let gradient = try range.map { try masked(gradients[0]!, by: y!, within: $0) } ?? gradients[0]!
      return [
        try keptWeight.map { try geometry.imageGradient(gradient, weight: $0).reinterpreted(as: shape) },
        try keptX.map { try geometry.weightGradient($0, gradient).reinterpreted(as: weightShape) },
        wants[2] ? try gradient.summedPerChannel(axis: 1) : nil,
        wants[3] ? gradient : nil,
      ]
    }
  }
}
