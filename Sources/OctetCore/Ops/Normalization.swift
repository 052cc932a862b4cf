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

// MARK: - Gradients

extension Op.BatchNormalization {
  // With r = 1/√(variance + ε) and x̂ = (x − mean) · r, per channel:
  //   dx = dy · scale · r,  dscale = Σ dy · x̂,  dbias = Σ dy,  dmean = −scale · r · Σ dy,  dvariance = −½ scale · r² · Σ dy · x̂
  // Statistics of the batch itself are operands like others: their gradients go on to x from where they were computed.
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let operands = inputs.map { $0! }
    let wantsSums = wanted.dropFirst().contains(true)
    let keptX = wanted[1] || wanted[4] ? operands[0] : nil
    let statistics = try operands[1...].map { try $0.scalars(as: Float.self) }
    let epsilon = epsilon
    return { gradients in
      let (scale, mean, variance) = (statistics[0], statistics[2], statistics[3])
      let reciprocal = variance.map { 1 / ($0 + epsilon).squareRoot() }
      let channels = scale.count
      let pixels = elementCount(of: Array(gradients[0]!.shape.dropFirst(2)))
      var sums = [Double](repeating: 0, count: channels)
      var products = [Double](repeating: 0, count: channels)
      var dx = gradients[0]!
      if wantsSums, pixels > 0 {
        try gradients[0]!.withUnsafeScalars(as: Float.self) { dy in
          func addSums(_ x: UnsafeBufferPointer<Float>?) {
            for (block, start) in stride(from: 0, to: dy.count, by: pixels).enumerated() {
              let channel = block % channels
              var (sum, product): (Float, Float) = (0, 0)
              for i in start..<start + pixels {
                sum += dy[i]
                if let x { product += dy[i] * (x[i] - mean[channel]) }
              }
              sums[channel] += Double(sum)
              products[channel] += Double(product * reciprocal[channel])
            }
          }
          if let keptX { try keptX.withUnsafeScalars(as: Float.self) { addSums($0) } } else { addSums(nil) }
        }
      }
      if wanted[0], pixels > 0 {
        try dx.withUnsafeMutableScalars(as: Float.self) { dx in
          for (block, start) in stride(from: 0, to: dx.count, by: pixels).enumerated() {
            let factor = scale[block % channels] * reciprocal[block % channels]
            for i in start..<start + pixels { dx[i] *= factor }
          }
        }
      }
      func perChannel(_ isWanted: Bool, _ value: (Int) -> Double) throws -> Tensor? {
        isWanted ? try Tensor((0..<channels).map { Float(value($0)) }, shape: [channels]) : nil
      }
      return [
        wanted[0] ? dx : nil,
        try perChannel(wanted[1]) { products[$0] },
        try perChannel(wanted[2]) { sums[$0] },
        try perChannel(wanted[3]) { -Double(scale[$0] * reciprocal[$0]) * sums[$0] },
        try perChannel(wanted[4]) { -0.5 * Double(scale[$0] * reciprocal[$0] * reciprocal[$0]) * products[$0] },
      ]
    }
  }
}

extension Op.Normalize {
  // For each row of c values, with g = dy · scale:  dx = r · (g − mean(g) − x̂ · mean(g · x̂)),  dscale = Σ dy · x̂,  dbias = Σ dy
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let x = inputs[0]!
    let columns = try columns(of: x.type)
    let isLayer = if case .layer = domain { true } else { false }
    let (scaleOperand, bias) = (optionalOperand(inputs, 1), optionalOperand(inputs, 2))
    let scale = try scaleOperand?.scalars(as: Float.self)
    let channels = isLayer ? columns : x.shape[1]
    let pixels = isLayer ? 1 : elementCount(of: Array(x.shape.dropFirst(2)))
    let epsilon = epsilon
    return { gradients in
      var dx = Tensor(uninitialized: x.shape, dtype: .float32)
      var dscale = [Double](repeating: 0, count: channels)
      var dbias = [Double](repeating: 0, count: channels)
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try gradients[0]!.withUnsafeScalars(as: Float.self) { dy in
          try x.withUnsafeScalars(as: Float.self) { x in
            guard columns > 0 else { return }
            for start in stride(from: 0, to: x.count, by: columns) {
              let row = start..<start + columns
              let mean = row.reduce(0.0) { $0 + Double(x[$1]) } / Double(columns)
              let variance = row.reduce(0.0) { sum, i in sum + (Double(x[i]) - mean) * (Double(x[i]) - mean) }
              let r = 1 / (variance / Double(columns) + Double(epsilon)).squareRoot()
              var (sum, product) = (0.0, 0.0)
              for i in row {
                let channel = i / pixels % channels
                let normalized = (Double(x[i]) - mean) * r
                let g = Double(dy[i]) * Double(scale?[channel] ?? 1)
                sum += g
                product += g * normalized
                dscale[channel] += Double(dy[i]) * normalized
                dbias[channel] += Double(dy[i])
              }
              (sum, product) = (sum / Double(columns), product / Double(columns))
              for i in row {
                let g = Double(dy[i]) * Double(scale?[i / pixels % channels] ?? 1)
                dx[i] = Float(r * (g - sum - (Double(x[i]) - mean) * r * product))
              }
            }
          }
        }
      }
      return [
        dx, try scaleOperand.map { try Tensor(dscale.map { Float($0) }, shape: $0.shape) },
        try bias.map { try Tensor(dbias.map { Float($0) }, shape: $0.shape) },
      ]
    }
  }
}
