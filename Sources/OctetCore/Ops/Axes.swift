extension Op {
  /// The same elements without axes of size 1. (ONNX's Squeeze with axes.)
  public struct Squeeze: ShapeOperation, Codable {
    public var axes: [Int]

    public init(_ axes: [Int]) { self.axes = axes }

    public var attributes: String { "axes \(axes)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let dropped = Set(try axes.map { try x.axis($0) })
      guard dropped.allSatisfy({ x.shape[$0] == 1 }) else {
        throw OctetError(.shapeMismatch, "x", expected: "size 1 along axes \(axes)", found: "\(x)")
      }
      return [TensorType(x.dtype, x.shape.indices.filter { !dropped.contains($0) }.map { x.shape[$0] })]
    }
  }

  /// The same elements with new axes of size 1, which have these numbers in the result. (ONNX's Unsqueeze.)
  public struct Unsqueeze: ShapeOperation, Codable {
    public var axes: [Int]

    public init(_ axes: [Int]) { self.axes = axes }

    public var attributes: String { "axes \(axes)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let rank = x.rank + axes.count
      let added = Set(axes.compactMap { (-rank..<rank).contains($0) ? ($0 < 0 ? $0 + rank : $0) : nil })
      guard added.count == axes.count else {
        throw OctetError(.invalidArgument, "axes", expected: "different axes of \(rank)", found: "\(axes)")
      }
      var rest = x.shape[...]
      return [TensorType(x.dtype, (0..<rank).map { added.contains($0) ? 1 : rest.removeFirst() })]
    }
  }

  /// x repeated to a shape that it broadcasts to. (ONNX's Expand: x may have larger axes where `shape` says 1, which −1
  /// says too, as in PyTorch's `expand`.)
  public struct Expand: Operation, Codable {
    public var shape: [Int]

    public init(_ shape: [Int]) { self.shape = shape }

    public var attributes: String { "\(shape)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.requireWholeBytes("x")
      guard shape.allSatisfy({ $0 >= -1 }) else {
        throw OctetError(.invalidArgument, "shape", expected: "sizes, or −1 for those of x", found: "\(shape)")
      }
      return [TensorType(x.dtype, try broadcast(x.shape, shape.map { .fixed($0 == -1 ? 1 : $0) }))]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let shape = try outputTypes([x.type])[0].fixedShape!
      return switch x.dtype.byteCount(of: 1) {
      case 1: [repeated(x, shape, UInt8.self)]
      case 2: [repeated(x, shape, UInt16.self)]
      case 4: [repeated(x, shape, UInt32.self)]
      default: [repeated(x, shape, UInt64.self)]
      }
    }

    /// - Parameter type: one as wide as an element.
    private func repeated<Element: FixedWidthInteger>(_ x: Tensor, _ shape: [Int], _ type: Element.Type) -> Tensor {
      let offsets = BroadcastOffsets(of: x.shape, to: shape)
      let run = offsets.run
      var result = Tensor(uninitialized: shape, dtype: x.dtype)
      result.withUnsafeMutableBytes { out in
        x.withUnsafeBytes { bytes in
          guard let out = out.assumingMemoryBound(to: type).baseAddress,
            let x = bytes.assumingMemoryBound(to: type).baseAddress
          else { return }
          concurrently(elements: elementCount(of: shape)) { range in
            forEachRun(of: run.count, in: range) { start, first, count in
              let (out, x) = (out + start + first, x + offsets[start] + first * run.step)
              if run.step == 1 { out.update(from: x, count: count) } else { out.update(repeating: x[0], count: count) }
            }
          }
        }
      }
      return result
    }
  }
}

// MARK: - Gradients

extension Op.Expand {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let shape = inputs[0]!.shape
    return { [try $0[0]!.summed(to: shape)] }
  }
}
