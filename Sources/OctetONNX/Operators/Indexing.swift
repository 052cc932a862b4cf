import OctetCore

let indexingOperators = [
  Operator("Slice") { node in
    guard let starts = try node.ints("starts"), let ends = try node.ints("ends") else {
      throw node.invalid("slice", expected: "starts and ends", found: "none")
    }
    return [try slice(node, node.input(0), starts, ends, node.ints("axes"), nil)]
  },
  // The bounds became inputs, and steps were added.
  Operator("Slice", since: 10) { node in
    let starts = try node.sizes(node.input(1), "starts")
    let ends = try node.sizes(node.input(2), "ends")
    let axes = try node.optionalInput(3).map { try node.integers($0, "axes") }
    let steps = try node.optionalInput(4).map { try node.integers($0, "steps") }
    return [try slice(node, starts, ends, axes, steps)]
  },
  Operator("Split") { node in try split(node, node.integers(input: 1, orAttribute: "split")) },
  Operator("Gather") { node in
    [try node.apply(.gather(Op.Gather(axis: node.int("axis", default: 0))), node.input(0), node.input(1))]
  },
  Operator("GatherElements", mapGatherElements),
  Operator("GatherND", mapGatherND),
  Operator("ScatterElements", mapScatterElements),
  Operator("Scatter", mapScatterElements),
  Operator("ScatterND", mapScatterND),
  Operator("OneHot", mapOneHot),
  Operator("Trilu", mapTrilu),
  Operator("Pad", since: 2) { node in
    try pad(node, node.ints("pads") ?? [], value: node.float("value", default: 0))
  },
  // Padding and value became inputs.
  Operator("Pad", since: 11) { node in
    let x = try node.input(0)
    let value = try node.optionalInput(2).map { try node.number($0, "value") } ?? 0
    var pads = try node.integers(node.input(1), "pads")
    if let operand = node.optionalInput(3) {
      let axes = try node.integers(operand, "axes").map { try node.axis($0, rank: x.rank) }
      guard pads.count == 2 * axes.count else {
        throw node.invalid("pads", expected: "\(2 * axes.count) numbers", found: pads)
      }
      var all = [Int](repeating: 0, count: 2 * x.rank)
      for (index, axis) in axes.enumerated() {
        all[axis] = pads[index]
        all[axis + x.rank] = pads[index + axes.count]
      }
      pads = all
    }
    return try pad(node, pads, value: value)
  },
  Operator("ReverseSequence", mapReverseSequence),
  Operator("NonZero") { node in
    let x = try node.constant(node.input(0), "x")
    _ = try node.listed(x.count)
    let places = try x.numbers("x").enumerated().filter { $0.element != 0 }.map(\.offset)
    _ = try node.listed(x.rank, places.count)
    var coordinates: [Int64] = []
    for axis in 0..<x.rank {
      let inner = elementCount(of: Array(x.shape[(axis + 1)...]))
      coordinates += places.map { Int64($0 / inner % x.shape[axis]) }
    }
    return [node.constant(try Tensor(coordinates, shape: [x.rank, places.count]))]
  },
]

private func slice(
  _ node: ONNXNode, _ x: Value, _ starts: [Int], _ ends: [Int], _ axes: [Int]?, _ steps: [Int]?
) throws -> Value {
  let axes = axes ?? Array(0..<starts.count)
  // Numbers beyond any size stand for the end.
  let far = 1 << 30
  let open = ends.map { $0 >= far ? .max : ($0 <= -far ? .min : $0) }
  let steps = steps?.map { max(-far, min($0, far)) }
  return try node.apply(.slice(Op.Slice(starts: starts, ends: open, axes: axes, steps: steps)), x)
}

/// A slice between bounds of which some are known only when the graph runs.
private func slice(
  _ node: ONNXNode, _ starts: [Dimension], _ ends: [Dimension], _ axes: [Int]?, _ steps: [Int]?
) throws -> Value {
  var x = try node.input(0)
  let axes = axes ?? Array(0..<starts.count)
  guard starts.count == ends.count, starts.count == axes.count, steps?.count ?? axes.count == axes.count else {
    throw node.invalid("slice", expected: "a start, an end and a step for each axis", found: "\(starts), \(ends)")
  }
  var (from, to) = (starts.map { $0.size ?? 0 }, ends.map { $0.size ?? .max })
  for (index, stated) in axes.enumerated() where starts[index].size == nil || ends[index].size == nil {
    let axis = try node.axis(stated, rank: x.rank)
    let (start, end) = (starts[index], ends[index])
    if end == x.shape[axis], start.size != nil { continue }
    guard let first = start.size, first >= 0, steps?[index] ?? 1 == 1 else {
      throw node.unsupported(
        "slice", expected: "sizes that are known (give sizes for symbolic dimensions)", found: "\(start)..<\(end)")
    }
    // As many as something else has.
    var indices = try node.positions(end)
    if first > 0 {
      indices = try node.apply(.slice(Op.Slice(starts: [first], ends: [.max], axes: [0])), indices)
    }
    x = try node.apply(.gather(Op.Gather(axis: axis)), x, indices)
    (from[index], to[index]) = (0, .max)
  }
  return try slice(node, x, from, to, axes, steps)
}

private func split(_ node: ONNXNode, _ stated: [Int]?) throws -> [Value] {
  let x = try node.input(0)
  let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
  let count = try node.optionalInt("num_outputs") ?? node.outputNames.count
  var sizes = stated
  if sizes == nil {
    guard let size = x.shape[axis].size, count > 0, count <= 1 << 16 else {
      throw node.unsupported("x", expected: "a fixed size along axis \(axis)", found: x.type)
    }
    // The last piece is smaller if they cannot be equal.
    let piece = (size + count - 1) / count
    sizes = (0..<count).map { max(min(piece, size - $0 * piece), 0) }
  }
  return try node.results(.split(Op.Split(sizes!, axis: axis)), x)
}

// MARK: - Elements by known places

/// The elements of x at known places of its flat order, in this shape.
private func elements(_ node: ONNXNode, of x: Value, at places: [Int], shape: [Int]) throws -> Value {
  let flat = try node.reshape(x, [-1])
  let taken = try node.apply(.gather(Op.Gather()), flat, node.integers(places))
  return try node.apply(.reshape(Op.Reshape(shape)), taken)
}

func fixedShape(_ node: ONNXNode, _ value: Value) throws -> [Int] {
  guard let shape = value.type.fixedShape, elementCount(of: shape) <= 1 << 24 else {
    throw node.unsupported("operand", expected: "a fixed shape", found: value.type)
  }
  return shape
}

private func strides(_ shape: [Int]) -> [Int] {
  var strides = [Int](repeating: 1, count: shape.count)
  for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
  return strides
}

private func checked(_ node: ONNXNode, _ index: Int, size: Int) throws -> Int {
  guard (-size..<size).contains(index) else {
    throw node.invalid("indices", expected: "numbers in \(-size)..<\(size)", found: index)
  }
  return index < 0 ? index + size : index
}

/// Where the elements lie that `indices` name along an axis: each at its own coordinates along the others.
func places(_ node: ONNXNode, _ indices: Value, in shape: [Int], axis: Int) throws -> [Int] {
  let numbers = try node.integers(indices, "indices")
  let own = try fixedShape(node, indices)
  guard own.count == shape.count else { throw node.invalid("indices", expected: "rank \(shape.count)", found: own) }
  let (to, from) = (strides(shape), strides(own))
  return try numbers.enumerated().map { position, index in
    try shape.indices.reduce(0) { place, current in
      let coordinate =
        current == axis ? try checked(node, index, size: shape[axis]) : position / from[current] % own[current]
      guard coordinate < shape[current] else {
        throw node.invalid("indices", expected: "a shape within \(shape)", found: own)
      }
      return place + coordinate * to[current]
    }
  }
}

@Sendable private func mapGatherElements(_ node: ONNXNode) throws -> [Value] {
  let (x, indices) = (try node.input(0), try node.input(1))
  let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
  if indices.tensor == nil || x.type.fixedShape == nil { return [try gatherElements(node, x, indices, axis: axis)] }
  let shape = try fixedShape(node, x)
  return [
    try elements(
      node, of: x, at: places(node, indices, in: shape, axis: axis), shape: fixedShape(node, indices))
  ]
}

/// Where the blocks begin that rows of indices name: along the axes behind the first `batch` ones.
func blockPlaces(
  _ node: ONNXNode, _ indices: Value, in shape: [Int], batch: Int
) throws -> (starts: [Int], length: Int, outer: [Int]) {
  let numbers = try node.integers(indices, "indices")
  let own = try fixedShape(node, indices)
  guard let width = own.last, width > 0, (0..<max(shape.count, 1)).contains(batch), width <= shape.count - batch,
    own.count > batch,
    own[..<batch] == shape[..<batch]
  else {
    throw node.invalid("indices", expected: "rows of at most as many numbers as x has axes", found: own)
  }
  let steps = strides(shape)
  let rows = numbers.count / width
  let perBatch = rows / max(elementCount(of: Array(own[..<batch])), 1)
  let batchLength = elementCount(of: Array(shape[batch...]))
  let starts = try (0..<rows).map { row in
    try (0..<width).reduce(perBatch == 0 ? 0 : row / perBatch * batchLength) { place, column in
      let axis = batch + column
      return place + (try checked(node, numbers[row * width + column], size: shape[axis])) * steps[axis]
    }
  }
  return (starts, elementCount(of: Array(shape[(batch + width)...])), Array(own.dropLast()))
}

@Sendable private func mapGatherND(_ node: ONNXNode) throws -> [Value] {
  let (x, indices) = (try node.input(0), try node.input(1))
  let batch = try node.int("batch_dims", default: 0)
  if batch == 0, indices.tensor == nil || x.type.fixedShape == nil { return [try gatherBlocks(node, x, indices)] }
  let shape = try fixedShape(node, x)
  let blocks = try blockPlaces(node, indices, in: shape, batch: batch)
  let width = try fixedShape(node, indices).last!
  _ = try node.listed(blocks.starts.count, blocks.length)
  let places = blocks.starts.flatMap { start in start..<start + blocks.length }
  return [try elements(node, of: x, at: places, shape: blocks.outer + shape[(batch + width)...])]
}

/// x with elements of `updates` at known places: each element of the result comes from one of the two.
func scattered(_ node: ONNXNode, _ x: Value, _ updates: Value, at places: [Int]) throws -> Value {
  let shape = try fixedShape(node, x)
  let count = elementCount(of: shape)
  guard places.count == elementCount(of: try fixedShape(node, updates)) else {
    throw node.invalid("updates", expected: "\(places.count) elements", found: updates.type)
  }
  var sources = Array(0..<count)
  for (index, place) in places.enumerated() { sources[place] = count + index }
  let both = try node.results(
    .concat(Op.Concat(axis: 0)), [node.reshape(x, [-1]), node.reshape(updates, [-1])])[0]
  return try elements(node, of: both, at: sources, shape: shape)
}

/// Each row as it is, but its first elements, as many as it says, in the opposite order.
@Sendable private func mapReverseSequence(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let shape = try fixedShape(node, x)
  let lengths = try node.integers(node.input(1), "sequence_lens")
  let (time, batch) = (try node.int("time_axis", default: 0), try node.int("batch_axis", default: 1))
  guard shape.count >= 2, Set([time, batch]) == [0, 1], lengths.count == shape[batch],
    lengths.allSatisfy({ (0...shape[time]).contains($0) })
  else {
    throw node.invalid("sequence_lens", expected: "one length for each sequence of \(x.type)", found: lengths)
  }
  let steps = strides(shape)
  let places = (0..<elementCount(of: shape)).map { place -> Int in
    let step = place / steps[time] % shape[time]
    let length = lengths[place / steps[batch] % shape[batch]]
    return step < length ? place + (length - 1 - 2 * step) * steps[time] : place
  }
  return [try elements(node, of: x, at: places, shape: shape)]
}

/// Rows of a table with one *on* in each.
@Sendable private func mapOneHot(_ node: ONNXNode) throws -> [Value] {
  var indices = try node.input(0)
  let depths = try node.constant(node.input(1), "depth").numbers("depth")
  guard depths.count == 1, depths[0] >= 1, depths[0] <= 4096 else {
    throw node.unsupported("depth", expected: "1 to 4,096", found: depths)
  }
  let depth = Int(depths[0])
  if indices.dtype == .float32 { indices = try cast(node, indices, to: .int64) }
  let values = try node.constant(node.input(2), "values")
  guard try values.count == 2 else { throw node.invalid("values", expected: "two", found: values.type) }
  let pair = node.constant(values, "values")
  let table = try node.apply(.gather(Op.Gather()), pair, cast(node, eye(node, depth, depth), to: .int64))
  let rows = try node.apply(.gather(Op.Gather()), table, indices)
  let axis = try node.axis(node.int("axis", default: -1), rank: rows.rank)
  return [try movingLastAxis(node, rows, to: axis)]
}

/// The upper or the lower triangle of matrices, 0 elsewhere.
@Sendable private func mapTrilu(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let offset = try node.optionalInput(1).map { try node.integers($0, "k") }?.first ?? 0
  guard x.rank >= 2 else { throw node.invalid("x", expected: "matrices", found: x.type) }
  let isUpper = try node.int("upper", default: 1) != 0
  let limit = min(max(offset, -1 << 31), 1 << 31)
  guard let rows = x.shape[x.rank - 2].size, let columns = x.shape[x.rank - 1].size else {
    let kept = try triangle(
      node, rows: x.shape[x.rank - 2], columns: x.shape[x.rank - 1], offset: limit, isUpper: isUpper)
    return [try node.apply(.where(Op.Where()), kept, x, node.constant(Tensor(zeros: [], dtype: x.dtype)))]
  }
  try TensorType(.bool, fixed: [rows, columns]).requireSensible("x")
  let mask = (0..<(try node.listed(rows, columns))).map { place -> Bool in
    let distance = place % columns - place / columns
    return isUpper ? distance >= limit : distance <= limit
  }
  let kept = node.constant(try Tensor(mask, shape: [rows, columns]))
  return [try node.apply(.where(Op.Where()), kept, x, node.constant(Tensor(zeros: [], dtype: x.dtype)))]
}

// MARK: - Padding

private func pad(_ node: ONNXNode, _ pads: [Int], value: Float) throws -> [Value] {
  var x = try node.input(0)
  guard pads.count == 2 * x.rank, pads.allSatisfy({ $0.magnitude < 1 << 31 }) else {
    throw node.invalid("pads", expected: "\(2 * x.rank) sensible numbers", found: pads)
  }
  // Negative padding cuts off.
  for axis in 0..<x.rank where pads[axis] < 0 || pads[axis + x.rank] < 0 {
    let (start, end) = (max(-pads[axis], 0), min(pads[axis + x.rank], 0))
    x = try node.apply(.slice(Op.Slice(starts: [start], ends: [end == 0 ? .max : end], axes: [axis])), x)
  }
  let before = (0..<x.rank).map { max(pads[$0], 0) }
  let after = (0..<x.rank).map { max(pads[$0 + x.rank], 0) }
  guard (before + after).contains(where: { $0 > 0 }) else { return [x] }
  let mode = try node.string("mode", default: "constant")
  if mode == "constant" {
    // Among integers the value is one of them.
    let value = node.builder.quantization(of: x).map { ($0.scales[0] * (value - Float($0.zeroPoints[0]))) } ?? value
    return [try selection(node, of: x) { try node.apply(.pad(Op.Pad(before: before, after: after, value: value)), $0) }]
  }
  // What is put on either side are elements of x: every axis is a selection.
  for axis in 0..<x.rank where before[axis] > 0 || after[axis] > 0 {
    guard let size = x.shape[axis].size else {
      x = try bordered(node, x, axis: axis, before: before[axis], after: after[axis], mode)
      continue
    }
    guard size > 0 else { throw node.unsupported("x", expected: "elements along axis \(axis)", found: x.type) }
    _ = try node.listed(before[axis] + size + after[axis])
    let indices = try (-before[axis]..<size + after[axis]).map { try source($0, size, mode, node) }
    x = try node.apply(.gather(Op.Gather(axis: axis)), x, node.integers(indices))
  }
  return [x]
}

/// The same along an axis whose size is known only when the graph runs, which must be larger than what is put on a side
/// (edge: than 0).
private func bordered(
  _ node: ONNXNode, _ x: Value, axis: Int, before: Int, after: Int, _ mode: String
) throws -> Value {
  _ = try node.listed(before + after)
  // From the end where they are negative.
  let (front, back): ([Int], [Int])
  switch mode {
  case "edge": (front, back) = (Array(repeating: 0, count: before), Array(repeating: -1, count: after))
  case "wrap": (front, back) = (Array(-before..<0), Array(0..<after))
  case "reflect": (front, back) = ((0..<before).map { before - $0 }, (0..<after).map { -2 - $0 })
  default: throw node.unsupported("mode", expected: "constant, reflect, edge or wrap", found: mode)
  }
  func elements(_ indices: [Int]) throws -> [Value] {
    try indices.isEmpty ? [] : [node.apply(.gather(Op.Gather(axis: axis)), x, node.integers(indices))]
  }
  let parts = try elements(front) + [x] + elements(back)
  return try node.results(.concat(Op.Concat(axis: axis)), parts.map(Optional.some))[0]
}

/// Which element stands at a place beyond the borders.
private func source(_ place: Int, _ size: Int, _ mode: String, _ node: ONNXNode) throws -> Int {
  switch mode {
  case "edge": return min(max(place, 0), size - 1)
  case "wrap": return (place % size + size) % size
  case "reflect":
    // There and back again, the ends not repeated.
    let period = max(2 * (size - 1), 1)
    let inside = (place % period + period) % period
    return inside < size ? inside : period - inside
  default: throw node.unsupported("mode", expected: "constant, reflect, edge or wrap", found: mode)
  }
}
