/// Batch normalization by the batch's own statistics, as in training. Operands: x [n, c, ...], scale [c], bias [c],
/// epsilon [c]. Result: `(x − mean) / √(variance + epsilon) · scale + bias`, of x's shape.
///
/// It is given what ``batchStatistics(of:channels:)`` has found in x. Gradients know that the statistics change with x:
///
///     r = 1 / √(variance + epsilon),  x̂ = (x − mean) · r
///     dx = scale · r · (dy − mean(dy) − x̂ · mean(dy · x̂))
///     dscale = Σ dy · x̂,  dbias = Σ dy,  depsilon = −½ · scale · r² · Σ dy · x̂
///
/// (Ioffe, Szegedy, 2015.) Of all activations it keeps x alone.
package struct BatchNormalizationInTraining: DifferentiableFunction {
  /// Of each channel of x; the variance is the biased one.
  let mean: [Float]
  let variance: [Float]

  package init(mean: [Float], variance: [Float]) {
    self.mean = mean
    self.variance = variance
  }

  package func outputType(_ inputs: [TensorType]) throws -> TensorType {
    guard inputs.count == 4 else {
      throw OctetError(
        .invalidArgument, "operands", expected: "x, scale, bias and epsilon", found: "\(inputs.count)")
    }
    try inputs[0].require(.float32, rank: 2...Int.max, "x")
    guard TensorType(.float32, [.fixed(mean.count)]).accepts(TensorType(.float32, [inputs[0].shape[1]])) else {
      throw OctetError(.shapeMismatch, "x", expected: "[n, \(mean.count), ...]", found: "\(inputs[0])")
    }
    for (type, name) in zip(inputs.dropFirst(), ["scale", "bias", "epsilon"]) {
      try type.require(.float32, rank: 1...1, name)
      try type.requireShape([.fixed(mean.count)], name)
    }
    return inputs[0]
  }

  package func forward(_ inputs: [Tensor]) throws -> Tensor {
    let x = inputs[0]
    let channels = ChannelRuns(of: x.shape)
    let (scale, bias) = (try inputs[1].scalars(as: Float.self), try inputs[2].scalars(as: Float.self))
    let multiplier = zip(scale, try reciprocals(inputs[3])).map { $0 * $1 }
    let offset = bias.indices.map { bias[$0] - mean[$0] * multiplier[$0] }
    var result = Tensor(uninitialized: x.shape, dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try x.withUnsafeScalars(as: Float.self) { x in
        guard let from = x.baseAddress, let to = out.baseAddress else { return }
        channels.forEach { start, count, channel in
          let (m, b) = (multiplier[channel], offset[channel])
          for i in start..<start + count { to[i] = from[i] * m + b }
        }
      }
    }
    return result
  }

  package func differentiate(
    _ inputs: [Tensor]
  ) throws -> (result: Tensor, pullback: @Sendable (_ gradient: Tensor) throws -> [Tensor?]) {
    (try forward(inputs), { try gradients($0, inputs) })
  }

  package func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] {
    try gradients(gradient, inputs)
  }

  private func gradients(_ gradient: Tensor, _ inputs: [Tensor]) throws -> [Tensor?] {
    let x = inputs[0]
    let channels = ChannelRuns(of: x.shape)
    let (scale, reciprocal) = (try inputs[1].scalars(as: Float.self), try reciprocals(inputs[3]))
    let mean = mean
    let size = Double(max(channels.size, 1))
    var dx = Tensor(uninitialized: x.shape, dtype: .float32)
    // For each channel: Σ dy, Σ dy · x̂.
    var sums = [(dy: Double, product: Double)](repeating: (0, 0), count: mean.count)
    try dx.withUnsafeMutableScalars(as: Float.self) { dx in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try x.withUnsafeScalars(as: Float.self) { x in
          guard let dx = dx.baseAddress, let dy = dy.baseAddress, let x = x.baseAddress else { return }
          sums.withUnsafeMutableBufferPointer { sums in
            channels.forEachBlock { block in
              channels.forEach(in: block) { start, count, channel in
                sums[channel].dy += (dy + start).sum(count: count)
                sums[channel].product += (x + start).product(with: dy + start, from: mean[channel], count: count)
              }
              for channel in block { sums[channel].product *= Double(reciprocal[channel]) }
              // dx = dy · m − (x · a + b)
              channels.forEach(in: block) { start, count, channel in
                let m = scale[channel] * reciprocal[channel]
                let a = Float(sums[channel].product / size) * m * reciprocal[channel]
                let b = Float(sums[channel].dy / size) * m
                let mean = mean[channel]
                for i in start..<start + count { dx[i] = dy[i] * m - ((x[i] - mean) * a + b) }
              }
            }
          }
        }
      }
    }
    func perChannel(_ value: (Int) -> Double) throws -> Tensor {
      try Tensor(mean.indices.map { Float(value($0)) }, shape: [mean.count])
    }
    return [
      dx, try perChannel { sums[$0].product }, try perChannel { sums[$0].dy },
      try perChannel { -0.5 * Double(scale[$0] * reciprocal[$0] * reciprocal[$0]) * sums[$0].product },
    ]
  }

  /// 1 / √(variance + epsilon) for each channel.
  private func reciprocals(_ epsilon: Tensor) throws -> [Float] {
    zip(variance, try epsilon.scalars(as: Float.self)).map { 1 / ($0 + $1).squareRoot() }
  }
}

/// Mean and biased variance of every channel (axis 1) of x [n, c, ...], in two passes: exact but for the last bits.
///
/// - Parameter count: of the channels.
/// - Throws: `OctetError`: `shapeMismatch` for another number of channels, or if a channel has fewer than two values;
///   `notTraceable` if x is traced.
package func batchStatistics(of x: Tensor, channels count: Int) throws -> (mean: [Float], variance: [Float]) {
  try x.requireConcrete("the statistics of a batch in training mode")
  guard x.rank >= 2, x.dtype == .float32, x.shape[1] == count, count > 0, try x.count / count > 1 else {
    throw OctetError(
      .shapeMismatch, "batch normalization",
      expected: "float32 [n, \(count), ...] with more than one value per channel, to train", found: "\(x.type)")
  }
  let channels = ChannelRuns(of: x.shape)
  let size = Double(channels.size)
  var statistics = [(mean: Double, variance: Double)](repeating: (0, 0), count: x.shape[1])
  try x.withUnsafeScalars(as: Float.self) { x in
    let x = x.baseAddress!
    statistics.withUnsafeMutableBufferPointer { statistics in
      channels.forEachBlock { block in
        channels.forEach(in: block) { start, count, channel in
          statistics[channel].mean += (x + start).sum(count: count)
        }
        for channel in block { statistics[channel].mean /= size }
        channels.forEach(in: block) { start, count, channel in
          let mean = Float(statistics[channel].mean)
          statistics[channel].variance += (x + start).squaredDistance(from: mean, count: count)
        }
        // (Around the mean as a float, which may be a little beside it.)
        for channel in block {
          let error = statistics[channel].mean - Double(Float(statistics[channel].mean))
          statistics[channel].variance = max(statistics[channel].variance / size - error * error, 0)
        }
      }
    }
  }
  return (statistics.map { Float($0.mean) }, statistics.map { Float($0.variance) })
}

/// A tensor [n, c, ...] as runs of neighbours of one channel.
struct ChannelRuns {
  private let batch: Int
  private let channels: Int
  private let pixels: Int

  init(of shape: [Int]) {
    (batch, channels) = (shape[0], shape[1])
    pixels = elementCount(of: Array(shape.dropFirst(2)))
  }

  /// The number of elements of a channel.
  var size: Int { batch * pixels }

  /// All runs, concurrently: each alone.
  @inline(__always)
  func forEach(_ body: (_ start: Int, _ count: Int, _ channel: Int) -> Void) {
    let samples = max((1 << 15) / max(channels * pixels, 1), 1)
    concurrently((batch + samples - 1) / samples) { item in
      forEach(in: 0..<channels, of: item * samples..<min((item + 1) * samples, batch), body)
    }
  }

  /// The runs of some channels, in the order of memory.
  @inline(__always)
  func forEach(in block: Range<Int>, _ body: (_ start: Int, _ count: Int, _ channel: Int) -> Void) {
    forEach(in: block, of: 0..<batch, body)
  }

  @inline(__always)
  private func forEach(
    in block: Range<Int>, of samples: Range<Int>, _ body: (_ start: Int, _ count: Int, _ channel: Int) -> Void
  ) {
    for sample in samples {
      for channel in block { body((sample * channels + channel) * pixels, pixels, channel) }
    }
  }

  /// Blocks of channels, whose elements are a few cache lines or more of each sample, concurrently.
  @inline(__always)
  func forEachBlock(_ body: (_ channels: Range<Int>) -> Void) {
    let width = max(64 / max(pixels, 1), 1)
    concurrently((channels + width - 1) / width) { body($0 * width..<min(($0 + 1) * width, channels)) }
  }
}
