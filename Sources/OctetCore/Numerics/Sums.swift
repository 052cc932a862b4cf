// Sums of many floats: eight lanes of a register each for a part of them, and a Double for the sum of parts. So sums are
// fast and as good as sums in double precision are, for their last bit; and their order is that of the elements alone.

/// Elements that are added in float before the sum goes on in double precision.
private let partSize = 1024

/// Σ term(i) for i in 0..<count, eight terms at a time; `single` is the same for one of them.
@inline(__always)
private func sum(
  _ count: Int, _ term: (Int) -> SIMD8<Float>, _ single: (Int) -> Float
) -> Double {
  var total = 0.0
  var i = 0
  while i + 8 <= count {
    let end = min(i + partSize, count)
    var (even, odd) = (SIMD8<Float>.zero, SIMD8<Float>.zero)
    while i + 16 <= end {
      even += term(i)
      odd += term(i + 8)
      i += 16
    }
    if i + 8 <= end {
      even += term(i)
      i += 8
    }
    let lanes = SIMD8<Double>(even) + SIMD8<Double>(odd)
    total += lanes.sum()
  }
  while i < count {
    total += Double(single(i))
    i += 1
  }
  return total
}

extension UnsafePointer<Float> {
  /// The eight elements from `i` on.
  @inline(__always)
  package func eight(_ i: Int) -> SIMD8<Float> {
    UnsafeRawPointer(self + i).loadUnaligned(as: SIMD8<Float>.self)
  }

  /// Σ x
  package func sum(count: Int) -> Double {
    OctetCore.sum(count) {
      eight($0)
    } _: {
      self[$0]
    }
  }

  /// Σ x · factor
  package func multiplied(by factor: Float, count: Int) -> Double {
    OctetCore.sum(count) {
      eight($0) * factor
    } _: {
      self[$0] * factor
    }
  }

  /// Σ (x − centre)²
  package func squaredDistance(from centre: Float, count: Int) -> Double {
    OctetCore.sum(count) { i in
      let distance = eight(i) - centre
      return distance * distance
    } _: {
      (self[$0] - centre) * (self[$0] - centre)
    }
  }

  /// Σ factor · x
  package func product(with factor: UnsafePointer<Float>, count: Int) -> Double {
    OctetCore.sum(count) {
      factor.eight($0) * eight($0)
    } _: {
      factor[$0] * self[$0]
    }
  }

  /// Σ factor · (x − centre)
  package func product(with factor: UnsafePointer<Float>, from centre: Float, count: Int) -> Double {
    OctetCore.sum(count) {
      factor.eight($0) * (eight($0) - centre)
    } _: {
      factor[$0] * (self[$0] - centre)
    }
  }
}

extension Tensor {
  /// Σ x²
  package var sumOfSquares: Double {
    get throws {
      try sumOfParts { x, count in
        let sum = x.squaredDistance(from: 0, count: count)
        // (Squares of large floats are too large for floats.)
        return sum.isFinite ? sum : (0..<count).reduce(0) { $0 + Double(x[$1]) * Double(x[$1]) }
      }
    }
  }

  /// Whether no element is infinite or NaN.
  package var isFinite: Bool {
    // (0 · x is 0 then, and NaN otherwise.)
    get throws { try sumOfParts { $0.multiplied(by: 0, count: $1) } == 0 }
  }

  /// The sum of what `sum` finds for parts of the elements, concurrently.
  private func sumOfParts(_ sum: (_ start: UnsafePointer<Float>, _ count: Int) -> Double) throws -> Double {
    try withUnsafeScalars(as: Float.self) { x in
      guard let x = x.baseAddress else { return 0 }
      let (count, size) = (try self.count, 1 << 15)
      var sums = [Double](repeating: 0, count: (count + size - 1) / size)
      sums.withUnsafeMutableBufferPointer { sums in
        concurrently(sums.count) { sums[$0] = sum(x + $0 * size, Swift.min(size, count - $0 * size)) }
      }
      return sums.reduce(0, +)
    }
  }
}
