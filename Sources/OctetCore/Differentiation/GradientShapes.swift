// What gradients of several operations have in common.

extension Tensor {
  /// The sum over everything that broadcasting from `shape` has repeated: the gradient of a broadcast operand.
  func summed(to shape: [Int]) throws -> Tensor {
    if self.shape == shape { return self }
    return try reduced(to: shape, from: Float(0)) {
      $0 + Float($1.sum(count: $2))
    } element: {
      $0 + $1
    } merge: {
      $0 + $1
    }
  }

  /// The sums over all axes but axis 1, which every channel of a bias has: [n, c, ...] to [c].
  func summedPerChannel() throws -> Tensor {
    let channels = ChannelRuns(of: shape)
    var sums = [Double](repeating: 0, count: shape[1])
    try withUnsafeScalars(as: Float.self) { x in
      guard let x = x.baseAddress else { return }
      sums.withUnsafeMutableBufferPointer { sums in
        channels.forEachBlock { block in
          channels.forEach(in: block) { start, count, channel in sums[channel] += (x + start).sum(count: count) }
        }
      }
    }
    return try Tensor(sums.map { Float($0) }, shape: [shape[1]])
  }
}

/// The gradient that passes where a result lies strictly within the range that an activation clamps to.
func masked(_ gradient: Tensor, by result: Tensor, within range: ClosedRange<Float>) throws -> Tensor {
  // (A loop for each kind of range. NaN lies within none that has a bound.)
  let low = range.lowerBound == -.infinity ? nil : range.lowerBound
  let high = range.upperBound == .infinity ? nil : range.upperBound
  var masked = Tensor(uninitialized: gradient.shape, dtype: .float32)
  try masked.withUnsafeMutableScalars(as: Float.self) { out in
    try gradient.withUnsafeScalars(as: Float.self) { dy in
      try result.withUnsafeScalars(as: Float.self) { y in
        concurrently(elements: out.count) { range in
          if let low, let high {
            for i in range { out[i] = y[i] > low && y[i] < high ? dy[i] : 0 }
          } else if let low {
            for i in range { out[i] = y[i] > low ? dy[i] : 0 }
          } else if let high {
            for i in range { out[i] = y[i] < high ? dy[i] : 0 }
          } else {
            for i in range { out[i] = dy[i] }
          }
        }
      }
    }
  }
  return masked
}
