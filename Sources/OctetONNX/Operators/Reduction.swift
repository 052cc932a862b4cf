import OctetCore

let reductionOperators: [Operator] =
  reductions.flatMap { (reduction: Reduction) in
    [
      Operator("Reduce" + reduction.name) { node in [try reduction.map(node, axes: node.ints("axes"))] },
      // The axes became an input.
      Operator("Reduce" + reduction.name, since: reduction.axesAreInputSince) { node in
        let axes = try node.optionalInput(1).map { try node.integers($0, "axes") }
        if axes?.isEmpty ?? true, try node.int("noop_with_empty_axes", default: 0) != 0 {
          return [try reduction.ofSingleElements(node)]
        }
        return [try reduction.map(node, axes: axes)]
      },
    ]
  } + [
    Operator("ArgMax") { node in [try argument(node, smallest: false)] },
    Operator("ArgMin") { node in [try argument(node, smallest: true)] },
    Operator("TopK") { node in try topK(node, count: node.int("k", default: 0)) },
    Operator("TopK", since: 10) { node in
      let count = try node.integers(node.input(1), "k")
      guard count.count == 1 else { throw node.invalid("k", expected: "one number", found: count) }
      return try topK(node, count: count[0])
    },
    Operator("CumSum") { node in [try cumulativeSum(node)] },
  ]

/// A reduction as operations: what comes before it, the reduction itself, and what comes behind it.
private struct Reduction: Sendable {
  let name: String
  let kind: Op.Reduce.Kind
  var axesAreInputSince = 18
  var squares = false
  var logarithm = false

  func map(_ node: ONNXNode, axes: [Int]?) throws -> Value {
    var x = try node.input(0)
    let dtype = x.dtype
    switch dtype {
    case .float32: break
    // Truth values are 0 and 1; numbers of few bits are exact in float32, and their extremes among them.
    case .bool where kind == .max || kind == .min: x = try cast(node, x, to: .float32)
    case .uint8, .int8, .uint16, .int16:
      guard kind == .max || kind == .min else { break }
      x = try cast(node, x, to: .float32)
    default:
      guard let known = x.tensor else { break }
      return try folded(node, known, axes)
    }
    if squares { x = try node.mul(x, x) }
    let axes = axes.flatMap { $0.isEmpty ? nil : $0 } ?? Array(0..<x.rank)
    var result = x
    // A scalar has nothing to reduce but itself.
    if x.rank > 0 {
      let keeps = try node.int("keepdims", default: 1) != 0
      result = try node.apply(.reduce(Op.Reduce(kind, axes: axes, keepDimensions: keeps)), x)
    } else if kind == .l1 || kind == .l2 {
      result = try node.unary(.abs, x)
    }
    if logarithm { result = try node.unary(.log, result) }
    return try cast(node, result, to: dtype)
  }

  /// What a reduction over no axes leaves.
  func ofSingleElements(_ node: ONNXNode) throws -> Value {
    let x = try node.input(0)
    var result = x
    if squares { result = try node.mul(x, x) }
    if kind == .l1 || kind == .l2 { result = try node.unary(.abs, x) }
    return logarithm ? try node.unary(.log, result) : result
  }

  /// Of whole numbers that are known: what shape arithmetic does (products and sums of sizes).
  private func folded(_ node: ONNXNode, _ x: Tensor, _ axes: [Int]?) throws -> Value {
    _ = try node.listed(x.count)
    let numbers = try x.integers("operand")
    let all = try (axes ?? []).map { try node.axis($0, rank: x.rank) }
    guard x.rank <= 1 || axes == nil || Set(all).count == x.rank, !squares, !logarithm else {
      throw node.unsupported("operand", expected: "float32", found: x.type)
    }
    let result: Int
    switch kind {
    case .prod: result = numbers.reduce(1, &*)
    case .sum: result = numbers.reduce(0, &+)
    case .max: result = numbers.max() ?? .min
    case .min: result = numbers.min() ?? .max
    case .mean, .l1, .l2, .logSumExp: throw node.unsupported("operand", expected: "float32", found: x.type)
    }
    let keeps = try node.int("keepdims", default: 1) != 0
    let shape = keeps ? [Int](repeating: 1, count: x.rank) : []
    return try cast(node, node.constant(Tensor([Int64(result)], shape: shape)), to: x.dtype)
  }
}

private let reductions = [
  Reduction(name: "Mean", kind: .mean), Reduction(name: "Sum", kind: .sum, axesAreInputSince: 13),
  Reduction(name: "Max", kind: .max), Reduction(name: "Min", kind: .min), Reduction(name: "Prod", kind: .prod),
  Reduction(name: "L1", kind: .l1), Reduction(name: "L2", kind: .l2),
  Reduction(name: "LogSumExp", kind: .logSumExp), Reduction(name: "SumSquare", kind: .sum, squares: true),
  Reduction(name: "LogSum", kind: .sum, logarithm: true),
]

private func argument(_ node: ONNXNode, smallest: Bool) throws -> Value {
  // float32 tells whole numbers below 2²⁴ apart.
  var x = try cast(node, node.input(0), to: .float32)
  let axis = try node.axis(node.int("axis", default: 0), rank: x.rank)
  let keeps = try node.int("keepdims", default: 1) != 0
  let op = Op.argmax(Op.ArgMax(axis: axis, keepDimensions: keeps, smallest: smallest))
  guard try node.int("select_last_index", default: 0) != 0 else { return try node.apply(op, x) }
  // The last one is the first one from behind.
  guard let size = x.shape[axis].size else { throw node.unsupported("x", expected: "a fixed size", found: x.type) }
  x = try node.apply(.slice(Op.Slice(starts: [.max], ends: [.min], axes: [axis], steps: [-1])), x)
  let places = try node.integers((0..<(try node.listed(size))).reversed())
  return try node.apply(.gather(Op.Gather()), places, node.apply(op, x))
}

private func topK(_ node: ONNXNode, count: Int) throws -> [Value] {
  let op = Op.TopK(
    count, axis: try node.int("axis", default: -1), largest: try node.int("largest", default: 1) != 0)
  let x = try node.input(0)
  var results = try node.results(.topK(op), cast(node, x, to: .float32))
  results[0] = try cast(node, results[0], to: x.dtype)
  return results
}

/// Sums of the elements up to each place: a product with a triangle of ones, of whole numbers a sum over what it selects.
private func cumulativeSum(_ node: ONNXNode) throws -> Value {
  let x = try node.input(0)
  let axes = try node.integers(node.input(1), "axis")
  guard axes.count == 1 else { throw node.invalid("axis", expected: "one number", found: axes) }
  let axis = try node.axis(axes[0], rank: x.rank)
  let size = x.shape[axis]
  guard size.size ?? 0 <= 1 << 13 else {
    throw node.unsupported("x", expected: "a size of at most 8,192", found: x.type)
  }
  let isExclusive = try node.int("exclusive", default: 0) != 0
  let isReversed = try node.int("reverse", default: 0) != 0
  // [from, to]
  let isAdded = try triangle(
    node, rows: size, columns: size, offset: isExclusive ? (isReversed ? -1 : 1) : 0, isUpper: !isReversed)
  var permutation = Array(0..<x.rank)
  permutation.swapAt(axis, x.rank - 1)
  func withAxisLast(_ x: Value) throws -> Value {
    axis == x.rank - 1 ? x : try node.apply(.transpose(Op.Transpose(permutation)), x)
  }
  let rows = try withAxisLast(x)
  guard x.dtype != .float32 else {
    return try withAxisLast(node.apply(.matmul(Op.MatMul()), rows, cast(node, isAdded, to: .float32)))
  }
  let columns = try node.apply(.unsqueeze(Op.Unsqueeze([-1])), rows)
  let selected = try node.apply(.where(Op.Where()), isAdded, columns, node.number(0, like: x))
  return try withAxisLast(node.apply(.reduce(Op.Reduce(.sum, axes: [-2], keepDimensions: false)), selected))
}
