extension Op {
  /// Batch normalization over axis 1. Operands: x [n, c, ...], scale [c], bias [c], mean [c], variance [c].
  /// Result: `(x − mean) / √(variance + epsilon) · scale + bias`.
  public struct BatchNormalization: Operation, Codable {
    public var epsilon: Float

    public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }

    public var attributes: String { epsilon == 1e-5 ? "" : "epsilon \(epsilon)" }

    public var operandCount: ClosedRange<Int> { 5...5 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 2...Int.max, "x")
      for (index, name) in ["scale", "bias", "mean", "variance"].enumerated() {
        let statistic = try operand(inputs, index + 1, name)
        try statistic.require(.float32, rank: 1...1, name)
        try statistic.requireShape([x.shape[1]], name)
      }
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      var result = inputs[0]!
      let (multiplier, offset) = try Self.affine(
        scale: inputs[1]!, bias: inputs[2]!, mean: inputs[3]!, variance: inputs[4]!, epsilon: epsilon)
      let channels = multiplier.count
      let pixels = elementCount(of: Array(result.shape.dropFirst(2)))
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        for (block, start) in stride(from: 0, to: pixels == 0 ? 0 : out.count, by: max(pixels, 1)).enumerated() {
          let (m, b) = (multiplier[block % channels], offset[block % channels])
          for i in start..<start + pixels { out[i] = out[i] * m + b }
        }
      }
      return [result]
    }

    /// Batch normalization with fixed statistics as `x · multiplier + offset`, per channel.
    package static func affine(
      scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: Float
    ) throws -> (multiplier: [Float], offset: [Float]) {
      let scale = try scale.scalars(as: Float.self)
      let bias = try bias.scalars(as: Float.self)
      let mean = try mean.scalars(as: Float.self)
      let variance = try variance.scalars(as: Float.self)
      let multiplier = zip(scale, variance).map { $0 / ($1 + epsilon).squareRoot() }
      let offset = bias.indices.map { bias[$0] - mean[$0] * multiplier[$0] }
      return (multiplier, offset)
    }
  }

  /// Normalization by mean and (biased) variance of the values themselves: `(x − mean) / √(variance + epsilon) · scale +
  /// bias`. Operands: x, scale and bias (both optional). Result: of x's shape.
  public struct Normalize: Operation, Codable {
    /// Which values are normalized together.
    public enum Domain: Hashable, Sendable, Codable {
      /// The axes from this one to the last; scale and bias have their shape. (ONNX's LayerNormalization.)
      case layer(axis: Int)
      /// A number of groups of the channels (axis 1) of each sample; scale and bias have one number for each channel.
      /// (ONNX's GroupNormalization, opset 21.)
      case group(Int)
      /// Each channel (axis 1) of each sample; scale and bias have one number for each. (ONNX's InstanceNormalization.)
      case instance
    }

    public var domain: Domain
    public var epsilon: Float

    public init(_ domain: Domain, epsilon: Float = 1e-5) {
      self.domain = domain
      self.epsilon = epsilon
    }

    public var attributes: String {
      let domain =
        switch domain {
        case .layer(let axis): "axis \(axis)"
        case .group(let count): "groups \(count)"
        case .instance: ""
        }
      return [domain, epsilon == 1e-5 ? "" : "epsilon \(epsilon)"].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    public var operandCount: ClosedRange<Int> { 1...3 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let shape: [Dimension]
      switch domain {
      case .layer(let axis):
        try x.require(.float32, rank: 1...Int.max, "x")
        shape = Array(x.shape[(try x.axis(axis))...])
      case .group, .instance:
        try x.require(.float32, rank: 2...Int.max, "x")
        shape = [x.shape[1]]
      }
      if case .group(let count) = domain {
        guard count > 0, let channels = x.shape[1].size, channels.isMultiple(of: count) else {
          throw OctetError(
            .invalidArgument, "groups", expected: "a number that divides the channels of \(x)", found: "\(count)")
        }
      }
      for (index, name) in ["scale", "bias"].enumerated() {
        guard let operand = optionalOperand(inputs, index + 1) else { continue }
        try operand.require(.float32, rank: shape.count...shape.count, name)
        try operand.requireShape(shape, name)
      }
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let kernels = InstructionSet.current.kernels
      let columns = try columns(of: x.type)
      let isLayer = if case .layer = domain { true } else { false }
      let scale = try optionalOperand(inputs, 1)?.scalars(as: Float.self)
      let bias = try optionalOperand(inputs, 2)?.scalars(as: Float.self)
      var result = Tensor(uninitialized: x.shape, dtype: .float32)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try x.withUnsafeScalars(as: Float.self) { x in
          guard let from = x.baseAddress, let to = out.baseAddress, !x.isEmpty else { return }
          kernels.layer_norm_f32(
            from, x.count / columns, columns, isLayer ? scale : nil, isLayer ? bias : nil, epsilon, to)
        }
        // The kernel's scale goes along the row; that of a channel goes across.
        if isLayer || scale == nil && bias == nil { return }
        let channels = x.shape[1]
        let pixels = elementCount(of: Array(x.shape.dropFirst(2)))
        for i in out.indices {
          let channel = i / pixels % channels
          out[i] = out[i] * (scale?[channel] ?? 1) + (bias?[channel] ?? 0)
        }
      }
      return [result]
    }

    /// How many consecutive elements of x are normalized together.
    package func columns(of x: TensorType) throws -> Int {
      let shape = x.fixedShape!
      let pixels = elementCount(of: Array(shape.dropFirst(2)))
      return switch domain {
      case .layer(let axis): elementCount(of: Array(shape[(try x.axis(axis))...]))
      case .group(let count): shape[1] / count * pixels
      case .instance: pixels
      }
    }
  }
}
