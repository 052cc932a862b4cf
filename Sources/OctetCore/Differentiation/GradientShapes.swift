// What gradients of several operations have in common.

extension Tensor {
  /// The sum over everything that broadcasting from `shape` has repeated: the gradient of a broadcast operand.
  func summed(to shape: [Int]) throws -> Tensor {
    if self.shape == shape { return self }
    let offsets = BroadcastOffsets(of: shape, to: self.shape)
    var result = try Tensor(zeros: shape)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try withUnsafeScalars(as: Float.self) { elements in
        guard !elements.isEmpty else { return }
        let run = offsets.run
        for start in stride(from: 0, to: elements.count, by: run.count) {
          let to = offsets[start]
          if run.step == 0 {
            var sum = 0.0
            for i in start..<start + run.count { sum += Double(elements[i]) }
            out[to] += Float(sum)
          } else {
            for i in 0..<run.count { out[to + i] += elements[start + i] }
          }
        }
      }
    }
    return result
  }

  /// The sums over all axes but one, which every channel of a bias has: [c].
  func summedPerChannel(axis: Int) throws -> Tensor {
    var shape = [Int](repeating: 1, count: rank)
    shape[axis] = self.shape[axis]
    return try summed(to: shape).reinterpreted(as: [self.shape[axis]])
  }
}

/// The gradient that passes where a result lies strictly within the range that an activation clamps to.
func masked(_ gradient: Tensor, by result: Tensor, within range: ClosedRange<Float>) throws -> Tensor {
  try combine(gradient, result) { (gradient: Float, y: Float) in
    (y > range.lowerBound || range.lowerBound == -.infinity) && (y < range.upperBound || range.upperBound == .infinity)
      ? gradient : 0
  }
}
