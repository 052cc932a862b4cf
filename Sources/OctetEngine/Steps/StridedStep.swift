import OctetCore

/// Elements of a value at regular distances: its axes in another order, a slice of it, or repetitions.
struct StridedStep: SingleCallStep {
  enum View {
    /// Axis i of the result is axis `permutation[i]` of the operand.
    case transpose([Int])
    case slice(Op.Slice)
    case expand
  }

  let name: String
  let inputs: [Int]
  let output: Int
  let view: View
  var label: String {
    switch view {
    case .transpose: "transpose"
    case .slice: "slice"
    case .expand: "expand"
    }
  }

  func call(_ memory: Memory) throws -> Call {
    let (from, to) = (inputs[0], output)
    let width = memory.shapes.slots[to].dtype.byteCount(of: 1)
    let (shape, start, strides) = try elements(memory.shapes)
    // One part is a row along the last axis; `bases` says where it begins in the operand.
    let (length, stride) = (shape.last ?? 1, strides.last ?? 1)
    let rows = length == 0 ? 0 : memory.shapes.count(to) / length
    let bases = (0..<rows).map { row -> Int in
      var (rest, base) = (row, start)
      for axis in shape.indices.dropLast().reversed() {
        base += rest % shape[axis] * strides[axis]
        rest /= shape[axis]
      }
      return base
    }
    return memory.parts(rows, cost: length * 2 * width) { range in
      bases.withUnsafeBufferPointer { bases in
        for row in range {
          let (x, y) = (memory.addresses[from] + bases[row] * width, memory.addresses[to] + row * length * width)
          switch (stride, width) {
          case (1, _): y.copyMemory(from: x, byteCount: length * width)
          case (_, 1): copy(x, y, length, stride, as: UInt8.self)
          case (_, 4): copy(x, y, length, stride, as: UInt32.self)
          case (_, 8): copy(x, y, length, stride, as: UInt64.self)
          default: preconditionFailure("elements of \(width) bytes")
          }
        }
      }
    }
  }

  /// The result's shape as it lies in memory, and where its elements are in the operand: the first one, and how far the
  /// next one is along each axis.
  private func elements(_ shapes: Shapes) throws -> (shape: [Int], start: Int, strides: [Int]) {
    let (source, result) = (shapes.shape(inputs[0]), shapes.shape(output))
    let isNHWC = shapes.slots[output].layout == .nhwc
    /// Axes of the shape in the order in which they lie, outermost first.
    func inMemory(_ rank: Int) -> [Int] { isNHWC ? [0] + Array(2..<rank) + [1] : Array(0..<rank) }
    var sourceStrides = [Int](repeating: 0, count: source.count)
    var step = 1
    for axis in inMemory(source.count).reversed() {
      sourceStrides[axis] = step
      step *= source[axis]
    }
    var start = 0
    let strides: [Int]
    switch view {
    case .transpose(let permutation): strides = permutation.map { sourceStrides[$0] }
    case .slice(let slice):
      let ranges = try slice.ranges(of: TensorType(.uint8, fixed: source))
      start = zip(ranges, sourceStrides).reduce(0) { $0 + $1.0!.start * $1.1 }
      strides = zip(ranges, sourceStrides).map { $0!.step * $1 }
    case .expand:
      let added = [Int](repeating: 0, count: result.count - source.count)
      strides = added + source.indices.map { source[$0] == 1 ? 0 : sourceStrides[$0] }
    }
    let order = inMemory(result.count)
    return (order.map { result[$0] }, start, order.map { strides[$0] })
  }
}

private func copy<Element>(
  _ x: UnsafeMutableRawPointer, _ y: UnsafeMutableRawPointer, _ count: Int, _ stride: Int, as: Element.Type
) {
  let (from, to) = (x.assumingMemoryBound(to: Element.self), y.assumingMemoryBound(to: Element.self))
  for i in 0..<count { to[i] = from[i * stride] }
}
