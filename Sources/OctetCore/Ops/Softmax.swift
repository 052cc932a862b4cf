extension Op {
  /// `exp(x) / Σ exp(x)` along one axis, or its logarithm `x − ln Σ exp(x)`. (ONNX's Softmax and LogSoftmax.)
  public struct Softmax: Operation, Codable {
    public var axis: Int
    public var isLogarithm: Bool

    public init(axis: Int = -1, isLogarithm: Bool = false) {
      self.axis = axis
      self.isLogarithm = isLogarithm
    }

    public var attributes: String { "axis \(axis)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 1...Int.max, "x")
      _ = try x.axis(axis)
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let axis = try x.type.axis(axis)
      let size = x.shape[axis]
      let inner = elementCount(of: Array(x.shape[(axis + 1)...]))
      let kernels = InstructionSet.current.kernels
      let softmax = isLogarithm ? kernels.log_softmax_f32! : kernels.softmax_f32!
      var result = Tensor(uninitialized: x.shape, dtype: .float32)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try x.withUnsafeScalars(as: Float.self) { x in
          guard let from = x.baseAddress, let to = out.baseAddress, !x.isEmpty else { return }
          if inner == 1 { return softmax(from, x.count / size, size, to) }
          // Rows along the axis, there and back.
          let block = size * inner
          let rows = UnsafeMutablePointer<Float>.allocate(capacity: 2 * block)
          defer { rows.deallocate() }
          for start in stride(from: 0, to: x.count, by: block) {
            kernels.to_nhwc_f32(from + start, size, inner, rows)
            softmax(rows, inner, size, rows + block)
            kernels.to_nchw_f32(rows + block, size, inner, to + start)
          }
        }
      }
      return [result]
    }
  }
}

// MARK: - Gradient

extension Op.Softmax {
  // dx = y · (dy − Σ dy · y);  for the logarithm dx = dy − eʸ · Σ dy
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let y = results[0]
    let (axis, isLogarithm) = (try y.type.axis(axis), isLogarithm)
    return { gradients in
      let probabilities = isLogarithm ? try exp(y) : y
      var dx = gradients[0]!
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try probabilities.withUnsafeScalars(as: Float.self) { p in
          forEachLine(of: y.shape, axis: axis) { _, start, count, step in
            let line = stride(from: start, to: start + count * step, by: step)
            var sum: Float = 0
            for i in line { sum += isLogarithm ? dx[i] : dx[i] * p[i] }
            for i in line { dx[i] = isLogarithm ? dx[i] - p[i] * sum : p[i] * (dx[i] - sum) }
          }
        }
      }
      return [dx]
    }
  }
}
