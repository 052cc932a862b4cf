/// Another shape for the elements of one operand: no element moves.
protocol ShapeOperation: Operation {}

extension ShapeOperation {
  public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
    let x = inputs[0]!
    return [x.reinterpreted(as: try outputTypes([x.type])[0].fixedShape!)]
  }

  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let shape = inputs[0]!.shape
    return { [$0[0]!.reinterpreted(as: shape)] }
  }
}

extension Op {
  /// The operands one after another along an axis.
  public struct Concat: Operation, Codable {
    public var axis: Int

    public init(axis: Int) { self.axis = axis }

    public var attributes: String { "axis \(axis)" }

    public var operandCount: ClosedRange<Int> { 1...Int.max }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      var result = try operand(inputs, 0, "operand 0")
      let axis = try result.axis(axis)
      for index in inputs.indices.dropFirst() {
        let next = try operand(inputs, index, "operand \(index)")
        var expected = result
        if next.rank == result.rank { expected.shape[axis] = next.shape[axis] }
        guard next.dtype == result.dtype else {
          throw OctetError(.dtypeMismatch, "operand \(index)", expected: result.dtype.rawValue, found: "\(next)")
        }
        guard expected.accepts(next) else {
          throw OctetError(.shapeMismatch, "operand \(index)", expected: "\(expected)", found: "\(next)")
        }
        let length = result.shape[axis].adding(next.shape[axis])
        // What one operand knows of the other axes is true of all.
        result.shape = zip(result.shape, next.shape).map { $0.size == nil ? $1 : $0 }
        result.shape[axis] = length
      }
      return [result]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let type = try outputTypes(inputs.map { $0?.type })[0]
      let axis = try type.axis(axis)
      let shape = type.fixedShape!
      var result = Tensor(uninitialized: shape, dtype: type.dtype)
      guard type.dtype.bitWidth >= 8 else {
        throw OctetError(.unsupported, "concat", expected: "elements of whole bytes", found: type.dtype.rawValue)
      }
      let inner = type.dtype.byteCount(of: elementCount(of: Array(shape[(axis + 1)...])))
      let outer = elementCount(of: Array(shape[..<axis]))
      result.withUnsafeMutableBytes { out in
        var offset = 0
        for input in inputs {
          let block = input!.shape[axis] * inner
          input!.withUnsafeBytes { bytes in
            guard outer * block > 0 else { return }
            copyRows(
              outer, of: block, from: bytes.baseAddress!, every: block, to: out.baseAddress! + offset,
              every: shape[axis] * inner)
          }
          offset += block
        }
      }
      return [result]
    }
  }

  /// Another shape for the same elements. In `shape`, 0 copies the operand's dimension and −1 takes what is left.
  public struct Reshape: ShapeOperation, Codable {
    public var shape: [Int]

    public init(_ shape: [Int]) { self.shape = shape }

    public var attributes: String { "\(shape)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      func mismatch() -> OctetError {
        OctetError(.shapeMismatch, "x", expected: "elements for \(shape)", found: "\(x)")
      }
      guard shape.filter({ $0 == -1 }).count <= 1, shape.allSatisfy({ $0 >= -1 }) else {
        throw OctetError(.invalidArgument, "shape", expected: "sizes, 0, and at most one −1", found: "\(shape)")
      }
      var result: [Dimension] = try shape.enumerated().map { axis, size in
        guard size == 0 else { return .fixed(size) }
        guard axis < x.rank else { throw mismatch() }
        return x.shape[axis]
      }
      // Symbolic dimensions that are copied cancel; what is left must agree.
      var names = x.shape.filter { $0.size == nil }
      for name in result where name.size == nil {
        if let index = names.firstIndex(of: name) { names.remove(at: index) }
      }
      let total = x.shape.compactMap(\.size).reduce(1, *)
      guard let known = checkedElementCount(of: result.compactMap(\.size).filter { $0 != -1 }) else { throw mismatch() }
      if let open = result.firstIndex(of: .fixed(-1)) {
        if names.isEmpty {
          guard known > 0, total.isMultiple(of: known) else { throw mismatch() }
          result[open] = .fixed(total / known)
        } else {
          guard known > 0 else { throw mismatch() }
          result[open] = .product(of: names + [.fixed(total)], over: known)
        }
      } else {
        guard names.isEmpty, known == total else { throw mismatch() }
      }
      return [TensorType(x.dtype, result)]
    }
  }

  /// Axes `start` to `end` (both included) become one.
  public struct Flatten: ShapeOperation, Codable {
    public var start: Int
    public var end: Int

    public init(from start: Int = 1, to end: Int = -1) {
      self.start = start
      self.end = end
    }

    public var attributes: String { start == 1 && end == -1 ? "" : "axes \(start)…\(end)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      if x.rank == 0 { return [TensorType(x.dtype, [1])] }
      let (first, last) = (try x.axis(start), try x.axis(end))
      guard first <= last else {
        throw OctetError(.invalidArgument, "flatten", expected: "start ≤ end", found: "\(start) and \(end)")
      }
      let middle = x.shape[first...last]
      let merged: Dimension
      if middle.count == 1 {
        merged = x.shape[first]
      } else {
        merged = .product(of: Array(middle))
      }
      return [TensorType(x.dtype, x.shape[..<first] + [merged] + x.shape[(last + 1)...])]
    }
  }

  /// The axes in another order: axis i of the result is axis `permutation[i]` of the operand.
  public struct Transpose: Operation, Codable {
    public var permutation: [Int]

    public init(_ permutation: [Int]) { self.permutation = permutation }

    public var attributes: String { "\(permutation)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let axes = try permutation.map { try x.axis($0) }
      guard axes.sorted() == Array(0..<x.rank) else {
        throw OctetError(
          .invalidArgument, "permutation", expected: "every axis of \(x) once", found: "\(permutation)")
      }
      return [TensorType(x.dtype, axes.map { x.shape[$0] })]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let shape = try outputTypes([x.type])[0].fixedShape!
      guard x.dtype.bitWidth >= 8 else {
        throw OctetError(.unsupported, "transpose", expected: "elements of whole bytes", found: x.dtype.rawValue)
      }
      let axes = try permutation.map { try x.type.axis($0) }
      var strides = [Int](repeating: 1, count: x.rank)
      for axis in strides.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * x.shape[axis + 1] }
      let sourceStrides = axes.map { strides[$0] }
      let width = x.dtype.byteCount(of: 1)
      var result = try Tensor(zeros: shape, dtype: x.dtype)
      result.withUnsafeMutableBytes { out in
        x.withUnsafeBytes { bytes in
          var index = [Int](repeating: 0, count: shape.count)
          var source = 0
          for element in 0..<out.count / width {
            for byte in 0..<width { out[element * width + byte] = bytes[source * width + byte] }
            for axis in shape.indices.reversed() {
              index[axis] += 1
              source += sourceStrides[axis]
              if index[axis] < shape[axis] { break }
              source -= index[axis] * sourceStrides[axis]
              index[axis] = 0
            }
          }
        }
      }
      return [result]
    }
  }

  /// Constant padding of any axes: `before` and `after` give the number of elements for every axis.
  public struct Pad: Operation, Codable {
    public var before: [Int]
    public var after: [Int]
    public var value: Float

    public init(before: [Int], after: [Int], value: Float = 0) {
      self.before = before
      self.after = after
      self.value = value
    }

    public var attributes: String { "\(before) \(after)" + (value == 0 ? "" : ", value \(value)") }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 0...Int.max, "x")
      guard before.count == x.rank, after.count == x.rank,
        (before + after).allSatisfy({ (0...largestAttribute).contains($0) })
      else {
        throw OctetError(
          .invalidArgument, "pad", expected: "\(x.rank) numbers of 0 or more on either side", found: attributes)
      }
      let shape = x.shape.enumerated().map { axis, size in size.adding(before[axis] + after[axis]) }
      return [TensorType(.float32, shape)]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let shape = try outputTypes([x.type])[0].fixedShape!
      var result = try Tensor(repeating: value, shape: shape)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try x.withUnsafeScalars(as: Float.self) { source in
          for i in source.indices {
            var (rest, target, step) = (i, 0, 1)
            for axis in shape.indices.reversed() {
              target += (rest % x.shape[axis] + before[axis]) * step
              rest /= x.shape[axis]
              step *= shape[axis]
            }
            out[target] = source[i]
          }
        }
      }
      return [result]
    }
  }
}

// MARK: - Gradients

extension Op.Concat {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let axis = try results[0].type.axis(axis)
    let shapes = inputs.map { $0!.shape }
    return { gradients in
      let gradient = gradients[0]!
      let inner = gradient.dtype.byteCount(of: elementCount(of: Array(gradient.shape[(axis + 1)...])))
      let outer = elementCount(of: Array(gradient.shape[..<axis]))
      var offset = 0
      return shapes.indices.map { index in
        let block = shapes[index][axis] * inner
        defer { offset += block }
        guard wanted[index] else { return nil }
        var part = Tensor(uninitialized: shapes[index], dtype: gradient.dtype)
        part.withUnsafeMutableBytes { out in
          gradient.withUnsafeBytes { bytes in
            guard outer * block > 0 else { return }
            copyRows(
              outer, of: block, from: bytes.baseAddress! + offset, every: gradient.shape[axis] * inner,
              to: out.baseAddress!, every: block)
          }
        }
        return part
      }
    }
  }
}

/// Rows of `size` bytes, which begin so many bytes apart, concurrently.
private func copyRows(
  _ rows: Int, of size: Int, from: UnsafeRawPointer, every step: Int, to: UnsafeMutableRawPointer, every newStep: Int
) {
  let count = max((1 << 17) / size, 1)
  concurrently((rows + count - 1) / count) { item in
    for row in item * count..<min((item + 1) * count, rows) {
      (to + row * newStep).copyMemory(from: from + row * step, byteCount: size)
    }
  }
}

extension Op.Transpose {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let axes = try permutation.map { try inputs[0]!.type.axis($0) }
    let inverse = Op.Transpose(axes.indices.map { axis in axes.firstIndex(of: axis)! })
    return { try inverse.evaluate($0) }
  }
}

extension Op.Pad {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let shape = inputs[0]!.shape
    let slice = Op.Slice(
      starts: before, ends: zip(before, shape).map { $0 + $1 }, axes: Array(shape.indices))
    return { try slice.evaluate($0) }
  }
}
