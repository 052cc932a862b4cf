import OctetCore

let normalizationOperators = [
  Operator("BatchNormalization") { node in
    try node.require("spatial", is: 1)
    return try mapBatchNormalization(node)
  },
  // Training became an attribute.
  Operator("BatchNormalization", since: 14) { node in
    try node.require("training_mode", is: 0)
    return try mapBatchNormalization(node)
  },
  Operator("LayerNormalization", mapLayerNormalization),
  Operator("GroupNormalization", since: 18) { node in
    // One number for each group, until version 21: repeated for its channels.
    let x = try node.input(0)
    guard let channels = x.rank >= 2 ? x.shape[1].size : nil else {
      throw node.unsupported("x", expected: "a fixed number of channels", found: x.type)
    }
    let groups = try node.int("num_groups", default: 1)
    guard groups > 0, channels.isMultiple(of: groups) else {
      throw node.invalid("num_groups", expected: "a divisor of \(channels)", found: groups)
    }
    let owners = try node.integers((0..<(try node.listed(channels))).map { $0 / (channels / groups) })
    let operands = try [1, 2].map { try node.apply(.gather(Op.Gather()), node.input($0), owners) }
    return [try groupNormalization(node, x, operands[0], operands[1])]
  },
  Operator("GroupNormalization", since: 21) { node in
    [try groupNormalization(node, node.input(0), node.input(1), node.input(2))]
  },
  Operator("InstanceNormalization") { node in
    let op = Op.Normalize(.instance, epsilon: try node.float("epsilon", default: 1e-5))
    return [try node.apply(.normalize(op), node.input(0), node.input(1), node.input(2))]
  },
  Operator("RMSNormalization", mapRMSNormalization),
  Operator("SimplifiedLayerNormalization", mapRMSNormalization),
  Operator("LpNormalization", mapLpNormalization),
  Operator("MeanVarianceNormalization", mapMeanVarianceNormalization),
  Operator("LRN", mapLRN),
  Operator("Softmax") { node in
    [try flattenedSoftmax(node, node.input(0), axis: node.int("axis", default: 1), isLogarithm: false)]
  },
  Operator("Softmax", since: 13) { node in
    [try node.apply(.softmax(Op.Softmax(axis: node.int("axis", default: -1))), node.input(0))]
  },
  Operator("LogSoftmax") { node in
    [try flattenedSoftmax(node, node.input(0), axis: node.int("axis", default: 1), isLogarithm: true)]
  },
  Operator("LogSoftmax", since: 13) { node in
    let op = Op.Softmax(axis: try node.int("axis", default: -1), isLogarithm: true)
    return [try node.apply(.softmax(op), node.input(0))]
  },
  Operator("Hardmax", since: 13, mapHardmax),
]

private func mapBatchNormalization(_ node: ONNXNode) throws -> [Value] {
  let op = Op.BatchNormalization(epsilon: try node.float("epsilon", default: 1e-5))
  let operands = try (0..<5).map { try node.input($0) }
  return [try node.apply(.batchNormalization(op), operands[0], operands[1], operands[2], operands[3], operands[4])]
}

private func groupNormalization(_ node: ONNXNode, _ x: Value, _ scale: Value, _ bias: Value) throws -> Value {
  let groups = try node.int("num_groups", default: 1)
  let op = Op.Normalize(.group(groups), epsilon: try node.float("epsilon", default: 1e-5))
  return try node.apply(.normalize(op), x, scale, bias)
}

@Sendable private func mapLayerNormalization(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let axis = try node.axis(node.int("axis", default: -1), rank: x.rank)
  let epsilon = try node.float("epsilon", default: 1e-5)
  let (scale, bias) = (node.optionalInput(1), node.optionalInput(2))
  let op = Op.normalize(Op.Normalize(.layer(axis: axis), epsilon: epsilon))
  let shape = Array(x.shape[axis...])
  let result: Value
  if [scale, bias].allSatisfy({ $0 == nil || $0!.shape == shape }) {
    result = try node.apply(op, x, scale, bias)
  } else {
    // Scale and bias may broadcast.
    var value = try node.apply(op, x)
    if let scale { value = try node.mul(value, scale) }
    if let bias { value = try node.add(value, bias) }
    result = value
  }
  guard node.isWanted(1) || node.isWanted(2) else { return [result] }
  let axes = Array(axis..<x.rank)
  let mean = try node.apply(.reduce(Op.Reduce(.mean, axes: axes)), x)
  let deviation = try node.sub(x, mean)
  let variance = try node.apply(.reduce(Op.Reduce(.mean, axes: axes)), node.mul(deviation, deviation))
  let root = try node.unary(.sqrt, node.add(variance, node.scalar(epsilon)))
  return [result, mean, try node.unary(.reciprocal, root)]
}

/// `x / √(mean(x²) + epsilon) · scale` over the axes from `axis` on.
@Sendable private func mapRMSNormalization(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let axis = try node.axis(node.int("axis", default: -1), rank: x.rank)
  let square = try node.apply(.reduce(Op.Reduce(.mean, axes: Array(axis..<x.rank))), node.mul(x, x))
  let root = try node.unary(.sqrt, node.add(square, node.scalar(node.float("epsilon", default: 1e-5))))
  return [try node.mul(node.div(x, root), node.input(1))]
}

@Sendable private func mapLpNormalization(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let order = try node.int("p", default: 2)
  guard order == 1 || order == 2 else { throw node.invalid("p", expected: "1 or 2", found: order) }
  let reduce = Op.Reduce(order == 1 ? .l1 : .l2, axes: [try node.int("axis", default: -1)])
  let norm = try node.apply(.reduce(reduce), x)
  // Nothing is normalized to nothing.
  let isZero = try node.apply(.compare(.equal), norm, node.scalar(0))
  return [try node.div(x, node.apply(.where(Op.Where()), isZero, node.scalar(1), norm))]
}

@Sendable private func mapMeanVarianceNormalization(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let op = Op.reduce(Op.Reduce(.mean, axes: try node.ints("axes") ?? [0, 2, 3]))
  let deviation = try node.sub(x, node.apply(op, x))
  let variance = try node.apply(op, node.mul(deviation, deviation))
  return [try node.div(deviation, node.add(node.unary(.sqrt, variance), node.scalar(1e-9)))]
}

/// `x / (bias + alpha / size · Σ x²)^beta`, the sum over `size` neighbouring channels: the mean of a window over them.
@Sendable private func mapLRN(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  guard let shape = x.type.fixedShape, shape.count >= 2, let size = try node.optionalInt("size"), size > 0 else {
    throw node.unsupported("x", expected: "a fixed shape and a size above 0", found: x.type)
  }
  let pixels = elementCount(of: Array(shape[2...]))
  let plane = try node.apply(.reshape(Op.Reshape([shape[0], 1, shape[1], pixels])), node.mul(x, x))
  let window = Op.Pool(
    .average, kernel: Size2D(size, 1), stride: 1,
    padding: Padding2D(top: (size - 1) / 2, left: 0, bottom: size / 2, right: 0))
  let mean = try node.apply(.reshape(Op.Reshape(shape)), node.apply(.pool(window), plane))
  let (alpha, beta) = (try node.float("alpha", default: 1e-4), try node.float("beta", default: 0.75))
  let base = try node.add(node.mul(mean, node.scalar(alpha)), node.scalar(node.float("bias", default: 1)))
  return [try node.div(x, node.apply(.binary(.pow), base, node.scalar(beta)))]
}

/// Softmax as it was until version 13: everything from the axis on counts as one.
func flattenedSoftmax(_ node: ONNXNode, _ x: Value, axis: Int, isLogarithm: Bool) throws -> Value {
  let axis = try node.axis(axis, rank: x.rank)
  let op = Op.softmax(Op.Softmax(axis: axis, isLogarithm: isLogarithm))
  if x.shape[(axis + 1)...].allSatisfy({ $0 == 1 }) { return try node.apply(op, x) }
  let flat = try node.apply(op, node.apply(.flatten(Op.Flatten(from: axis, to: -1)), x))
  let sizes = try x.shape.enumerated().map { index, size -> Int in
    if index < axis { return 0 }
    guard let size = size.size else { throw node.unsupported("x", expected: "fixed sizes", found: x.type) }
    return size
  }
  return try node.apply(.reshape(Op.Reshape(sizes)), flat)
}

/// One where the largest element is, 0 elsewhere.
@Sendable private func mapHardmax(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let axis = try node.axis(node.int("axis", default: -1), rank: x.rank)
  guard let size = x.shape[axis].size else { throw node.unsupported("x", expected: "a fixed size", found: x.type) }
  let places = try node.apply(.argmax(Op.ArgMax(axis: axis, keepDimensions: false)), x)
  let rows = try node.apply(.gather(Op.Gather()), eye(node, size, size), places)
  return [try movingLastAxis(node, rows, to: axis)]
}

/// The last axis in another place.
func movingLastAxis(_ node: ONNXNode, _ x: Value, to axis: Int) throws -> Value {
  if axis == x.rank - 1 { return x }
  var permutation = Array(0..<x.rank - 1)
  permutation.insert(x.rank - 1, at: axis)
  return try node.apply(.transpose(Op.Transpose(permutation)), x)
}
