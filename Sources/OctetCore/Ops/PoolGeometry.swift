/// Pooling over planes of images, some at a time.
struct PoolGeometry {
  private let pool: Op.Pool
  private let shape: [Int]
  let pooledShape: [Int]
  private let h, w: Int
  private let outH, outW: Int
  private let rows: [Window]
  private let columns: [Window]

  /// The positions inside the input that a window covers along one axis: `first + i · dilation` for i in 0..<count.
  private struct Window {
    let first: Int
    let count: Int
  }

  init(_ pool: Op.Pool, _ shape: [Int], _ pooledShape: [Int]) {
    (self.pool, self.shape, self.pooledShape) = (pool, shape, pooledShape)
    let (image, pooled) = (imageShape(shape), imageShape(pooledShape))
    let (h, w) = (image[2], image[3])
    (self.h, self.w, outH, outW) = (h, w, pooled[2], pooled[3])
    func windows(_ count: Int, _ stride: Int, _ kernel: Int, _ dilation: Int, _ padding: Int, _ size: Int) -> [Window] {
      (0..<count).map { index in
        // (A kernel may be much longer than what it covers.)
        let start = index * stride - padding
        let first = start >= 0 ? 0 : (dilation - 1 - start) / dilation
        let end = start < size ? min(kernel, (size - start + dilation - 1) / dilation) : 0
        return Window(first: start + first * dilation, count: max(end - first, 0))
      }
    }
    rows = windows(outH, pool.stride.height, pool.kernel.height, pool.dilation.height, pool.padding.top, h)
    columns = windows(outW, pool.stride.width, pool.kernel.width, pool.dilation.width, pool.padding.left, w)
  }

  /// The pixels of an image.
  var plane: Int { h * w }

  /// Calls `body` for every plane, concurrently.
  @inline(__always)
  private func forEachPlane(_ body: (_ plane: Int) -> Void) {
    let planes = elementCount(of: pooledShape) / max(outH * outW, 1)
    let size = max((1 << 15) / max(plane, 1), 1)
    concurrently((planes + size - 1) / size) { item in
      for plane in item * size..<min((item + 1) * size, planes) { body(plane) }
    }
  }

  @inline(__always)
  private func forEachWindow(_ body: (_ place: Int, _ rows: Window, _ columns: Window) -> Void) {
    rows.withUnsafeBufferPointer { rows in
      columns.withUnsafeBufferPointer { columns in
        for oy in 0..<outH {
          for ox in 0..<outW { body(oy * outW + ox, rows[oy], columns[ox]) }
        }
      }
    }
  }

  /// - Parameter places: gets for each maximum where in its plane it was found: the first of the largest, as in PyTorch; −1 if
  ///   the window covers nothing.
  func pooled(_ x: Tensor, places: UnsafeMutablePointer<Int32>?) throws -> Tensor {
    var result = Tensor(uninitialized: pooledShape, dtype: .float32)
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try x.withUnsafeScalars(as: Float.self) { x in
        guard let out = out.baseAddress, let x = x.baseAddress else { return }
        forEachPlane { plane in
          let (from, to) = (x + plane * h * w, plane * outH * outW)
          if pool.kind == .average {
            average(from, into: out + to)
          } else if isTwoByTwo {
            maximaOfFour(from, into: out + to, places.map { $0 + to })
          } else {
            maxima(from, into: out + to, places.map { $0 + to })
          }
        }
      }
    }
    return result
  }

  private func average(_ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>) {
    let dilation = pool.dilation
    forEachWindow { place, rows, columns in
      var sum = 0.0
      for j in 0..<rows.count {
        let line = x + (rows.first + j * dilation.height) * w + columns.first
        for i in 0..<columns.count { sum += Double(line[i * dilation.width]) }
      }
      out[place] = Float(sum) / Float(divisor(place, rows, columns))
    }
  }

  private func divisor(_ place: Int, _ rows: Window, _ columns: Window) -> Int {
    pool.divisor(place / outW, place % outW, h, w, inside: rows.count * columns.count)
  }

  private func maxima(
    _ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>, _ places: UnsafeMutablePointer<Int32>?
  ) {
    let dilation = pool.dilation
    forEachWindow { place, rows, columns in
      var (value, best) = (-Float.infinity, -1)
      for j in 0..<rows.count {
        let start = (rows.first + j * dilation.height) * w + columns.first
        for i in 0..<columns.count {
          let sample = x[start + i * dilation.width]
          // NaN wins a maximum, as in PyTorch.
          if sample > value || best < 0 || sample.isNaN { (value, best) = (sample, start + i * dilation.width) }
        }
      }
      out[place] = value
      places?[place] = Int32(truncatingIfNeeded: best)
    }
  }

  /// Windows of 2 × 2 side by side, which most networks have.
  private var isTwoByTwo: Bool {
    pool.kernel == 2 && pool.stride == 2 && pool.dilation == 1 && 2 * outH <= h && 2 * outW <= w
      && pool.padding.top == 0 && pool.padding.left == 0
  }

  private func maximaOfFour(
    _ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>, _ places: UnsafeMutablePointer<Int32>?
  ) {
    for oy in 0..<outH {
      let (line, to) = (x + 2 * oy * w, oy * outW)
      var ox = 0
      // Eight windows at a time.
      let lanes = SIMD8<Int32>(0, 2, 4, 6, 8, 10, 12, 14)
      while ox + 8 <= outW {
        let upper = UnsafeRawPointer(line + 2 * ox).loadUnaligned(as: SIMD16<Float>.self)
        let lower = UnsafeRawPointer(line + w + 2 * ox).loadUnaligned(as: SIMD16<Float>.self)
        var (value, place) = (upper.evenHalf, SIMD8<Int32>(repeating: 0))
        func consider(_ sample: SIMD8<Float>, _ offset: Int) {
          // (A NaN is not equal to itself.)
          let wins = (sample .> value) .| (sample .!= sample)
          value.replace(with: sample, where: wins)
          place.replace(with: SIMD8(repeating: Int32(truncatingIfNeeded: offset)), where: wins)
        }
        consider(upper.oddHalf, 1)
        consider(lower.evenHalf, w)
        consider(lower.oddHalf, w + 1)
        UnsafeMutableRawPointer(out + to + ox).storeBytes(of: value, as: SIMD8<Float>.self)
        if let places {
          let first = SIMD8(repeating: Int32(truncatingIfNeeded: 2 * oy * w + 2 * ox))
          UnsafeMutableRawPointer(places + to + ox).storeBytes(of: place &+ lanes &+ first, as: SIMD8<Int32>.self)
        }
        ox += 8
      }
      while ox < outW {
        var (value, place) = (line[2 * ox], 2 * ox)
        for offset in [1, w, w + 1] {
          let sample = line[2 * ox + offset]
          if sample > value || sample.isNaN { (value, place) = (sample, 2 * ox + offset) }
        }
        out[to + ox] = value
        places?[to + ox] = Int32(truncatingIfNeeded: 2 * oy * w + place)
        ox += 1
      }
    }
  }

  // MARK: - Gradients

  /// What maxima send back to where they were found.
  func returned(_ gradient: Tensor, to places: Tensor) throws -> Tensor {
    var dx = Tensor(uninitialized: shape, dtype: .float32)
    try dx.withUnsafeMutableScalars(as: Float.self) { dx in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try places.withUnsafeScalars(as: Int32.self) { places in
          guard let dx = dx.baseAddress, let dy = dy.baseAddress, let places = places.baseAddress else { return }
          forEachPlane { plane in
            let (to, from) = (dx + plane * h * w, plane * outH * outW)
            to.update(repeating: 0, count: h * w)
            for i in from..<from + outH * outW where places[i] >= 0 { to[Int(places[i])] += dy[i] }
          }
        }
      }
    }
    return dx
  }

  /// What averages send back to all that they are made of.
  func shared(_ gradient: Tensor) throws -> Tensor {
    let dilation = pool.dilation
    var dx = Tensor(uninitialized: shape, dtype: .float32)
    try dx.withUnsafeMutableScalars(as: Float.self) { dx in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        guard let dx = dx.baseAddress, let dy = dy.baseAddress else { return }
        forEachPlane { plane in
          let (to, from) = (dx + plane * h * w, dy + plane * outH * outW)
          to.update(repeating: 0, count: h * w)
          forEachWindow { place, rows, columns in
            let share = from[place] / Float(divisor(place, rows, columns))
            for j in 0..<rows.count {
              let line = to + (rows.first + j * dilation.height) * w + columns.first
              for i in 0..<columns.count { line[i * dilation.width] += share }
            }
          }
        }
      }
    }
    return dx
  }
}
