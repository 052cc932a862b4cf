import OctetCore
import OctetGraph

let shapeOperators = [
  Operator("Reshape", mapReshape),
  Operator("Flatten", mapFlatten),
  Operator("Squeeze") { node in [try squeeze(node, node.ints("axes"))] },
  // The axes became an input.
  Operator("Squeeze", since: 13) { node in [try squeeze(node, node.integers(input: 1, orAttribute: "axes"))] },
  Operator("Unsqueeze") { node in [try unsqueeze(node, node.ints("axes"))] },
  Operator("Unsqueeze", since: 13) { node in [try unsqueeze(node, node.integers(input: 1, orAttribute: "axes"))] },
  Operator("Transpose") { node in
    let x = try node.input(0)
    return [try node.apply(.transpose(Op.Transpose(node.ints("perm") ?? (0..<x.rank).reversed())), x)]
  },
  Operator("Expand", mapExpand),
  Operator("Tile", mapTile),
  Operator("Concat") { node in
    let operands = try node.allInputs().map(Optional.some)
    return [try node.results(.concat(Op.Concat(axis: node.int("axis", default: 1))), operands)[0]]
  },
  Operator("DepthToSpace", mapDepthToSpace),
  Operator("SpaceToDepth", mapSpaceToDepth),
]

extension ONNXNode {
  /// The sizes that an operand holds.
  func sizes(_ value: Value, _ what: String) throws -> [Dimension] {
    guard let tensor = value.constant else {
      throw unsupported(what, expected: "a constant, or made of shapes", found: value.name)
    }
    if !value.holdsSizes { return try integers(value, what).map(Dimension.fixed) }
    return try tensor.scalars(as: Int64.self).map(builder.sizes.dimension)
  }

  /// x repeated to a shape that it broadcasts to.
  func expand(_ x: Value, _ shape: [Dimension]) throws -> Value {
    var x = x
    let numbers = try shape.enumerated().map { axis, size -> Int in
      if let size = size.size { return size == 1 ? -1 : size }
      // What x has already needs no repeating.
      let place = axis - shape.count + x.rank
      if place < 0 || x.shape[place] != size { x = try select(x, size: size, axis: axis - shape.count) }
      return -1
    }
    if x.rank >= shape.count, numbers.allSatisfy({ $0 == -1 }) { return x }
    return try apply(.expand(Op.Expand(numbers)), x)
  }

  /// x repeated along an axis (counted from the end) as often as a symbolic size says: chosen by as many truth values between
  /// x and x.
  private func select(_ x: Value, size: Dimension, axis: Int) throws -> Value {
    let ones = [Int](repeating: 1, count: -1 - axis)
    let line = try apply(.reshape(Op.Reshape([-1] + ones)), positions(size))
    return try apply(.where(Op.Where()), apply(.compare(.equal), line, line), x, x)
  }

  /// x under another shape, where −1 is what is left. A size that is known only when the graph runs is copied from x if it
  /// stands there too, or is what is left.
  func reshape(_ x: Value, _ shape: [Dimension]) throws -> Value {
    var wanted = shape
    let isOpen = wanted.contains(.fixed(-1))
    // Everything that is known is said; only then one place may be left open for what is not.
    if let known = x.type.fixedShape, isOpen, wanted.allSatisfy({ $0.size != nil }) {
      let rest = wanted.compactMap(\.size).filter { $0 != -1 }.reduce(1) { product, size in
        let (next, overflow) = product.multipliedReportingOverflow(by: size)
        return overflow ? 0 : next
      }
      let total = elementCount(of: known)
      if rest > 0, total.isMultiple(of: rest) { wanted[wanted.firstIndex(of: .fixed(-1))!] = .fixed(total / rest) }
    }
    var numbers: [Int] = []
    for (axis, size) in wanted.enumerated() {
      switch size {
      case .symbolic:
        if axis < x.rank, x.shape[axis] == size {
          numbers.append(0)
        } else {
          numbers.append(-1)
        }
      case .fixed(0):
        guard axis < x.rank, x.shape[axis] == 0 else {
          throw unsupported("shape", expected: "0 only where x has it", found: wanted)
        }
        numbers.append(0)
      case .fixed(let size): numbers.append(size)
      }
    }
    var expected = "at most one size that is known only when the graph runs"
    if numbers.filter({ $0 == -1 }).count <= 1 {
      if x.type.fixedShape == numbers { return x }
      do {
        return try apply(.reshape(Op.Reshape(numbers)), x)
      } catch let error as OctetError where x.type.fixedShape == nil {
        expected = "\(error.expected), or sizes for symbolic dimensions"
      }
    }
    // Not all that sizes which are not known can do has a place in a shape: two of them may not be left open.
    guard x.type.fixedShape == nil, let result = try regroup(x, shape) else {
      throw unsupported("shape", expected: expected, found: "\(wanted) of \(x.type)")
    }
    return result
  }
}

@Sendable private func mapReshape(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  var shape =
    try node.optionalInput(1).map { try node.sizes($0, "shape") }
    ?? (node.ints("shape") ?? []).map(Dimension.fixed)
  // 0 copies the size of x, unless it is allowed to mean 0.
  if try node.int("allowzero", default: 0) == 0 {
    shape = try shape.enumerated().map { axis, size in
      guard size == 0 else { return size }
      guard axis < x.rank else { throw node.invalid("shape", expected: "0 for an axis of \(x.type)", found: shape) }
      return x.shape[axis]
    }
  }
  return [try node.reshape(x, shape)]
}

/// Two axes: those before `axis` as one, and the others.
@Sendable private func mapFlatten(_ node: ONNXNode) throws -> [Value] {
  var x = try node.input(0)
  let stated = try node.int("axis", default: 1)
  guard (-x.rank...x.rank).contains(stated) else {
    throw node.invalid("axis", expected: "\(-x.rank)…\(x.rank)", found: stated)
  }
  let axis = stated < 0 ? stated + x.rank : stated
  let rank = x.rank
  if axis < rank - 1 { x = try node.apply(.flatten(Op.Flatten(from: axis, to: -1)), x) }
  if axis > 1 { x = try node.apply(.flatten(Op.Flatten(from: 0, to: axis - 1)), x) }
  if axis == 0 { x = try node.apply(.unsqueeze(Op.Unsqueeze([0])), rank == 0 ? node.reshape(x, [1]) : x) }
  if axis == rank, rank > 0 { x = try node.apply(.unsqueeze(Op.Unsqueeze([1])), x) }
  return [x]
}

private func squeeze(_ node: ONNXNode, _ axes: [Int]?) throws -> Value {
  let x = try node.input(0)
  if let axes { return axes.isEmpty ? x : try node.apply(.squeeze(Op.Squeeze(axes)), x) }
  guard let shape = x.type.fixedShape else {
    throw node.unsupported("axes", expected: "axes, or a fixed shape", found: x.type)
  }
  return try node.apply(.squeeze(Op.Squeeze(shape.indices.filter { shape[$0] == 1 })), x)
}

private func unsqueeze(_ node: ONNXNode, _ axes: [Int]?) throws -> Value {
  guard let axes else { throw node.invalid("axes", expected: "axes", found: "none") }
  return try node.apply(.unsqueeze(Op.Unsqueeze(axes)), node.input(0))
}

@Sendable private func mapExpand(_ node: ONNXNode) throws -> [Value] {
  [try node.expand(node.input(0), node.sizes(node.input(1), "shape"))]
}

/// x beside itself, as often as it says along each axis.
@Sendable private func mapTile(_ node: ONNXNode) throws -> [Value] {
  var x = try node.input(0)
  let repeats = try node.sizes(node.input(1), "repeats")
  guard repeats.count == x.rank, repeats.allSatisfy({ $0.size.map { (0...1 << 16).contains($0) } ?? true }) else {
    throw node.invalid("repeats", expected: "\(x.rank) sensible numbers", found: repeats)
  }
  for (axis, count) in repeats.enumerated() where count != 1 {
    guard let count = count.size else {
      // As often as something else is long: along an axis of its own, which then becomes one with this one.
      let alone = try node.apply(.unsqueeze(Op.Unsqueeze([axis])), x)
      let shape = alone.shape.enumerated().map { $0 == axis ? count : $1 }
      x = try node.apply(.flatten(Op.Flatten(from: axis, to: axis + 1)), node.expand(alone, shape))
      continue
    }
    guard count > 0 else {
      x = try node.apply(.slice(Op.Slice(starts: [0], ends: [0], axes: [axis])), x)
      continue
    }
    x = try node.results(.concat(Op.Concat(axis: axis)), [Value?](repeating: x, count: count))[0]
  }
  return [x]
}

private func blocks(_ node: ONNXNode) throws -> (x: Value, shape: [Int], size: Int) {
  let x = try node.input(0)
  guard let size = try node.optionalInt("blocksize"), (1...1 << 16).contains(size), x.rank == 4,
    let shape = Optional(x.shape.dropFirst().compactMap(\.size)), shape.count == 3
  else {
    throw node.unsupported("x", expected: "[n, c, h, w] of fixed sizes, and a block size of 1 to 65,536", found: x.type)
  }
  return (x, shape, size)
}

@Sendable private func mapDepthToSpace(_ node: ONNXNode) throws -> [Value] {
  let (x, shape, size) = try blocks(node)
  let (c, h, w) = (shape[0] / (size * size), shape[1], shape[2])
  let isDepthFirst = try node.string("mode", default: "DCR") == "DCR"
  let split = try node.apply(
    .reshape(Op.Reshape(isDepthFirst ? [0, size, size, c, h, w] : [0, c, size, size, h, w])), x)
  let moved = try node.apply(
    .transpose(Op.Transpose(isDepthFirst ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3])), split)
  return [try node.apply(.reshape(Op.Reshape([0, c, h * size, w * size])), moved)]
}

@Sendable private func mapSpaceToDepth(_ node: ONNXNode) throws -> [Value] {
  let (x, shape, size) = try blocks(node)
  let (c, h, w) = (shape[0], shape[1] / size, shape[2] / size)
  let split = try node.apply(.reshape(Op.Reshape([0, c, h, size, w, size])), x)
  let moved = try node.apply(.transpose(Op.Transpose([0, 3, 5, 1, 2, 4])), split)
  return [try node.apply(.reshape(Op.Reshape([0, c * size * size, h, w])), moved)]
}
