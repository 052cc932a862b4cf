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
          let block = size * inner
          // Rows along the axis, there and back.
          concurrently(rowsOf: block, x.count / block, scratch: inner == 1 ? 0 : 2 * block) { blocks, rows in
            let first = blocks.lowerBound * block
            if inner == 1 { return softmax(from + first, blocks.count, size, to + first) }
            for start in stride(from: first, to: blocks.upperBound * block, by: block) {
              kernels.to_nhwc_f32(from + start, size, inner, rows)
              softmax(rows, inner, size, rows + block)
              kernels.to_nchw_f32(rows + block, size, inner, to + start)
            }
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
      let size = y.shape[axis]
      let inner = elementCount(of: Array(y.shape[(axis + 1)...]))
      let block = size * inner
      var dx = gradients[0]!
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try probabilities.withUnsafeScalars(as: Float.self) { p in
          guard let dx = dx.baseAddress, let from = p.baseAddress, !p.isEmpty else { return }
          concurrently(rowsOf: block, p.count / block, scratch: inner) { blocks, sums in
            for start in stride(from: blocks.lowerBound * block, to: blocks.upperBound * block, by: block) {
              let (dx, p) = (dx + start, from + start)
              if inner == 1 {
                let sum = Float(isLogarithm ? UnsafePointer(dx).sum(count: size) : p.product(with: dx, count: size))
                for i in 0..<size { dx[i] = isLogarithm ? dx[i] - p[i] * sum : p[i] * (dx[i] - sum) }
                continue
              }
              sums.update(repeating: 0, count: inner)
              for row in stride(from: 0, to: block, by: inner) {
                for i in 0..<inner { sums[i] += isLogarithm ? dx[row + i] : dx[row + i] * p[row + i] }
              }
              for row in stride(from: 0, to: block, by: inner) {
                for i in 0..<inner {
                  let (dy, p) = (dx[row + i], p[row + i])
                  dx[row + i] = isLogarithm ? dy - p * sums[i] : p * (dy - sums[i])
                }
              }
            }
          }
        }
      }
      return [dx]
    }
  }
}

/// Rows of so many elements, as many at a time as are worth a thread, and scratch for so many floats.
private func concurrently(
  rowsOf size: Int, _ count: Int, scratch: Int, _ body: (_ rows: Range<Int>, UnsafeMutablePointer<Float>) -> Void
) {
  let step = max((1 << 15) / size, 1)
  concurrently((count + step - 1) / step, scratch: scratch * MemoryLayout<Float>.stride) { item, scratch in
    body(item * step..<min((item + 1) * step, count), scratch.assumingMemoryBound(to: Float.self))
  }
}
