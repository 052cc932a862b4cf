import OctetCore

// What positions in sequences and masks are made of: indices up to sizes that are known only when the graph runs, and whole
// numbers in general.

extension ONNXNode {
  /// 0, 1, 2 … up to a size, int64.
  func positions(_ size: Dimension) throws -> Value {
    if let count = size.size {
      guard (0...1 << 24).contains(count) else { throw unsupported("size", expected: "at most 2²⁴", found: count) }
      return try integers(Array(0..<count))
    }
    guard let (value, axis) = builder.place(of: size) else {
      throw unsupported(
        "size", expected: "sizes that are known (give sizes for symbolic dimensions)", found: "\(size)")
    }
    return try apply(.positions(Op.Positions(axis: axis)), value)
  }

  /// A number in the type of a value.
  func number(_ number: Int, like x: Value) throws -> Value {
    try cast(self, constant(Tensor(Int64(number))), to: x.dtype)
  }

  /// Indices up to `size` along axis `axis` of `rank`, the others of size 1.
  func positions(_ size: Dimension, axis: Int, rank: Int) throws -> Value {
    try apply(.unsqueeze(Op.Unsqueeze((0..<rank).filter { $0 != axis })), positions(size))
  }

  /// Indices along an axis of length `size`, of which negative ones count from the end.
  func countedFromFront(_ indices: Value, size: Dimension) throws -> Value {
    let wide = try cast(self, indices, to: .int64)
    let isNegative = try apply(.compare(.less), wide, number(0, like: wide))
    return try apply(.where(Op.Where()), isNegative, binary(self, .add, wide, builder.number(of: size)), wide)
  }

  /// Indices (int64) multiplied by sizes.
  func scaled(_ indices: Value, by sizes: [Dimension]) throws -> Value {
    let known = sizes.compactMap(\.size)
    var result = indices
    if known.contains(where: { $0 != 1 }) {
      guard let product = checkedElementCount(of: known) else {
        throw unsupported("sizes", expected: "sensible ones", found: sizes)
      }
      result = try binary(self, .mul, result, number(product, like: result))
    }
    for size in sizes where size.size == nil { result = try binary(self, .mul, result, builder.number(of: size)) }
    return result
  }
}

/// Elements along an axis by indices that the graph computes: places in the flat order of x.
func gatherElements(_ node: ONNXNode, _ x: Value, _ indices: Value, axis: Int) throws -> Value {
  guard x.rank == indices.rank else { throw node.invalid("indices", expected: "rank \(x.rank)", found: indices.type) }
  var place: Value?
  for current in 0..<x.rank {
    var coordinate: Value
    if current != axis {
      coordinate = try node.positions(indices.shape[current], axis: current, rank: x.rank)
    } else if current > 0 {
      coordinate = try node.countedFromFront(indices, size: x.shape[current])
    } else {
      coordinate = try cast(node, indices, to: .int64)
    }
    coordinate = try node.scaled(coordinate, by: Array(x.shape[(current + 1)...]))
    place = try place.map { try binary(node, .add, $0, coordinate) } ?? coordinate
  }
  return try node.apply(.gather(Op.Gather()), node.reshape(x, [-1]), place)
}

/// Blocks by rows of indices that the graph computes.
func gatherBlocks(_ node: ONNXNode, _ x: Value, _ indices: Value) throws -> Value {
  let place = try blockPlace(node, x, indices)
  let width = indices.shape.last!.size!
  let rows =
    try width == 1
    ? x : node.apply(.flatten(Op.Flatten(from: 0, to: width - 1)), x)
  return try node.apply(.gather(Op.Gather()), rows, place)
}

/// Which blocks rows of indices name, counted through the axes that they index: [...] for [..., width].
func blockPlace(_ node: ONNXNode, _ x: Value, _ indices: Value) throws -> Value {
  guard let width = indices.shape.last?.size, width > 0, width <= x.rank else {
    throw node.unsupported("indices", expected: "rows of at most as many numbers as x has axes", found: indices.type)
  }
  var place: Value?
  for column in 0..<width {
    let slice = Op.Slice(starts: [column], ends: [column + 1], axes: [-1])
    var coordinate = try node.apply(.squeeze(Op.Squeeze([-1])), node.apply(.slice(slice), indices))
    coordinate =
      try column > 0
      ? node.countedFromFront(coordinate, size: x.shape[column]) : cast(node, coordinate, to: .int64)
    coordinate = try node.scaled(coordinate, by: Array(x.shape[(column + 1)..<width]))
    place = try place.map { try binary(node, .add, $0, coordinate) } ?? coordinate
  }
  return place!
}

/// Whether a row of a triangle has a column, as truth values: `column − row ≥ offset`, or ≤ for the lower triangle.
func triangle(
  _ node: ONNXNode, rows: Dimension, columns: Dimension, offset: Int, isUpper: Bool
) throws -> Value {
  let row = try node.positions(rows, axis: 0, rank: 2)
  let column = try node.positions(columns, axis: 1, rank: 2)
  let diagonal = offset == 0 ? row : try binary(node, .add, row, node.number(offset, like: row))
  return try node.apply(.compare(isUpper ? .greaterOrEqual : .lessOrEqual), column, diagonal)
}
