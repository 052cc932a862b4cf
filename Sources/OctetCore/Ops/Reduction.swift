#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Op {
  /// A reduction over axes. Operand: x float32, for sums, products and extremes int32 or int64 too (which wrap around).
  /// Result: x's shape with the axes of size 1, or without them.
  ///
  /// (ONNX's ReduceMean, ReduceSum …; a maximum or minimum with a NaN is NaN, of no elements −∞ or ∞.)
  public struct Reduce: Operation, Codable {
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
      case mean, sum, max, min
      /// Product
      case prod
      /// `Σ |x|` and `√Σ x²`
      case l1, l2
      /// `ln Σ eˣ`
      case logSumExp
    }

    public var kind: Kind
    public var axes: [Int]
    public var keepDimensions: Bool

    public init(_ kind: Kind, axes: [Int], keepDimensions: Bool = true) {
      self.kind = kind
      self.axes = axes
      self.keepDimensions = keepDimensions
    }

    public var attributes: String { "axes \(axes)" + (keepDimensions ? "" : ", axes dropped") }

    /// Whether it is the mean over height and width of [n, c, h, w]: global average pooling.
    package func isImageMean(of x: TensorType) -> Bool {
      kind == .mean && x.rank == 4 && Set(axes.map { $0 < 0 ? $0 + 4 : $0 }) == [2, 3]
    }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let isOfWholeNumbers = [.int32, .int64].contains(x.dtype) && [.sum, .prod, .max, .min].contains(kind)
      try x.require(isOfWholeNumbers ? x.dtype : .float32, rank: 1...Int.max, "x")
      let reduced = Set(try axes.map { try x.axis($0) })
      return [TensorType(x.dtype, reducedShape(x.shape, reduced, keepDimensions: keepDimensions))]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let reduced = Set(try axes.map { try x.type.axis($0) })
      let shape = try outputTypes([x.type])[0].fixedShape!
      if x.dtype == .int32 { return [try wholeNumbers(x, reduced, Int32.self).reinterpreted(as: shape)] }
      if x.dtype == .int64 { return [try wholeNumbers(x, reduced, Int64.self).reinterpreted(as: shape)] }
      var result: Tensor
      switch kind {
      case .sum, .mean:
        result = try x.summed(to: x.shape.enumerated().map { reduced.contains($0) ? 1 : $1 })
        let divisor = kind == .mean ? Float(reduced.reduce(1) { $0 * x.shape[$1] }) : 1
        try result.withUnsafeMutableScalars(as: Float.self) { out in
          for i in out.indices { out[i] /= divisor }
        }
      case .max: result = try fold(x, reduced, from: -Float.infinity) { $1 > $0 || $1.isNaN ? $1 : $0 }
      case .min: result = try fold(x, reduced, from: Float.infinity) { $1 < $0 || $1.isNaN ? $1 : $0 }
      case .prod: result = try fold(x, reduced, from: Float(1)) { $0 * $1 }
      case .l1:
        result = try fold(x, reduced, from: Float(0)) {
          $0 + Swift.abs($1)
        } merge: {
          $0 + $1
        }
      case .l2:
        result = try fold(x, reduced, from: Float(0)) {
          $0 + $1 * $1
        } merge: {
          $0 + $1
        }
        result = try apply(.unary(.sqrt), to: result)
      case .logSumExp:
        // Less the maximum, so that nothing overflows; a maximum of ±∞ stays as it is.
        var peak = try fold(x, reduced, from: -Float.infinity) { $1 > $0 || $1.isNaN ? $1 : $0 }
        try peak.withUnsafeMutableScalars(as: Float.self) { for i in $0.indices where $0[i].isInfinite { $0[i] = 0 } }
        let shifted = try apply(.unary(.exp), to: apply(.binary(.sub), to: x, peak))
        let sum = try fold(shifted, reduced, from: Float(0)) { $0 + $1 }
        result = try apply(.binary(.add), to: apply(.unary(.log), to: sum), peak)
      }
      return [result.reinterpreted(as: shape)]
    }

    private func wholeNumbers<Number: TensorScalar & FixedWidthInteger>(
      _ x: Tensor, _ reduced: Set<Int>, _: Number.Type
    ) throws -> Tensor {
      switch kind {
      case .prod: try fold(x, reduced, from: Number(1)) { $0 &* $1 }
      case .max: try fold(x, reduced, from: Number.min) { Swift.max($0, $1) }
      case .min: try fold(x, reduced, from: Number.max) { Swift.min($0, $1) }
      case .sum, .mean, .l1, .l2, .logSumExp: try fold(x, reduced, from: Number(0)) { $0 &+ $1 }
      }
    }

    /// All elements along the axes as one number, which `start` begins; the axes are kept. Parts of them are put together by
    /// the function itself, unless another one is given.
    @inline(__always)
    private func fold<Number: TensorScalar>(
      _ x: Tensor, _ reduced: Set<Int>, from start: Number, _ function: (Number, Number) -> Number,
      merge: ((Number, Number) -> Number)? = nil
    ) throws -> Tensor {
      try x.reduced(to: x.shape.enumerated().map { reduced.contains($0) ? 1 : $1 }, from: start) { number, x, count in
        var number = number
        for i in 0..<count { number = function(number, x[i]) }
        return number
      } element: {
        function($0, $1)
      } merge: {
        merge?($0, $1) ?? function($0, $1)
      }
    }
  }

  /// Where along an axis the largest (or smallest) element is; the first one of several, a NaN before all numbers.
  /// Operand: x float32. Result: int64, x's shape with the axis of size 1 or without it. (ONNX's ArgMax and ArgMin.)
  public struct ArgMax: Operation, Codable {
    public var axis: Int
    public var keepDimensions: Bool
    /// Search the smallest element instead.
    public var smallest: Bool

    public init(axis: Int, keepDimensions: Bool = true, smallest: Bool = false) {
      self.axis = axis
      self.keepDimensions = keepDimensions
      self.smallest = smallest
    }

    public var attributes: String { "axis \(axis)" + (keepDimensions ? "" : ", axis dropped") }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 1...Int.max, "x")
      let axis = try x.axis(axis)
      guard x.shape[axis] != 0 else {
        throw OctetError(.shapeMismatch, "x", expected: "elements along axis \(axis)", found: "\(x)")
      }
      return [TensorType(.int64, reducedShape(x.shape, [axis], keepDimensions: keepDimensions))]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      var result = try Tensor(zeros: outputTypes([x.type])[0].fixedShape!, dtype: .int64)
      let order = RankOrder(largest: !smallest)
      try result.withUnsafeMutableScalars(as: Int64.self) { out in
        try x.withUnsafeScalars(as: Float.self) { x in
          forEachLine(of: inputs[0]!.shape, axis: try inputs[0]!.type.axis(axis)) { line, start, count, stride in
            var best = 0
            for i in 1..<max(count, 1) where order.precedes(x[start + i * stride], x[start + best * stride]) {
              best = i
            }
            out[line] = Int64(best)
          }
        }
      }
      return [result]
    }
  }

  /// The `count` largest (or smallest) elements along an axis, best first; of equal ones the first, a NaN before all
  /// numbers. Operand: x float32. Results: the elements float32, and where they were int64. (ONNX's TopK.)
  public struct TopK: Operation, Codable {
    public var count: Int
    public var axis: Int
    public var largest: Bool

    public init(_ count: Int, axis: Int = -1, largest: Bool = true) {
      self.count = count
      self.axis = axis
      self.largest = largest
    }

    public var attributes: String { "\(count) \(largest ? "largest" : "smallest"), axis \(axis)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 1...Int.max, "x")
      let axis = try x.axis(axis)
      guard let size = x.shape[axis].size else {
        throw OctetError(.unsupported, "x", expected: "a fixed size along axis \(axis)", found: "\(x)")
      }
      guard (0...size).contains(count) else {
        throw OctetError(.invalidArgument, "count", expected: "0…\(size) for \(x)", found: "\(count)")
      }
      var shape = x.shape
      shape[axis] = .fixed(count)
      return [TensorType(.float32, shape), TensorType(.int64, shape)]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let shape = try outputTypes([x.type])[0].fixedShape!
      var values = try Tensor(zeros: shape)
      var indices = try Tensor(zeros: shape, dtype: .int64)
      let order = RankOrder(largest: largest)
      try values.withUnsafeMutableScalars(as: Float.self) { values in
        try indices.withUnsafeMutableScalars(as: Int64.self) { indices in
          try x.withUnsafeScalars(as: Float.self) { elements in
            forEachLine(of: x.shape, axis: try x.type.axis(axis)) { line, start, size, stride in
              func element(_ i: Int) -> Float { elements[start + i * stride] }
              let ranked = (0..<size).sorted {
                order.precedes(element($0), element($1)) || !order.precedes(element($1), element($0)) && $0 < $1
              }
              for (rank, index) in ranked.prefix(count).enumerated() {
                // Where the line of the result begins: lines of one block lie side by side.
                let to = (line / stride * count + rank) * stride + line % stride
                values[to] = element(index)
                indices[to] = Int64(index)
              }
            }
          }
        }
      }
      return [values, indices]
    }
  }
}

/// Which of two numbers comes first: the larger or the smaller one, and NaN before all.
private struct RankOrder {
  let largest: Bool

  func precedes(_ a: Float, _ b: Float) -> Bool {
    if a.isNaN || b.isNaN { return a.isNaN && !b.isNaN }
    return largest ? a > b : a < b
  }
}

/// Calls `body` for each line of elements along an axis: (number of the line, first element, elements, distance
/// between them).
func forEachLine(of shape: [Int], axis: Int, _ body: (Int, Int, Int, Int) -> Void) {
  let size = shape[axis]
  let inner = elementCount(of: Array(shape[(axis + 1)...]))
  for outer in 0..<elementCount(of: Array(shape[..<axis])) {
    for column in 0..<inner { body(outer * inner + column, outer * size * inner + column, size, inner) }
  }
}

/// A shape with the axes of size 1, or without them.
private func reducedShape(_ shape: [Dimension], _ axes: Set<Int>, keepDimensions: Bool) -> [Dimension] {
  shape.enumerated().compactMap { axis, size in
    axes.contains(axis) ? (keepDimensions ? Dimension.fixed(1) : nil) : size
  }
}

// MARK: - Gradients

extension Op.Reduce {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (x, y) = (inputs[0]!, results[0])
    guard x.dtype == .float32 else { return nil }
    let reduced = Set(try axes.map { try x.type.axis($0) })
    let kept = x.shape.enumerated().map { reduced.contains($0) ? 1 : $1 }
    let shape = x.shape
    @Sendable func spread(_ gradient: Tensor) throws -> Tensor { try gradient.reinterpreted(as: kept).expand(shape) }
    switch kind {
    case .sum: return { [try spread($0[0]!)] }
    case .mean:
      let share = try Tensor(repeating: 1 / Float(reduced.reduce(1) { $0 * shape[$1] }), shape: [1])
      return { [try spread($0[0]! * share)] }
    case .max, .min:
      // Equal extremes share the gradient.
      return { gradients in
        let isExtreme = try combine(x, y.reinterpreted(as: kept)) { (x: Float, y: Float) -> Float in x == y ? 1 : 0 }
        let share = try gradients[0]!.reinterpreted(as: kept) / isExtreme.summed(to: kept)
        return [try isExtreme * share]
      }
    case .prod:
      // The product of all others: that of those that are not 0, if at most this one is.
      return { gradients in
        let isZero = try combine(x, x) { (x: Float, _: Float) -> Float in x == 0 ? 1 : 0 }
        let zeros = try isZero.summed(to: kept)
        let others = try combine(x, x) { (x: Float, _: Float) -> Float in x == 0 ? 1 : x }
        let product = try others.reduce(.prod, Array(reduced), keepDimensions: true)
        let whole = try combine(
          product / others,
          combine(zeros, isZero) { (zeros: Float, isZero: Float) -> Float in
            zeros == isZero ? 1 : 0
          }
        ) { (quotient: Float, counts: Float) in quotient * counts }
        return [try whole * gradients[0]!.reinterpreted(as: kept)]
      }
    case .l1:
      return { gradients in
        [
          try combine(x, gradients[0]!.reinterpreted(as: kept)) { (x: Float, gradient: Float) -> Float in
            x > 0 ? gradient : (x < 0 ? -gradient : 0)
          }
        ]
      }
    case .l2:
      return { gradients in
        let share = try combine(gradients[0]!.reinterpreted(as: kept), y.reinterpreted(as: kept)) {
          (gradient: Float, y: Float) -> Float in y == 0 ? 0 : gradient / y
        }
        return [try x * share]
      }
    case .logSumExp:
      return { gradients in
        [try exp(x - y.reinterpreted(as: kept)) * gradients[0]!.reinterpreted(as: kept)]
      }
    }
  }
}

extension Op.ArgMax {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? { nil }
}

extension Op.TopK {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (indices, shape, axis) = (results[1], inputs[0]!.shape, try inputs[0]!.type.axis(axis))
    return { gradients in
      guard let gradient = gradients[0] else { return [nil] }
      var dx = try Tensor(zeros: shape)
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try gradient.withUnsafeScalars(as: Float.self) { dy in
          try indices.withUnsafeScalars(as: Int64.self) { indices in
            let count = indices.isEmpty ? 0 : gradient.shape[axis]
            forEachLine(of: shape, axis: axis) { line, start, _, step in
              for rank in 0..<count {
                let from = (line / step * count + rank) * step + line % step
                dx[start + Int(indices[from]) * step] += dy[from]
              }
            }
          }
        }
      }
      return [dx]
    }
  }
}
