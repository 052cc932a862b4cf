extension Op {
  /// The entries of x at `indices` along an axis. Operands: x of any type, indices int32 or int64 (negative ones count from
  /// the end). Result: x's shape with the axis replaced by the shape of the indices. (ONNX's Gather; an embedding is a gather
  /// from the rows of a table.)
  public struct Gather: Operation, Codable {
    public var axis: Int

    public init(axis: Int = 0) { self.axis = axis }

    public var attributes: String { "axis \(axis)" }

    public var operandCount: ClosedRange<Int> { 2...2 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let indices = try operand(inputs, 1, "indices")
      try x.requireWholeBytes("x")
      guard indices.dtype == .int32 || indices.dtype == .int64 else {
        throw OctetError(.dtypeMismatch, "indices", expected: "int32 or int64", found: "\(indices)")
      }
      let axis = try x.axis(axis)
      return [TensorType(x.dtype, x.shape[..<axis] + indices.shape + x.shape[(axis + 1)...])]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let (x, indices) = (inputs[0]!, inputs[1]!)
      let axis = try x.type.axis(axis)
      let positions = try Self.positions(indices, size: x.shape[axis])
      let row = x.dtype.byteCount(of: elementCount(of: Array(x.shape[(axis + 1)...])))
      let block = x.shape[axis] * row
      var result = Tensor(uninitialized: try outputTypes([x.type, indices.type])[0].fixedShape!, dtype: x.dtype)
      result.withUnsafeMutableBytes { out in
        x.withUnsafeBytes { bytes in
          var to = out.baseAddress!
          for outer in 0..<elementCount(of: Array(x.shape[..<axis])) {
            for position in positions {
              to.copyMemory(from: bytes.baseAddress! + outer * block + position * row, byteCount: row)
              to += row
            }
          }
        }
      }
      return [result]
    }

    /// Indices as they count from the front.
    ///
    /// - Throws: `OctetError` (`invalidArgument`) if one is not an index of an axis of this size.
    package static func positions(_ indices: Tensor, size: Int) throws -> [Int] {
      let numbers =
        indices.dtype == .int32
        ? try indices.scalars(as: Int32.self).map(Int.init) : try indices.scalars(as: Int64.self).map(Int.init)
      return try numbers.map { index in
        guard (-size..<size).contains(index) else {
          throw OctetError(.invalidArgument, "indices", expected: "numbers in \(-size)..<\(size)", found: "\(index)")
        }
        return index < 0 ? index + size : index
      }
    }
  }

  /// Every `step`-th index from `start` to before `end` along some axes. (ONNX's Slice, with constants: negative bounds
  /// count from the end, bounds beyond an axis are those of the axis, a negative step goes backwards.)
  public struct Slice: Operation, Codable {
    public var starts: [Int]
    public var ends: [Int]
    public var axes: [Int]
    public var steps: [Int]

    /// - Parameter steps: `nil`: 1 everywhere.
    public init(starts: [Int], ends: [Int], axes: [Int], steps: [Int]? = nil) {
      self.starts = starts
      self.ends = ends
      self.axes = axes
      self.steps = steps ?? [Int](repeating: 1, count: axes.count)
    }

    public var attributes: String {
      // What a damaged file says may have numbers missing.
      guard starts.count == axes.count, ends.count == axes.count, steps.count == axes.count else {
        return "starts \(starts), ends \(ends), axes \(axes), steps \(steps)"
      }
      return axes.indices.map { i in
        let end = ends[i] == .max || ends[i] == .min ? "" : "\(ends[i])"
        return "axis \(axes[i]): \(starts[i])..<\(end)" + (steps[i] == 1 ? "" : " by \(steps[i])")
      }.joined(separator: ", ")
    }

    /// The indices that are taken along each axis: first one, distance, number. `nil`: of a size that is not known.
    package func ranges(of x: TensorType) throws -> [(start: Int, step: Int, count: Int)?] {
      guard starts.count == axes.count, ends.count == axes.count, steps.count == axes.count,
        Set(axes.map { $0 < 0 ? $0 &+ x.rank : $0 }).count == axes.count
      else {
        throw OctetError(
          .invalidArgument, "slice", expected: "different axes, with a start, an end and a step for each",
          found: attributes)
      }
      guard steps.allSatisfy({ $0 != 0 && (-largestAttribute...largestAttribute).contains($0) }) else {
        throw OctetError(.invalidArgument, "slice", expected: "steps other than 0", found: attributes)
      }
      var ranges = x.shape.map { size in size.size.map { (start: 0, step: 1, count: $0) } }
      for (index, axis) in axes.enumerated() {
        let axis = try x.axis(axis)
        let (start, end, step) = (starts[index], ends[index], steps[index])
        guard let size = x.shape[axis].size else { continue }
        if size == 0 {
          ranges[axis] = (0, step, 0)
          continue
        }
        func bound(_ value: Int, _ bounds: ClosedRange<Int>) -> Int {
          // Below −size there is nothing to count from.
          let index = value >= 0 ? value : (value < -size ? -1 : value + size)
          return min(max(index, bounds.lowerBound), bounds.upperBound)
        }
        // Backwards, the end may be what lies before the first element.
        let first = bound(start, step > 0 ? 0...size : 0...size - 1)
        let last = step < 0 && end < -size ? -1 : bound(end, step > 0 ? 0...size : -1...size - 1)
        let span = step > 0 ? last - first : first - last
        ranges[axis] = (first, step, span <= 0 ? 0 : (span - 1) / abs(step) + 1)
      }
      return ranges
    }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.requireWholeBytes("x")
      let ranges = try ranges(of: x)
      var shape = zip(x.shape, ranges).map { size, range in range.map { .fixed($0.count) } ?? size }
      for (index, axis) in axes.enumerated() {
        let axis = try x.axis(axis)
        if ranges[axis] == nil { shape[axis] = slicedSize(x.shape[axis], index) }
      }
      return [TensorType(x.dtype, shape)]
    }

    /// What is left of a size that is not known.
    private func slicedSize(_ size: Dimension, _ index: Int) -> Dimension {
      let (start, end, step) = (starts[index], ends[index], steps[index])
      let isToEnd = step > 0 ? end == .max : end == .min
      let isFromStart = step > 0 ? start == 0 : start == .max || start == -1
      if isToEnd, isFromStart { return size.adding(abs(step) - 1).divided(by: abs(step)) }
      if step == 1 {
        // One element, which has to be there.
        if isToEnd, start == -1 { return 1 }
        if end == start &+ 1, end != 0 { return 1 }
        // Counted from opposite ends, both lie inside.
        let isSensible = start < largestAttribute && end > -largestAttribute
        if isToEnd, start > 0, isSensible { return size.adding(-start) }
        if start >= 0, end < 0, isSensible { return size.adding(end - start) }
      }
      return .symbolic("\(size)[\(start):\(isToEnd ? "" : "\(end)"):\(step)]")
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let ranges = try ranges(of: x.type).map { $0! }
      let shape = ranges.map(\.count)
      let width = x.dtype.byteCount(of: 1)
      var result = Tensor(uninitialized: shape, dtype: x.dtype)
      result.withUnsafeMutableBytes { out in
        x.withUnsafeBytes { bytes in
          var to = out.baseAddress!
          forEachRow(of: x.shape, ranges) { offset, step, count in
            if step == 1 {
              to.copyMemory(from: bytes.baseAddress! + offset * width, byteCount: count * width)
            } else {
              for i in 0..<count {
                (to + i * width).copyMemory(
                  from: bytes.baseAddress! + (offset + i * step) * width, byteCount: width)
              }
            }
            to += count * width
          }
        }
      }
      return [result]
    }
  }

  /// The indices along an axis of x: 0, 1, 2 … Operand: x of any type. Result: int64, of one axis as long as that of x. (ONNX's
  /// Range up to a number of Shape: what positions and masks of sequences are made of.)
  public struct Positions: Operation, Codable {
    public var axis: Int

    public init(axis: Int) { self.axis = axis }

    public var attributes: String { "axis \(axis)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      return [TensorType(.int64, [x.shape[try x.axis(axis)]])]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let size = x.shape[try x.type.axis(axis)]
      return [try Tensor((0..<size).map { Int64($0) }, shape: [size])]
    }
  }

  /// x in pieces along an axis. Results: one for each of `sizes`, which add up to the axis. (ONNX's Split.)
  public struct Split: Operation, Codable {
    public var sizes: [Int]
    public var axis: Int

    public init(_ sizes: [Int], axis: Int) {
      self.sizes = sizes
      self.axis = axis
    }

    public var attributes: String { "\(sizes), axis \(axis)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.requireWholeBytes("x")
      let axis = try x.axis(axis)
      guard !sizes.isEmpty, sizes.allSatisfy({ (0...largestAttribute).contains($0) }),
        x.shape[axis].size == sizes.reduce(0, +)
      else {
        throw OctetError(.shapeMismatch, "x", expected: "\(sizes) along axis \(axis)", found: "\(x)")
      }
      return sizes.map { size in
        var type = x
        type.shape[axis] = .fixed(size)
        return type
      }
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      var start = 0
      return try sizes.map { size in
        defer { start += size }
        return try Slice(starts: [start], ends: [start + size], axes: [axis]).evaluate([x])[0]
      }
    }
  }
}

/// Calls `body` for each row of a slice: (offset of its first element, distance between elements, elements).
package func forEachRow(
  of shape: [Int], _ ranges: [(start: Int, step: Int, count: Int)], _ body: (Int, Int, Int) -> Void
) {
  guard let last = ranges.last else { return body(0, 1, 1) }
  let counts = ranges.map(\.count)
  guard !counts.contains(0) else { return }
  var strides = [Int](repeating: 1, count: shape.count)
  for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
  for row in 0..<elementCount(of: counts.dropLast()) {
    var (rest, offset) = (row, last.start)
    for axis in shape.indices.dropLast().reversed() {
      offset += (ranges[axis].start + rest % counts[axis] * ranges[axis].step) * strides[axis]
      rest /= counts[axis]
    }
    body(offset, last.step, last.count)
  }
}

// MARK: - Gradients

extension Op.Gather {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (shape, axis) = (inputs[0]!.shape, try inputs[0]!.type.axis(axis))
    guard inputs[0]!.dtype == .float32 else { return nil }
    let positions = try Self.positions(inputs[1]!, size: shape[axis])
    return { gradients in
      let row = elementCount(of: Array(shape[(axis + 1)...]))
      var dx = try Tensor(zeros: shape)
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try gradients[0]!.withUnsafeScalars(as: Float.self) { dy in
          var from = 0
          for outer in 0..<elementCount(of: Array(shape[..<axis])) {
            for position in positions {
              let to = (outer * shape[axis] + position) * row
              for i in 0..<row { dx[to + i] += dy[from + i] }
              from += row
            }
          }
        }
      }
      return [dx, nil]
    }
  }
}

extension Op.Slice {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let x = inputs[0]!
    guard x.dtype == .float32 else { return nil }
    let (shape, ranges) = (x.shape, try ranges(of: x.type).map { $0! })
    return { gradients in
      var dx = try Tensor(zeros: shape)
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try gradients[0]!.withUnsafeScalars(as: Float.self) { dy in
          var from = 0
          forEachRow(of: shape, ranges) { offset, step, count in
            for i in 0..<count { dx[offset + i * step] = dy[from + i] }
            from += count
          }
        }
      }
      return [dx]
    }
  }
}

extension Op.Positions {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? { nil }
}

extension Op.Split {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let shapes = results.map(\.shape)
    let concat = Op.Concat(axis: axis)
    guard inputs[0]!.dtype == .float32 else { return nil }
    return { gradients in
      try concat.evaluate(zip(gradients, shapes).map { gradient, shape in try gradient ?? Tensor(zeros: shape) })
    }
  }
}
