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

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let (x, weight, residual) = (inputs[0]!, inputs[1]!, optionalOperand(inputs, 3))
      let shape = try outputTypes(inputs.map { $0?.type })[0].fixedShape!
      var result = try geometry(x.shape, weight.shape, result: shape)
        .convolution(x, weight: weight, bias: optionalOperand(inputs, 2), residual == nil ? activation : nil)
        .reinterpreted(as: shape)
      if residual != nil { try finish(&result, residual: residual, activation) }
      return [result]
    }

    private func geometry(_ x: [Int], _ weight: [Int], result: [Int]) -> ConvolutionGeometry {
      let kernel = imageShape(weight)
      return ConvolutionGeometry(
        windows: ImageWindows(
          stride: stride, padding: padding, dilation: dilation, kernel: Size2D(kernel[2], kernel[3])),
        groups: groups, image: imageShape(x), kernel: kernel, result: imageShape(result))
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
    let elements = out.count
    try residual?.withUnsafeScalars(as: Float.self) { residual in
      concurrently(elements: out.count) { range in for i in range { out[i] += residual[i] } }
    }
    if let bounds = activation?.range, let out = out.baseAddress {
      let kernels = InstructionSet.current.kernels
      concurrently(elements: elements) { range in
        let part = out + range.lowerBound
        kernels.clamp_f32(part, range.count, bounds.lowerBound, bounds.upperBound, part)
      }
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
    let geometry = geometry(x.shape, weight.shape, result: results[0].shape)
    let (keptX, keptWeight) = (wanted[1] ? x : nil, wanted[0] ? weight : nil)
    let (y, range) = (activation == nil ? nil : results[0], activation?.range)
    let wants = wanted + [Bool](repeating: false, count: 4 - wanted.count)
    let (shape, weightShape) = (x.shape, weight.shape)
    return { gradients in
      let gradient = try range.map { try masked(gradients[0]!, by: y!, within: $0) } ?? gradients[0]!
      return [
        try keptWeight.map { try geometry.imageGradient(gradient, weight: $0).reinterpreted(as: shape) },
        try keptX.map { try geometry.weightGradient($0, gradient).reinterpreted(as: weightShape) },
        wants[2] ? try gradient.summedPerChannel() : nil,
        wants[3] ? gradient : nil,
      ]
    }
  }
}
