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

  /// `exp(x) / Σ exp(x)` along one axis.
  public struct Softmax: Operation, Codable {
    public var axis: Int

    public init(axis: Int = -1) { self.axis = axis }

    public var attributes: String { "axis \(axis)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 1...Int.max, "x")
      _ = try x.axis(axis)
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      var result = inputs[0]!
      let axis = try result.type.axis(axis)
      let size = result.shape[axis]
      let inner = elementCount(of: Array(result.shape[(axis + 1)...]))
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        guard !out.isEmpty else { return }
        for outer in 0..<out.count / (size * inner) {
          for column in 0..<inner {
            let base = outer * size * inner + column
            let line = (0..<size).map { base + $0 * inner }
            let peak = line.reduce(-Float.infinity) { max($0, out[$1]) }
            var sum: Float = 0
            for i in line {
              out[i] = exponential(out[i] - peak)
              sum += out[i]
            }
            for i in line { out[i] /= sum }
          }
        }
      }
      return [result]
    }
  }
}
