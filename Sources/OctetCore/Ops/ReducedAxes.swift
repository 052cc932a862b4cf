/// How the elements of a tensor come together in one of fewer: as runs of neighbours, which belong to one result or, one each,
/// to neighbours.
///
/// Axes side by side that are kept, or are reduced, count as one. Work is divided by results, whose terms keep their order; or, of
/// much that becomes little, by the outermost axis, into *parts* that have results of their own.
struct ReducedAxes {
  private typealias Axis = (size: Int, stride: Int, isReduced: Bool)

  /// Outermost first, without those of one element.
  private let axes: [Axis]
  private let count: Int
  /// How many results there are, of each part.
  let results: Int
  let parts: Int

  /// From a shape to one that broadcasts to it.
  init(of shape: [Int], to target: [Int]) {
    var axes: [Axis] = []
    let missing = shape.count - target.count
    for (axis, size) in shape.enumerated() where size != 1 {
      let isReduced = axis < missing || target[axis - missing] == 1
      if let last = axes.last, last.isReduced == isReduced {
        axes[axes.count - 1].size *= size
      } else {
        axes.append((size, 1, isReduced))
      }
    }
    for axis in axes.indices.dropLast().reversed() { axes[axis].stride = axes[axis + 1].size * axes[axis + 1].stride }
    self.axes = axes
    count = axes.reduce(1) { $0 * $1.size }
    results = axes.reduce(1) { $1.isReduced ? $0 : $0 * $1.size }
    let neighbours = axes.last.map { $0.isReduced ? .max : $0.size } ?? 1
    let isDivided = axes.first?.isReduced ?? false && (results < 8 || neighbours < 64)
    parts = isDivided ? max(min(count / Self.size, 16, axes[0].size), 1) : 1
  }

  /// Elements that are worth a thread.
  private static let size = 1 << 15

  /// All runs, concurrently, those of a result by one thread in their order: (its place in [parts, results], the first element,
  /// elements, whether they are those of as many results).
  @inline(__always)
  func forEachRun(_ body: (_ result: Int, _ start: Int, _ count: Int, _ isAlong: Bool) -> Void) {
    guard count > 0 else { return }
    let isAlong = !(axes.last?.isReduced ?? true)
    let (kept, reduced) = (axes.filter { !$0.isReduced }, axes.filter(\.isReduced))
    let width = isAlong ? kept.last!.size : 1
    let outer = isAlong ? Array(kept.dropLast()) : kept
    // Whole vectors of neighbours.
    let block = max(Self.size / (count / results / parts), 1)
    let size = min(isAlong ? (block + 15) / 16 * 16 : block, results)
    let blocks = (results + size - 1) / size
    concurrently(parts * blocks) { item in
      let part = item / blocks
      var own = reduced
      var base = 0
      if parts > 1 {
        let (first, last) = (own[0].size * part / parts, own[0].size * (part + 1) / parts)
        (own[0].size, base) = (last - first, first * own[0].stride)
      }
      let run = isAlong ? 1 : own.popLast()?.size ?? 1
      OctetCore.forEachRun(of: width, in: item % blocks * size..<min((item % blocks + 1) * size, results)) {
        start, first, count in
        var (rest, offset) = (start / width, base + first)
        for axis in outer.reversed() {
          offset += rest % axis.size * axis.stride
          rest /= axis.size
        }
        Self.forEachOffset(own[...], offset) {
          body(part * results + start + first, $0, isAlong ? count : run, isAlong)
        }
      }
    }
  }

  private static func forEachOffset(_ axes: ArraySlice<Axis>, _ offset: Int, _ body: (Int) -> Void) {
    guard let axis = axes.first else { return body(offset) }
    if axes.count == 1 {
      for i in 0..<axis.size { body(offset + i * axis.stride) }
    } else {
      for i in 0..<axis.size { forEachOffset(axes.dropFirst(), offset + i * axis.stride, body) }
    }
  }
}

extension Tensor {
  /// The elements that come together in a smaller shape, as one number each, which `start` begins.
  ///
  /// - Parameters:
  ///   - run: a number and the elements that follow as one number.
  ///   - element: the same for one element.
  ///   - merge: two numbers as one.
  @inline(__always)
  func reduced<Number: TensorScalar>(
    to shape: [Int], from start: Number, run: (Number, UnsafePointer<Number>, Int) -> Number,
    element: (Number, Number) -> Number, merge: (Number, Number) -> Number
  ) throws -> Tensor {
    let axes = ReducedAxes(of: self.shape, to: shape)
    var parts = try Tensor(repeating: start, shape: [axes.parts, elementCount(of: shape)])
    try parts.withUnsafeMutableScalars(as: Number.self) { out in
      try withUnsafeScalars(as: Number.self) { x in
        guard let out = out.baseAddress, let x = x.baseAddress else { return }
        axes.forEachRun { result, start, count, isAlong in
          let (out, x) = (out + result, x + start)
          if isAlong {
            for i in 0..<count { out[i] = element(out[i], x[i]) }
          } else {
            out[0] = run(out[0], x, count)
          }
        }
        for part in 1..<axes.parts {
          for i in 0..<axes.results { out[i] = merge(out[i], out[part * axes.results + i]) }
        }
      }
    }
    return axes.parts == 1 ? parts.reinterpreted(as: shape) : try parts[0..<1].reinterpreted(as: shape)
  }
}
