import OctetCore

// Reshaping to several sizes that are known only when the graph runs, for which a shape has no place.

extension ONNXNode {
  /// x under another shape, −1 for what is left: axes that become one are flattened, and one that becomes several is gathered
  /// by indices of their shape. `nil` if sizes do not say which axes those are.
  func regroup(_ x: Value, _ shape: [Dimension]) throws -> Value? {
    var shape = shape
    if let open = shape.firstIndex(of: .fixed(-1)) {
      var others = shape
      others.remove(at: open)
      guard let rest = Dimension.quotient(of: x.shape, by: others) else { return nil }
      shape[open] = rest
    }
    guard !(x.shape + shape).contains(0), let groups = axesOfSameSize(x.shape, shape) else { return nil }
    // From the last one, so that axes in front keep their numbers.
    return try groups.reversed().reduce(x) { x, group in
      try regroup(x, axes: group.from, as: Array(shape[group.to]))
    }
  }

  /// x with other sizes in place of neighbouring axes.
  private func regroup(_ x: Value, axes: Range<Int>, as sizes: [Dimension]) throws -> Value {
    if Array(x.shape[axes]) == sizes { return x }
    let axis = axes.lowerBound
    var result =
      axes.count > 1 ? try apply(.flatten(Op.Flatten(from: axis, to: axes.upperBound - 1)), x) : x
    let large = sizes.filter { $0 != 1 }
    if large.count > 1 { result = try apply(.gather(Op.Gather(axis: axis)), result, places(large)) }
    // One axis is there, whatever its size.
    let ones = sizes.indices.filter { sizes[$0] == 1 }.dropFirst(large.isEmpty ? 1 : 0)
    return ones.isEmpty ? result : try apply(.unsqueeze(Op.Unsqueeze(ones.map { axis + $0 })), result)
  }

  /// 0, 1, 2 … in this shape, int64.
  private func places(_ sizes: [Dimension]) throws -> Value {
    var place: Value?
    for (axis, size) in sizes.enumerated() {
      var index = try positions(size, axis: axis, rank: sizes.count)
      index = try scaled(index, by: Array(sizes[(axis + 1)...]))
      place = try place.map { try binary(self, .add, $0, index) } ?? index
    }
    return place!
  }
}

/// Neighbouring axes of both shapes, as few as can be, that hold the same number of elements.
private func axesOfSameSize(_ from: [Dimension], _ to: [Dimension]) -> [(from: Range<Int>, to: Range<Int>)]? {
  var groups: [(from: Range<Int>, to: Range<Int>)] = []
  var (i, j) = (0, 0)
  while i < from.count, j < to.count {
    let (first, second) = (i, j)
    (i, j) = (i + 1, j + 1)
    while Dimension.product(of: Array(from[first..<i])) != .product(of: Array(to[second..<j])) {
      let (left, right) = (Array(from[first..<i]), Array(to[second..<j]))
      if j < to.count, Dimension.quotient(of: left, by: right) != nil {
        j += 1
      } else if i < from.count, Dimension.quotient(of: right, by: left) != nil {
        i += 1
      } else {
        return nil
      }
    }
    groups.append((first..<i, second..<j))
  }
  guard let last = groups.popLast(), (from[i...] + to[j...]).allSatisfy({ $0 == 1 }) else { return nil }
  return groups + [(last.from.lowerBound..<from.count, last.to.lowerBound..<to.count)]
}
