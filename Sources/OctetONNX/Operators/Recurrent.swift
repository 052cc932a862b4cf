import OctetCore

let recurrentOperators = [
  Operator("LSTM", since: 7) { node in try mapRecurrent(node, .lstm) },
  Operator("GRU", since: 7) { node in
    try mapRecurrent(node, .gru, linearBeforeReset: node.int("linear_before_reset", default: 0) != 0)
  },
  Operator("RNN", since: 7, mapRNN),
  Operator("DynamicQuantizeLSTM", domain: "com.microsoft") { node in
    try mapRecurrent(node, .lstm, activations: Op.DynamicQuantize(.tensor), weight: integerWeight)
  },
]

/// `state = tanh(x·Wᵀ + b + state·Rᵀ + c)`: a GRU whose gates stand still, r at 1 and z at 0.
@Sendable private func mapRNN(_ node: ONNXNode) throws -> [Value] {
  let directions = try reversals(node).count
  let stated = try node.strings("activations") ?? []
  guard stated.isEmpty || stated == [String](repeating: "Tanh", count: directions) else {
    throw node.unsupported("activations", expected: "Tanh", found: stated)
  }
  let hidden = try node.int("hidden_size", default: 0)
  let (w, r) = (try node.input(1), try node.input(2))
  guard hidden > 0, hidden < 1 << 20, w.rank == 3, let features = w.shape[2].size else {
    throw node.invalid("hidden_size", expected: "a number above 0, and W of rank 3", found: "\(hidden), \(w.type)")
  }
  /// Numbers behind the two gates, in ONNX's order z, r, n.
  func behindGates(_ value: Value, _ z: Float, _ r: Float) throws -> Value {
    let rest = value.rank == 3 ? [value.shape[2].size!] : []
    let gates = try [z, r].map {
      Optional(node.constant(try Tensor(repeating: $0, shape: [directions, hidden] + rest)))
    }
    return try node.results(.concat(Op.Concat(axis: 1)), gates + [value])[0]
  }
  guard r.rank == 3, let state = r.shape[2].size else {
    throw node.invalid("R", expected: "rank 3", found: r.type)
  }
  _ = try node.listed(directions, hidden, max(features, state))
  let zeros = node.constant(try Tensor(zeros: [directions, 2 * hidden]))
  let bias = node.optionalInput(3) ?? zeros
  guard bias.rank == 2 else { throw node.invalid("B", expected: "rank 2", found: bias.type) }
  let halves = try node.results(.split(Op.Split([hidden, hidden], axis: 1)), bias)
  // Beyond ±88 a sigmoid is 0 or 1 in float32.
  let biases = try node.results(
    .concat(Op.Concat(axis: 1)), [behindGates(halves[0], -200, 200), behindGates(halves[1], 0, 0)])[0]
  var inputs = node.inputs
  while inputs.count < 4 { inputs.append(nil) }
  (inputs[1], inputs[2], inputs[3]) = (try behindGates(w, 0, 0), try behindGates(r, 0, 0), biases)
  var attributes = node.attributes
  attributes["activations"] = nil
  return try mapRecurrent(
    ONNXNode(
      name: node.name, type: node.type, opset: node.opset, inputs: inputs, outputNames: node.outputNames,
      attributes: attributes, builder: node.builder, reader: node.reader, context: node.context), .gru)
}

/// A layer in one or both directions. ONNX's gates stand in the order i, o, f, g (GRU: z, r, n), ours i, f, g, o (r, z, n).
///
/// x [steps, batch, features], or with batch and steps exchanged if `layout` is 1; weights by direction.
///
/// - Parameter weight: makes operand 1 or 2 of a direction, with its rows in this order; `nil`: as LSTM and GRU have them.
private func mapRecurrent(
  _ node: ONNXNode, _ kind: Op.Recurrent.Kind, activations: Op.DynamicQuantize? = nil, linearBeforeReset: Bool = true,
  weight makeWeight: ((ONNXNode, _ index: Int, _ direction: Int, _ rows: [Int]) throws -> Value)? = nil
) throws -> [Value] {
  var x = try node.input(0)
  let hidden = try node.int("hidden_size", default: 0)
  let isBatchFirst = try node.int("layout", default: 0) != 0
  let directions = try reversals(node)
  guard x.rank == 3, hidden > 0, hidden < 1 << 31 else {
    throw node.invalid("hidden_size", expected: "a number above 0, and x of rank 3", found: "\(hidden), \(x.type)")
  }
  try requireUsualForm(node, kind, directions: directions.count)
  let activations = activations ?? node.metadata[Op.DynamicQuantize.fileKey].flatMap(Op.DynamicQuantize.init(fileForm:))
  if isBatchFirst { x = try node.apply(.transpose(Op.Transpose([1, 0, 2])), x) }
  let lengths = try node.optionalInput(4).flatMap { try isWhole(node, $0, x) ? nil : $0 }

  let gates = kind == .lstm ? [0, 2, 3, 1] : [1, 0, 2]
  _ = try node.listed(gates.count, hidden)
  let order = gates.flatMap { gate in gate * hidden..<(gate + 1) * hidden }
  let rows = try node.integers(order)
  /// The part of an operand that belongs to a direction.
  func part(_ operand: Value?, _ direction: Int, axis: Int = 0) throws -> Value? {
    guard let operand else { return nil }
    let slice = Op.Slice(starts: [direction], ends: [direction + 1], axes: [axis])
    let one = directions.count == 1 ? operand : try node.apply(.slice(slice), operand)
    return try node.apply(.squeeze(Op.Squeeze([axis])), one)
  }
  func weight(_ index: Int, _ direction: Int) throws -> Value {
    if let makeWeight { return try makeWeight(node, index, direction, order) }
    let all = try node.input(index)
    if all.shape.first == .fixed(directions.count),
      let weight = try node.builder.quantizedRows(of: all, matrix: direction, order, named: "\(node.name)/weight")
    {
      return weight
    }
    return try node.apply(.gather(Op.Gather()), part(all, direction)!, rows)
  }
  func bias(_ direction: Int, isOfState: Bool) throws -> Value? {
    guard let both = try part(node.optionalInput(3), direction) else { return nil }
    let start = isOfState ? order.count : 0
    let half = Op.Slice(starts: [start], ends: [start + order.count], axes: [0])
    return try node.apply(.gather(Op.Gather()), node.apply(.slice(half), both), rows)
  }

  let stateAxis = isBatchFirst ? 1 : 0
  var results: [[Value]] = []
  for (direction, isReversed) in directions.enumerated() {
    var operands: [Value?] = [
      x, try weight(1, direction), try weight(2, direction), try bias(direction, isOfState: false),
      try bias(direction, isOfState: true), try part(node.optionalInput(5), direction, axis: stateAxis),
    ]
    if kind == .lstm { operands.append(try part(node.optionalInput(6), direction, axis: stateAxis)) }
    if let lengths {
      operands += [Value?](repeating: nil, count: Op.Recurrent.Place.lengths - operands.count) + [lengths]
    }
    let op = Op.Recurrent(
      kind, isReversed: isReversed, activations: activations, linearBeforeReset: linearBeforeReset)
    results.append(try node.results(.recurrent(op), operands))
  }
  /// One result of all directions, side by side along a new axis.
  func joined(_ index: Int, axis: Int) throws -> Value {
    let parts = try results.map { try node.apply(.unsqueeze(Op.Unsqueeze([axis])), $0[index]) }
    return parts.count == 1 ? parts[0] : try node.results(.concat(Op.Concat(axis: axis)), parts)[0]
  }
  var all = try joined(0, axis: 1)
  if isBatchFirst { all = try node.apply(.transpose(Op.Transpose([2, 0, 1, 3])), all) }
  let last = try (1..<(kind == .lstm ? 3 : 2)).map { try joined($0, axis: stateAxis) }
  return [all] + last
}

/// Whether each direction goes backwards.
private func reversals(_ node: ONNXNode) throws -> [Bool] {
  let direction = try node.string("direction", default: "forward")
  switch direction {
  case "forward": return [false]
  case "reverse": return [true]
  case "bidirectional": return [false, true]
  default: throw node.invalid("direction", expected: "forward, reverse or bidirectional", found: direction)
  }
}

/// The activations of the paper, no clipping, no peepholes.
private func requireUsualForm(_ node: ONNXNode, _ kind: Op.Recurrent.Kind, directions: Int) throws {
  let usual = kind == .lstm ? ["Sigmoid", "Tanh", "Tanh"] : ["Sigmoid", "Tanh"]
  let stated = try node.strings("activations") ?? []
  guard stated.isEmpty || stated == Array((0..<directions).map { _ in usual }.joined()) else {
    throw node.unsupported("activations", expected: "\(usual)", found: stated)
  }
  guard !node.has("clip") else { throw node.unsupported("clip", expected: "none", found: "one") }
  guard try node.int("input_forget", default: 0) == 0 else {
    throw node.unsupported("input_forget", expected: "0", found: 1)
  }
  guard kind == .lstm, let peepholes = node.optionalInput(7) else { return }
  guard try node.constant(peepholes, "P").scalars(as: Float.self).allSatisfy({ $0 == 0 }) else {
    throw node.unsupported("P", expected: "no peepholes", found: "some")
  }
}

/// Whether it is known that all sequences are as long as x.
private func isWhole(_ node: ONNXNode, _ lengths: Value, _ x: Value) throws -> Bool {
  guard let known = lengths.constant else { return false }
  _ = try node.listed(known.count)
  let isWhole = try known.integers("sequence_lens").allSatisfy { node.builder.sizes.dimension(Int64($0)) == x.shape[0] }
  // Computing with the number of steps is not what a graph can do.
  guard isWhole || !lengths.holdsSizes else {
    throw node.unsupported("sequence_lens", expected: "the length of x (\(x.shape[0]))", found: "another size")
  }
  return isWhole
}

/// Integers [directions, columns, rows], with a scale and a zero point for each direction, or for each of its rows.
private func integerWeight(_ node: ONNXNode, _ index: Int, _ direction: Int, _ rows: [Int]) throws -> Value {
  let stored = try node.constant(node.input(index), "weight")
  let scales = try node.constant(node.input(index == 1 ? 8 : 10), "scale").numbers("scale")
  let zeros = try node.constant(node.input(index == 1 ? 9 : 11), "zero_point").integers("zero_point")
  guard stored.rank == 3, stored.shape[2] == rows.count, direction < stored.shape[0],
    stored.dtype == .int8 || stored.dtype == .uint8, scales.count == zeros.count,
    [1, rows.count].contains(scales.count / stored.shape[0]), scales.count.isMultiple(of: stored.shape[0])
  else {
    throw node.invalid("weight", expected: "bytes [directions, columns, \(rows.count)]", found: stored.type)
  }
  let (columns, perDirection) = (stored.shape[1], scales.count / stored.shape[0])
  let integers = try stored.integers("weight")
  let start = direction * columns * rows.count
  let ordered = rows.flatMap { row in (0..<columns).map { integers[start + $0 * rows.count + row] } }
  let tensor =
    try stored.dtype == .int8
    ? Tensor(ordered.map { Int8($0) }, shape: [rows.count, columns])
    : Tensor(ordered.map { UInt8($0) }, shape: [rows.count, columns])
  let places = (perDirection == 1 ? [0] : rows).map { direction * perDirection + $0 }
  let parameters =
    try perDirection == 1
    ? QuantizationParameters(scale: scales[places[0]], zeroPoint: zeros[places[0]], dtype: stored.dtype)
    : QuantizationParameters(
      scales: places.map { scales[$0] }, zeroPoints: places.map { zeros[$0] }, dtype: stored.dtype, axis: 0)
  return try node.apply(.dequantizeLinear(Op.DequantizeLinear(parameters)), node.constant(tensor, "weight"))
}
