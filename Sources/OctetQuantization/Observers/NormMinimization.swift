/// PyTorch's search for the part of a histogram whose quantization has the least squared error.
///
/// (torch.ao.quantization.HistogramObserver, `_non_linear_param_search`, after Caffe2's norm minimization.) Each step
/// leaves out 10⁻⁵ of the mass on the side where that skips more bins, and the search stops when the error rises.
struct NormMinimization {
  let counts: [Float]
  let minimum: Float
  let maximum: Float
  /// The number of integers that the range is quantized to.
  let destinationBins: Int

  func range() -> (minimum: Float, maximum: Float) {
    let bins = counts.count
    let width = (maximum - minimum) / Float(bins)
    var sum = 0.0
    let cumulative = counts.map { count -> Float in
      sum += Double(count)
      return Float(sum)
    }
    let total = Double(Float(sum))
    let step = 1e-5
    var (alpha, beta) = (0.0, 1.0)
    var (start, end) = (0, bins - 1)
    var least = Double.infinity
    while alpha < beta {
      let (nextAlpha, nextBeta) = (alpha + step, beta - step)
      var (left, right) = (start, end)
      while left < end, cumulative[left] < Float(nextAlpha * total) { left += 1 }
      while right > start, cumulative[right] > Float(nextBeta * total) { right -= 1 }
      var (nextStart, nextEnd) = (start, end)
      if left - start > end - right {
        nextStart = left
        alpha = nextAlpha
      } else {
        nextEnd = right
        beta = nextBeta
      }
      if nextStart == start, nextEnd == end { continue }
      let error = squaredError(nextStart, nextEnd)
      if error > least { break }
      (least, start, end) = (error, nextStart, nextEnd)
    }
    return (minimum + width * Float(start), minimum + width * Float(end + 1))
  }

  /// The squared error if bins `start` to `end` are quantized and all else is clipped to them. Values are taken to lie
  /// evenly in their bin, so that a stretch from Δb to Δe around an integer's value costs density · (Δe³ − Δb³)/3.
  private func squaredError(_ start: Int, _ end: Int) -> Double {
    let width = (Double(maximum) - Double(minimum)) / Double(counts.count)
    let destinationWidth = width * Double(end - start + 1) / Double(destinationBins)
    let (sourceStep, step) = (Float(width), Float(destinationWidth))
    // (Also where values are so near to 0 that a float32 cannot say how far apart they are.)
    if sourceStep == 0 || step == 0 { return 0 }
    let half = step / 2
    let last = Double(destinationBins - 1)
    func destination(_ x: Float) -> Float {
      // The floor of the exact quotient, which may be cut off where it is above 0.
      Float(Int(min(max(Double(x) / Double(step), 0), last)))
    }
    func cube(_ x: Float) -> Float { x * x * x }
    let whole = (cube(half) - cube(-half)) / 3
    var sum = 0.0
    for (bin, count) in counts.enumerated() where count != 0 {
      let begin = Float(bin - start) * sourceStep
      let finish = begin + sourceStep
      let (first, second) = (destination(begin), destination(finish))
      let density = count / sourceStep
      var error = density * ((cube(half) - cube(begin - (first + 0.5) * step)) / 3)
      error += (second - first - 1) * (density * whole)
      error += density * ((cube(finish - (second * step + half)) - cube(-half)) / 3)
      sum += Double(error)
    }
    return sum
  }
}
