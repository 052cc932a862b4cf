import OctetCore

// Scattering to places that the graph computes: every element of the result finds out which updates go to it.

@Sendable func mapScatterElements(_ node: ONNXNode) throws -> [Value] {
  let (x, indices, updates) = (try node.input(0), try node.input(1), try node.input(2))
  let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
  if try isKnown(node, indices, x) {
    let places = try places(node, indices, in: fixedShape(node, x), axis: axis)
    return [try scattered(node, x, updates, at: places)]
  }
  guard indices.rank == x.rank, indices.shape == updates.shape,
    x.shape.indices.allSatisfy({ $0 == axis || indices.shape[$0] == x.shape[$0] })
  else {
    throw node.unsupported(
      "indices", expected: "the sizes of x (\(x.type)) along other axes, and those of updates", found: indices.type)
  }
  return [
    try scatter(node, x, updates, axis: axis, rows: node.countedFromFront(indices, size: x.shape[axis])) {
      both, places in
      try gatherElements(node, both, places, axis: axis)
    }
  ]
}

@Sendable func mapScatterND(_ node: ONNXNode) throws -> [Value] {
  let (x, indices, updates) = (try node.input(0), try node.input(1), try node.input(2))
  if try isKnown(node, indices, x) {
    let blocks = try blockPlaces(node, indices, in: fixedShape(node, x), batch: 0)
    _ = try node.listed(blocks.starts.count, blocks.length)
    let places = blocks.starts.flatMap { start in start..<start + blocks.length }
    return [try scattered(node, x, updates, at: places)]
  }
  // Blocks of x in one row, and so their places and the updates.
  let place = try blockPlace(node, x, indices)
  let width = indices.shape.last!.size!
  guard updates.shape == Array(indices.shape.dropLast() + x.shape[width...]) else {
    throw node.unsupported(
      "updates", expected: "\(indices.shape.dropLast() + x.shape[width...])", found: updates.type)
  }
  func merged(_ value: Value, _ count: Int) throws -> Value {
    switch count {
    case 0: try node.apply(.unsqueeze(Op.Unsqueeze([0])), value)
    case 1: value
    default: try node.apply(.flatten(Op.Flatten(from: 0, to: count - 1)), value)
    }
  }
  let whole = try merged(x, width)
  let rows = try node.countedFromFront(merged(place, place.rank), size: whole.shape[0])
  let result = try scatter(node, whole, merged(updates, place.rank), axis: 0, rows: rows) { both, places in
    try node.apply(.gather(Op.Gather()), both, places)
  }
  return [try node.reshape(result, x.shape)]
}

/// Whether everything about places is known while reading, and no element is reached twice.
private func isKnown(_ node: ONNXNode, _ indices: Value, _ x: Value) throws -> Bool {
  try indices.tensor != nil && x.type.fixedShape != nil && node.string("reduction", default: "none") == "none"
}

/// x [..., n, ...] with updates [..., k, ...] in the rows along `axis` that `rows` names: [..., k, ...], or [k] for whole rows.
///
/// Numbers of rows are not checked where they are computed: one that is outside names no row, or (where several axes make
/// one) another.
///
/// - Parameter take: what rows along the axis there are at places of the same form as `rows`.
private func scatter(
  _ node: ONNXNode, _ x: Value, _ updates: Value, axis: Int, rows: Value, take: (Value, Value) throws -> Value
) throws -> Value {
  let (n, k) = (x.shape[axis], rows.shape[axis])
  if k == 0 { return x }
  // For each update whether it goes to a row: [..., k, n, ...].
  let rank = rows.rank + 1
  if let sizes = rows.type.fixedShape, let n = n.size { _ = try node.listed(elementCount(of: sizes), n) }
  let hits = try node.apply(
    .compare(.equal), node.apply(.unsqueeze(Op.Unsqueeze([axis + 1])), rows),
    node.positions(n, axis: axis + 1, rank: rank))

  let reduction = try node.string("reduction", default: "none")
  if reduction != "none" { return try reduced(node, x, updates, axis: axis, hits: hits, by: reduction) }
  // Counted from 1: the last one that does, or 0.
  let numbers = try node.positions(k, axis: axis, rank: rank)
  let one = try node.number(1, like: numbers)
  let latest = try node.apply(
    .reduce(Op.Reduce(.max, axes: [axis], keepDimensions: false)),
    node.apply(.where(Op.Where()), hits, binary(node, .add, numbers, one), node.number(0, like: numbers)))
  // Rows of x and updates one behind the other: first those of which the number is known.
  let own = try node.positions(n, axis: axis, rank: rows.rank)
  // (Of no updates the largest number is the smallest that there is.)
  let isOld = try node.apply(.compare(.less), latest, one)
  let (operands, old, new): ([Value], Value, Value)
  if let n = n.size {
    operands = [x, updates]
    (old, new) = (own, try binary(node, .add, latest, node.number(n - 1, like: latest)))
  } else if let k = k.size {
    operands = [updates, x]
    (old, new) = (
      try binary(node, .add, own, node.number(k, like: own)),
      try binary(node, .sub, latest, node.number(1, like: latest))
    )
  } else {
    throw node.unsupported(
      "x", expected: "a size along axis \(axis) (give sizes for symbolic dimensions)", found: x.type)
  }
  let both = try node.results(.concat(Op.Concat(axis: axis)), operands.map(Optional.some))[0]
  return try take(both, node.apply(.where(Op.Where()), isOld, old, new))
}

/// What all updates of an element make of it.
private func reduced(
  _ node: ONNXNode, _ x: Value, _ updates: Value, axis: Int, hits: Value, by reduction: String
) throws -> Value {
  let forms: [String: (Op.Reduce.Kind, Op.Binary, Float)] = [
    "add": (.sum, .add, 0), "mul": (.prod, .mul, 1), "max": (.max, .maximum, -.infinity),
    "min": (.min, .minimum, .infinity),
  ]
  guard let (kind, function, neutral) = forms[reduction], x.dtype == .float32, updates.dtype == .float32 else {
    throw node.unsupported(
      "reduction", expected: "none, add, mul, max or min of float32", found: "\(reduction) of \(x.type)")
  }
  // [..., k, n, ...] for each element of an update.
  var hits = hits
  let behind = updates.rank - (hits.rank - 1)
  if behind > 0 {
    hits = try node.apply(.unsqueeze(Op.Unsqueeze(Array(hits.rank..<hits.rank + behind))), hits)
  }
  let spread = try node.apply(.unsqueeze(Op.Unsqueeze([axis + 1])), updates)
  if let (sizes, n) = spread.type.fixedShape.flatMap({ sizes in hits.shape[axis + 1].size.map { (sizes, $0) } }) {
    _ = try node.listed(elementCount(of: sizes), n)
  }
  let chosen = try node.apply(.where(Op.Where()), hits, spread, node.scalar(neutral))
  let all = try node.apply(.reduce(Op.Reduce(kind, axes: [axis], keepDimensions: false)), chosen)
  return try binary(node, function, x, all)
}
