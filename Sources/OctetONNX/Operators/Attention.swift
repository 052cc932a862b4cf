import OctetCore

let attentionOperators = [
  Operator("Attention", since: 23, mapAttention),
  Operator("RotaryEmbedding", since: 23, mapRotaryEmbedding),
]

/// `softmax(q · kᵀ · scale + mask) · v`, as operations of its own: quantization and the engine know its parts.
///
/// q [batch, heads, steps, width] or [batch, steps, heads · width]; k and v may have fewer heads, each for several of q.
@Sendable private func mapAttention(_ node: ONNXNode) throws -> [Value] {
  let isFlat = try node.input(0).rank == 3
  func heads(_ index: Int, _ attribute: String) throws -> Value {
    let x = try node.input(index)
    guard isFlat else { return x }
    return try splitHeads(node, x, count: node.int(attribute, default: 0))
  }
  let q = try heads(0, "q_num_heads")
  var (k, v) = (try heads(1, "kv_num_heads"), try heads(2, "kv_num_heads"))
  guard q.rank == 4, k.rank == 4, v.rank == 4, let width = q.shape[3].size, width > 0 else {
    throw node.invalid("operands", expected: "q, k and v of rank 3 or 4", found: "\(q.type), \(k.type), \(v.type)")
  }
  guard node.optionalInput(6) == nil else {
    throw node.unsupported("nonpad_kv_seqlen", expected: "none", found: "one")
  }
  // What was seen before comes first.
  var past: Dimension = 0
  if let pastKey = node.optionalInput(4), let pastValue = node.optionalInput(5) {
    past = pastKey.shape.count == 4 ? pastKey.shape[2] : 0
    k = try node.apply(.concat(Op.Concat(axis: 2)), pastKey, k)
    v = try node.apply(.concat(Op.Concat(axis: 2)), pastValue, v)
  }
  let present = (k, v)
  (k, v) = (try repeatHeads(node, k, for: q), try repeatHeads(node, v, for: q))

  let scale = try node.float("scale", default: 1 / Float(width).squareRoot())
  let transposed = try node.apply(.transpose(Op.Transpose([0, 1, 3, 2])), k)
  let product = try node.apply(.matmul(Op.MatMul()), node.mul(q, node.scalar(scale)), transposed)
  var scores = product
  if let mask = node.optionalInput(3) { scores = try masked(node, scores, mask) }
  if try node.int("is_causal", default: 0) != 0 {
    let isAllowed = try causalMask(node, steps: q.shape[2], keys: k.shape[2], past: past)
    scores = try node.apply(.where(Op.Where()), isAllowed, scores, node.scalar(-.infinity))
  }
  let biased = scores
  let cap = try node.float("softcap", default: 0)
  if cap > 0 {
    scores = try node.mul(node.unary(.tanh, node.div(scores, node.scalar(cap))), node.scalar(cap))
  }
  let weights = try node.apply(.softmax(Op.Softmax(axis: -1)), scores)
  var result = try node.apply(.matmul(Op.MatMul()), weights, v)
  if isFlat { result = try joinHeads(node, result) }
  guard node.isWanted(3) else { return [result, present.0, present.1] }
  let mode = try node.int("qk_matmul_output_mode", default: 0)
  guard (0...3).contains(mode) else { throw node.invalid("qk_matmul_output_mode", expected: "0…3", found: mode) }
  return [result, present.0, present.1, [product, biased, scores, weights][mode]]
}

/// [batch, steps, heads · width] → [batch, heads, steps, width]
private func splitHeads(_ node: ONNXNode, _ x: Value, count: Int) throws -> Value {
  guard x.rank == 3, count > 0, let size = x.shape[2].size, size.isMultiple(of: count) else {
    throw node.invalid("heads", expected: "a number of heads that divides \(x.type)", found: count)
  }
  let split = try node.apply(.reshape(Op.Reshape([0, 0, count, size / count])), x)
  return try node.apply(.transpose(Op.Transpose([0, 2, 1, 3])), split)
}

/// [batch, heads, steps, width] → [batch, steps, heads · width]
private func joinHeads(_ node: ONNXNode, _ x: Value) throws -> Value {
  guard let count = x.shape[1].size, let width = x.shape[3].size else {
    throw node.unsupported("operands", expected: "fixed heads and widths", found: x.type)
  }
  let moved = try node.apply(.transpose(Op.Transpose([0, 2, 1, 3])), x)
  return try node.apply(.reshape(Op.Reshape([0, 0, count * width])), moved)
}

/// Every head as often as there are heads of q for it.
private func repeatHeads(_ node: ONNXNode, _ x: Value, for q: Value) throws -> Value {
  guard x.shape[1] != q.shape[1] else { return x }
  guard let wanted = q.shape[1].size, let count = x.shape[1].size, count > 0, wanted.isMultiple(of: count) else {
    throw node.unsupported("operands", expected: "heads of q that are a multiple of \(x.shape[1])", found: q.shape[1])
  }
  let owners = try node.integers((0..<node.listed(wanted)).map { $0 / (wanted / count) })
  return try node.apply(.gather(Op.Gather(axis: 1)), x, owners)
}

/// Scores where a mask of truth values allows them, or plus a mask of numbers. A mask may say nothing of the last keys, which
/// are not allowed then.
private func masked(_ node: ONNXNode, _ scores: Value, _ mask: Value) throws -> Value {
  var mask = mask
  if let known = mask.shape.last?.size, let keys = scores.shape.last?.size, known != 1, known < keys {
    guard let rows = mask.type.fixedShape?.dropLast() else {
      throw node.unsupported("attn_mask", expected: "a fixed shape", found: mask.type)
    }
    let shape = Array(rows) + [keys - known]
    _ = try node.listed(elementCount(of: Array(rows)), keys - known)
    let rest =
      mask.dtype == .bool
      ? try Tensor(repeating: false, shape: shape)
      : try Tensor(repeating: -Float.infinity, shape: shape)
    mask = try node.apply(.concat(Op.Concat(axis: -1)), mask, node.constant(rest))
  }
  if mask.dtype == .bool { return try node.apply(.where(Op.Where()), mask, scores, node.scalar(-.infinity)) }
  return try node.add(scores, mask)
}

/// Each step sees all that is past, and steps up to its own.
private func causalMask(_ node: ONNXNode, steps: Dimension, keys: Dimension, past: Dimension) throws -> Value {
  if past == 0, steps.size == nil || keys.size == nil {
    return try triangle(node, rows: steps, columns: keys, offset: 0, isUpper: false)
  }
  guard let steps = steps.size, let keys = keys.size, let past = past.size else {
    throw node.unsupported("is_causal", expected: "fixed numbers of steps", found: "\(steps), \(keys)")
  }
  let allowed = (0..<(try node.listed(steps, keys))).map { $0 % max(keys, 1) <= $0 / max(keys, 1) + past }
  return node.constant(try Tensor(allowed, shape: [steps, keys]))
}

/// Pairs of elements turned by an angle that their position has: (x₁ cos − x₂ sin, x₁ sin + x₂ cos).
@Sendable private func mapRotaryEmbedding(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let isFlat = x.rank == 3
  let heads = isFlat ? try splitHeads(node, x, count: node.int("num_heads", default: 0)) : x
  guard heads.rank == 4, let width = heads.shape[3].size else {
    throw node.invalid("x", expected: "rank 3 or 4, of fixed width", found: x.type)
  }
  let stated = try node.int("rotary_embedding_dim", default: 0)
  let turned = stated == 0 ? width : stated
  guard turned > 0, turned <= width, turned.isMultiple(of: 2) else {
    throw node.invalid("rotary_embedding_dim", expected: "an even number up to \(width)", found: turned)
  }
  func table(_ index: Int) throws -> Value {
    var table = try node.input(index)
    if let positions = node.optionalInput(3) { table = try node.apply(.gather(Op.Gather()), table, positions) }
    return try node.apply(.unsqueeze(Op.Unsqueeze([1])), table)
  }
  let (cosine, sine) = (try table(1), try table(2))
  func part(_ start: Int, _ end: Int, _ step: Int) throws -> Value {
    try node.apply(.slice(Op.Slice(starts: [start], ends: [end], axes: [3], steps: [step])), heads)
  }
  let isInterleaved = try node.int("interleaved", default: 0) != 0
  let first = isInterleaved ? try part(0, turned, 2) : try part(0, turned / 2, 1)
  let second = isInterleaved ? try part(1, turned, 2) : try part(turned / 2, turned, 1)
  let real = try node.sub(node.mul(first, cosine), node.mul(second, sine))
  let imaginary = try node.add(node.mul(first, sine), node.mul(second, cosine))
  var result = try node.apply(.concat(Op.Concat(axis: 3)), real, imaginary)
  if isInterleaved {
    // Pairs side by side again.
    let order = (0..<(try node.listed(turned))).map { $0 / 2 + $0 % 2 * (turned / 2) }
    result = try node.apply(.gather(Op.Gather(axis: 3)), result, node.integers(order))
  }
  if turned < width { result = try node.apply(.concat(Op.Concat(axis: 3)), result, part(turned, width, 1)) }
  return [isFlat ? try joinHeads(node, result) : result]
}
