extension Op {
  /// Transposed convolution: element (y, x) of the operand adds to the results at `y · stride + ky · dilation − padding`.
  /// Operands: x [n, c, h, w] or [n, c, l], weight [c, o / groups, kh, kw] or [c, o / groups, k], bias [o] (optional).
  /// Result: `activation(sum + bias)` [n, o, h', w'] with `h' = (h − 1) · stride − padding + dilation · (kh − 1) +
  /// outputPadding + 1`. (ONNX's ConvTranspose with auto_pad NOTSET. What has no height has height 1.)
  public struct ConvTranspose: Operation, Codable {
    public var stride: Size2D
    public var padding: Padding2D
    /// Rows below and columns at the right that the result has more.
    public var outputPadding: Size2D
    public var dilation: Size2D
    public var groups: Int
    public var activation: Activation?

    public init(
      stride: Size2D = 1, padding: Padding2D = 0, outputPadding: Size2D = 0, dilation: Size2D = 1, groups: Int = 1,
      activation: Activation? = nil
    ) {
      self.stride = stride
      self.padding = padding
      self.outputPadding = outputPadding
      self.dilation = dilation
      self.groups = groups
      self.activation = activation
    }

    public var attributes: String {
      var parts: [String] = []
      if stride != 1 { parts.append("stride \(stride)") }
      if !padding.isZero { parts.append("padding \(padding)") }
      if outputPadding != 0 { parts.append("output padding \(outputPadding)") }
      if dilation != 1 { parts.append("dilation \(dilation)") }
      if groups != 1 { parts.append("groups \(groups)") }
      if let activation { parts.append("\(activation)") }
      return parts.joined(separator: ", ")
    }

    public var operandCount: ClosedRange<Int> { 2...3 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let weight = try operand(inputs, 1, "weight")
      try x.require(.float32, rank: 3...4, "x")
      try weight.require(.float32, rank: x.rank...x.rank, "weight")
      guard let weightShape = weight.fixedShape.map(imageShape), let channels = x.shape[1].size else {
        throw OctetError(
          .unsupported, "convTranspose", expected: "fixed channels and weight shape", found: "\(x), \(weight)")
      }
      guard groups > 0, stride.isPositive, dilation.isPositive, padding.isValid, weightShape[2] > 0, weightShape[3] > 0,
        (0...largestAttribute).contains(outputPadding.height), (0...largestAttribute).contains(outputPadding.width),
        outputPadding.height < max(stride.height, dilation.height),
        outputPadding.width < max(stride.width, dilation.width)
      else {
        throw OctetError(
          .invalidArgument, "convTranspose",
          expected:
            "groups, stride, dilation and kernel above 0, padding of 0 or more, output padding below the stride",
          found: "\(attributes), weight \(weight)")
      }
      try requireImageAttributes(rank: x.rank, stride, padding, dilation, outputPadding)
      guard weightShape[0] == channels, channels.isMultiple(of: groups) else {
        throw OctetError(
          .shapeMismatch, "weight", expected: "[\(channels), o / \(groups), kh, kw]", found: "\(weight)")
      }
      let (outputs, overflow) = weightShape[1].multipliedReportingOverflow(by: groups)
      guard !overflow else {
        throw OctetError(.invalidArgument, "convTranspose", expected: "fewer groups", found: "\(groups)")
      }
      try activation?.check()
      if let bias = optionalOperand(inputs, 2) {
        try bias.require(.float32, rank: 1...1, "bias")
        try bias.requireShape([.fixed(outputs)], "bias")
      }
      let width = try size(
        x.shape[x.rank - 1], weightShape[3], stride.width, dilation.width, (padding.left, padding.right),
        outputPadding.width)
      guard x.rank == 4 else { return [TensorType(.float32, [x.shape[0], .fixed(outputs), width])] }
      let height = try size(
        x.shape[2], weightShape[2], stride.height, dilation.height, (padding.top, padding.bottom),
        outputPadding.height)
      return [TensorType(.float32, [x.shape[0], .fixed(outputs), height, width])]
    }

    private func size(
      _ size: Dimension, _ kernel: Int, _ stride: Int, _ dilation: Int, _ padding: (Int, Int), _ extra: Int
    ) throws -> Dimension {
      guard let size = size.size else {
        let (reach, overflow) = (kernel - 1).multipliedReportingOverflow(by: dilation)
        guard !overflow, reach < 1 << 48 else {
          throw OctetError(.shapeMismatch, "x", expected: "a result of a sensible size", found: "\(size)")
        }
        return size.multiplied(by: stride).adding(reach + extra + 1 - stride - padding.0 - padding.1)
      }
      let (spread, first) = max(size - 1, 0).multipliedReportingOverflow(by: stride)
      let (reach, second) = (kernel - 1).multipliedReportingOverflow(by: dilation)
      let (sum, third) = spread.addingReportingOverflow(reach)
      guard !first, !second, !third, sum < 1 << 48 else {
        throw OctetError(.shapeMismatch, "x", expected: "a result of a sensible size", found: "\(size)")
      }
      let result = sum + extra + 1 - padding.0 - padding.1
      guard size > 0, result > 0 else {
        throw OctetError(.shapeMismatch, "x", expected: "more than the padding leaves nothing of", found: "\(size)")
      }
      return .fixed(result)
    }

    // The gradient of a convolution's image, with x in the place of the gradient of its result.
    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let (x, weight) = (inputs[0]!, inputs[1]!)
      let shape = try outputTypes(inputs.map { $0?.type })[0].fixedShape!
      return [
        try geometry(x.shape, weight.shape, result: shape)
          .imageGradient(x, weight: weight, bias: optionalOperand(inputs, 2), activation).reinterpreted(as: shape)
      ]
    }

    /// The convolution that goes from the result to x.
    private func geometry(_ x: [Int], _ weight: [Int], result: [Int]) -> ConvolutionGeometry {
      let kernel = imageShape(weight)
      return ConvolutionGeometry(
        windows: ImageWindows(
          stride: stride, padding: padding, dilation: dilation, kernel: Size2D(kernel[2], kernel[3])),
        groups: groups, image: imageShape(result), kernel: kernel, result: imageShape(x))
    }

    public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
      let (x, weight) = (inputs[0]!, inputs[1]!)
      let geometry = geometry(x.shape, weight.shape, result: results[0].shape)
      let (keptX, keptWeight) = (wanted[1] ? x : nil, wanted[0] ? weight : nil)
      let (y, range) = (activation == nil ? nil : results[0], activation?.range)
      let wantsBias = wanted.count > 2 && wanted[2]
      let convolution = Op.Convolution(stride: stride, padding: padding, dilation: dilation, groups: groups)
      let weightShape = weight.shape
      // Output padding may be a stride or more, where the dilation is: windows beyond x are none of its own.
      let own = Op.Slice(starts: x.shape.map { _ in 0 }, ends: x.shape, axes: Array(x.shape.indices))
      return { gradients in
        let gradient = try range.map { try masked(gradients[0]!, by: y!, within: $0) } ?? gradients[0]!
        return [
          try keptWeight.map { try own.evaluate(convolution.evaluate([gradient, $0]))[0] },
          try keptX.map { try geometry.weightGradient(gradient, $0).reinterpreted(as: weightShape) },
          wantsBias ? try gradient.summedPerChannel() : nil,
        ]
      }
    }
  }
}
