/// Convolution of each channel by a filter of its own, and how gradients go back through it, channel by channel of each image.
///
/// A tap of the filter reads every stride-th pixel from some place on. So pixels are sorted by the remainders of their row and
/// column modulo the stride (*phases*), each phase with a border of zeros: then a tap reads a phase that is as a whole moved by some
/// places, and all sums of a plane are sums of long vectors.
struct DepthwisePlanes {
  private let windows: ImageWindows
  private let rows: Axis
  private let columns: Axis

  /// How one axis of the kernel reads one of the image.
  private struct Axis {
    let image: Int
    let result: Int
    let stride: Int
    /// Of each tap: it reads element (o + steps) · stride + phase for result o.
    let taps: [(steps: Int, phase: Int)]
    /// The fewest and the most steps, and the phases that taps read.
    let first: Int
    let last: Int
    let phases: [Int]

    init(image: Int, result: Int, kernel: Int, stride: Int, dilation: Int, padding: Int) {
      (self.image, self.result, self.stride) = (image, result, stride)
      taps = (0..<kernel).map { tap in
        let place = tap * dilation - padding
        let steps = (place >= 0 ? place : place - stride + 1) / stride
        return (steps, place - steps * stride)
      }
      (first, last) = (taps.map(\.steps).min()!, taps.map(\.steps).max()!)
      phases = Set(taps.map(\.phase)).sorted()
    }

    /// Elements of a phase, with its border, and of the gradient of the result with one that all taps of a phase reach.
    var spread: Int { result + last - first }
    var gradientSpread: Int { count(of: 0) + last - first }

    /// Elements of the image in a phase.
    func count(of phase: Int) -> Int { phase < image ? (image - phase - 1) / stride + 1 : 0 }

    /// The elements of a phase with its border that the image has.
    func inside(_ phase: Int) -> Range<Int> { range(max(-first, 0), count(of: phase) - first, spread) }

    /// The elements of the gradient with its border that the result has.
    var gradientInside: Range<Int> { range(max(last, 0), result + last, gradientSpread) }

    private func range(_ lower: Int, _ upper: Int, _ count: Int) -> Range<Int> {
      min(lower, count)..<max(min(upper, count), min(lower, count))
    }
  }

  /// - Parameters:
  ///   - image: [h, w]
  ///   - result: [h', w']
  /// - Returns: nil where borders would be much larger than the image.
  init?(_ windows: ImageWindows, image: [Int], result: [Int]) {
    self.windows = windows
    let (stride, dilation, padding) = (windows.stride, windows.dilation, windows.padding)
    guard windows.kernel.height <= 64, windows.kernel.width <= 64 else { return nil }
    rows = Axis(
      image: image[0], result: result[0], kernel: windows.kernel.height, stride: stride.height,
      dilation: dilation.height, padding: padding.top)
    columns = Axis(
      image: image[1], result: result[1], kernel: windows.kernel.width, stride: stride.width, dilation: dilation.width,
      padding: padding.left)
    let most = 4 * (image[0] * image[1] + result[0] * result[1]) + (1 << 14)
    for (height, width, count) in [
      (rows.spread, columns.spread, rows.phases.count * columns.phases.count),
      (rows.gradientSpread, columns.gradientSpread, 1),
    ] {
      guard height.saturatingProduct(width).saturatingProduct(count) <= most else { return nil }
    }
  }

  // MARK: - Planes in memory

  /// A tap on its way to many sums: where it begins to read, and which of the filter's it is.
  private typealias Tap = (place: Int, index: Int)

  /// Floats of one phase.
  private var phaseSize: Int { padded(rows.spread * columns.spread) }
  private var phasesSize: Int { rows.phases.count * columns.phases.count * phaseSize }
  private var gradientSize: Int { padded(rows.gradientSpread * columns.gradientSpread) }

  /// Sums that are computed together.
  private static let block = 16

  /// Whole blocks, the last of which may read as much more.
  private func padded(_ count: Int) -> Int { (count + Self.block - 1) / Self.block * Self.block + Self.block }

  /// The image's pixels, among the zeros of its phases.
  private func gather(_ image: UnsafePointer<Float>, into phases: UnsafeMutablePointer<Float>) {
    for (i, rowPhase) in rows.phases.enumerated() {
      for (j, columnPhase) in columns.phases.enumerated() {
        let phase = phases + (i * columns.phases.count + j) * phaseSize
        let inside = columns.inside(columnPhase)
        for row in rows.inside(rowPhase) {
          let y = (row + rows.first) * rows.stride + rowPhase
          let line = image + y * columns.image + (inside.lowerBound + columns.first) * columns.stride + columnPhase
          let to = phase + row * columns.spread + inside.lowerBound
          if columns.stride == 1 {
            to.update(from: line, count: inside.count)
          } else {
            for k in 0..<inside.count { to[k] = line[k * columns.stride] }
          }
        }
      }
    }
  }

  /// The filter's taps, each where it begins to read the phases.
  private var taps: [Tap] {
    rows.taps.indices.flatMap { y in
      columns.taps.indices.map { x in
        let (row, column) = (rows.taps[y], columns.taps[x])
        let phase = rows.phases.firstIndex(of: row.phase)! * columns.phases.count
        let place = (row.steps - rows.first) * columns.spread + column.steps - columns.first
        return (
          (phase + columns.phases.firstIndex(of: column.phase)!) * phaseSize + place, y * windows.kernel.width + x
        )
      }
    }
  }

  /// Planes, as many at a time as are worth a thread: (plane, memory that held zeros before the first one, memory for sums).
  private func forEachPlane(
    _ count: Int, zeros: Int, sums: Int,
    _ body: (_ plane: Int, _ zeros: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Float>) -> Void
  ) {
    let step = max((1 << 15) / max(rows.image * columns.image, 1), 1)
    concurrently((count + step - 1) / step, scratch: (zeros + sums) * MemoryLayout<Float>.stride) { item, scratch in
      let scratch = scratch.assumingMemoryBound(to: Float.self)
      scratch.update(repeating: 0, count: zeros)
      for plane in item * step..<min((item + 1) * step, count) { body(plane, scratch, scratch + zeros) }
    }
  }

  /// `start` + Σ weight · x[i + place] for i in 0..<count, clamped; a few more are written.
  private static func sum(
    _ taps: [Tap], _ filter: UnsafePointer<Float>, of x: UnsafePointer<Float>, from start: Float, _ count: Int,
    _ range: ClosedRange<Float>, into out: UnsafeMutablePointer<Float>
  ) {
    taps.withUnsafeBufferPointer { taps in
      for i in stride(from: 0, to: count, by: block) {
        var (a, b) = (SIMD8<Float>(repeating: start), SIMD8<Float>(repeating: start))
        for tap in taps {
          let (x, weight) = (x + i + tap.place, filter[tap.index])
          a += x.eight(0) * weight
          b += x.eight(8) * weight
        }
        UnsafeMutableRawPointer(out + i).storeBytes(of: a, as: SIMD8<Float>.self)
        UnsafeMutableRawPointer(out + i + 8).storeBytes(of: b, as: SIMD8<Float>.self)
      }
    }
    guard range != -.infinity...Float.infinity else { return }
    InstructionSet.current.kernels.clamp_f32(out, count, range.lowerBound, range.upperBound, out)
  }

  // MARK: - The convolution and its gradients

  /// x [n, c, h, w], weight [c, 1, kh, kw], bias [c]: `clamp(conv(x, weight) + bias)` [n, c, h', w']
  func convolution(_ x: Tensor, weight: Tensor, bias: Tensor?, _ range: ClosedRange<Float>) throws -> Tensor {
    let (images, channels, taps) = (x.shape[0], x.shape[1], taps)
    let count = (rows.result - 1) * columns.spread + columns.result
    let starts = try bias?.scalars(as: Float.self)
    var result = Tensor(uninitialized: [images, channels, rows.result, columns.result], dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try x.withUnsafeScalars(as: Float.self) { x in
        try weight.withUnsafeScalars(as: Float.self) { weight in
          let (x, out, weight) = (x.baseAddress!, out.baseAddress!, weight.baseAddress!)
          forEachPlane(images * channels, zeros: phasesSize, sums: padded(count)) { plane, phases, sums in
            let channel = plane % channels
            gather(x + plane * rows.image * columns.image, into: phases)
            Self.sum(
              taps, weight + channel * taps.count, of: phases, from: starts?[channel] ?? 0, count, range, into: sums)
            let to = out + plane * rows.result * columns.result
            for row in 0..<rows.result {
              (to + row * columns.result).update(from: sums + row * columns.spread, count: columns.result)
            }
          }
        }
      }
    }
    return result
  }

  /// The gradient [n, c, h', w'] of the result, weight [c, 1, kh, kw], bias [c]: that of the image, which is a transposed
  /// convolution, `clamp(… + bias)` [n, c, h, w]
  func imageGradient(
    _ gradient: Tensor, weight: Tensor, bias: Tensor?, _ range: ClosedRange<Float>
  ) throws -> Tensor {
    let (images, channels) = (gradient.shape[0], gradient.shape[1])
    let starts = try bias?.scalars(as: Float.self)
    // For each phase the taps that go there.
    let phases = rows.phases.flatMap { y in columns.phases.map { x in (y: y, x: x, taps: gradientTaps(to: y, x)) } }
    let isWhole = phases.count == rows.stride * columns.stride
    let spread = columns.gradientSpread
    var result = Tensor(uninitialized: [images, channels, rows.image, columns.image], dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try weight.withUnsafeScalars(as: Float.self) { weight in
          let (dy, out, weight) = (dy.baseAddress!, out.baseAddress!, weight.baseAddress!)
          forEachPlane(images * channels, zeros: gradientSize, sums: gradientSize) { plane, border, sums in
            let channel = plane % channels
            let (filter, start) = (
              weight + channel * windows.kernel.height * windows.kernel.width, starts?[channel] ?? 0
            )
            let (from, inside) = (dy + plane * rows.result * columns.result, columns.gradientInside)
            for row in rows.gradientInside {
              (border + row * spread + inside.lowerBound).update(
                from: from + (row - rows.last) * columns.result + inside.lowerBound - columns.last, count: inside.count)
            }
            let to = out + plane * rows.image * columns.image
            if !isWhole { to.update(repeating: clamp(start, to: range), count: rows.image * columns.image) }
            for phase in phases {
              let (height, width) = (rows.count(of: phase.y), columns.count(of: phase.x))
              guard height > 0, width > 0 else { continue }
              Self.sum(phase.taps, filter, of: border, from: start, (height - 1) * spread + width, range, into: sums)
              for row in 0..<height {
                let line = to + (row * rows.stride + phase.y) * columns.image + phase.x
                let sums = sums + row * spread
                if columns.stride == 1 {
                  line.update(from: sums, count: width)
                } else {
                  for k in 0..<width { line[k * columns.stride] = sums[k] }
                }
              }
            }
          }
        }
      }
    }
    return result
  }

  /// The taps that read a phase of the image, each where it begins to read the gradient with its border.
  private func gradientTaps(to y: Int, _ x: Int) -> [Tap] {
    rows.taps.enumerated().filter { $1.phase == y }.flatMap { i, row in
      columns.taps.enumerated().filter { $1.phase == x }.map { j, column in
        (
          (rows.last - row.steps) * columns.gradientSpread + columns.last - column.steps,
          i * windows.kernel.width + j
        )
      }
    }
  }

  /// x [n, c, h, w], the gradient [n, c, h', w'] of the result: that of the weight [c, 1, kh, kw], each channel's a sum over
  /// images in their order.
  func weightGradient(_ x: Tensor, _ gradient: Tensor) throws -> Tensor {
    let (images, channels, taps) = (x.shape[0], x.shape[1], taps)
    let (imageSize, resultSize) = (rows.image * columns.image, rows.result * columns.result)
    let count = (rows.result - 1) * columns.spread + columns.result
    let step = max((1 << 15) / (images * imageSize), 1)
    let (phasesSize, size) = (phasesSize, phasesSize + padded(count))
    var dweight = Tensor(
      uninitialized: [channels, 1, windows.kernel.height, windows.kernel.width], dtype: .float32)
    try dweight.withUnsafeMutableScalars(as: Float.self) { dweight in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try x.withUnsafeScalars(as: Float.self) { x in
          let (dweight, x, dy) = (dweight.baseAddress!, x.baseAddress!, dy.baseAddress!)
          concurrently((channels + step - 1) / step, scratch: size * MemoryLayout<Float>.stride) { item, scratch in
            let phases = scratch.assumingMemoryBound(to: Float.self)
            // The gradient in rows as long as those of a phase, which end in zeros.
            let lines = phases + phasesSize
            phases.update(repeating: 0, count: size)
            var sums = [Double](repeating: 0, count: taps.count)
            for channel in item * step..<min((item + 1) * step, channels) {
              for tap in taps.indices { sums[tap] = 0 }
              for plane in stride(from: channel, to: images * channels, by: channels) {
                gather(x + plane * imageSize, into: phases)
                for row in 0..<rows.result {
                  (lines + row * columns.spread).update(
                    from: dy + plane * resultSize + row * columns.result, count: columns.result)
                }
                for (i, tap) in taps.enumerated() {
                  sums[i] += UnsafePointer(lines).product(with: phases + tap.place, count: count)
                }
              }
              for (i, tap) in taps.enumerated() {
                // (Where an element is infinite, zeros beside it are no longer none.)
                dweight[channel * taps.count + tap.index] =
                  sums[i].isFinite
                  ? Float(sums[i])
                  : weightGradient(x, dy, tap.index, planes: stride(from: channel, to: images * channels, by: channels))
              }
            }
          }
        }
      }
    }
    return dweight
  }

  /// The same of one tap and channel, term by term.
  private func weightGradient(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, _ tap: Int, planes: StrideTo<Int>
  ) -> Float {
    let (row, column) = (rows.taps[tap / windows.kernel.width], columns.taps[tap % windows.kernel.width])
    var sum = 0.0
    for plane in planes {
      let (x, dy) = (x + plane * rows.image * columns.image, dy + plane * rows.result * columns.result)
      for i in 0..<rows.result {
        let y = (i + row.steps) * rows.stride + row.phase
        guard (0..<rows.image).contains(y) else { continue }
        for j in 0..<columns.result {
          let place = (j + column.steps) * columns.stride + column.phase
          guard (0..<columns.image).contains(place) else { continue }
          sum += Double(dy[i * columns.result + j] * x[y * columns.image + place])
        }
      }
    }
    return Float(sum)
  }
}
