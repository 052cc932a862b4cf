import OctetCore

let constantOperators = [
  Operator("Constant", mapConstant),
  Operator("ConstantOfShape", mapConstantOfShape),
  Operator("Identity") { node in [try node.input(0)] },
  Operator("Shape") { node in [try node.builder.constant(node.input(0).shape, named: node.name)] },
  // A part of the shape.
  Operator("Shape", since: 15) { node in
    let shape = try node.input(0).shape
    func bound(_ index: Int) -> Int { min(max(index < 0 ? index + shape.count : index, 0), shape.count) }
    let start = bound(try node.int("start", default: 0))
    let end = bound(try node.int("end", default: shape.count))
    return [try node.builder.constant(start < end ? Array(shape[start..<end]) : [], named: node.name)]
  },
  Operator("Size") { node in
    let x = try node.input(0)
    guard let shape = x.type.fixedShape else {
      throw node.unsupported("x", expected: "a fixed shape", found: x.type)
    }
    return [node.constant(try Tensor(Int64(elementCount(of: shape))))]
  },
  Operator("Range", mapRange),
  Operator("EyeLike", mapEyeLike),
  // Without training, what is dropped is nothing; the mask says so.
  Operator("Dropout", mapDropout),
  Operator("Dropout", since: 12) { node in
    if let isTraining = node.optionalInput(2) {
      let ratio = try node.optionalInput(1).map { try node.number($0, "ratio") } ?? 0.5
      guard try node.integers(isTraining, "training_mode") == [0] || ratio == 0 else {
        throw node.unsupported("training_mode", expected: "false", found: "true")
      }
    }
    return try mapDropout(node)
  },
]

@Sendable private func mapConstant(_ node: ONNXNode) throws -> [Value] {
  let tensor: Tensor
  if let value = try node.tensor("value") {
    tensor = value
  } else if node.has("value_float") {
    tensor = try Tensor(node.float("value_float", default: 0))
  } else if let values = try node.floats("value_floats") {
    tensor = try Tensor(values, shape: [values.count])
  } else if let value = try node.optionalInt("value_int") {
    tensor = try Tensor(Int64(value))
  } else if let values = try node.ints("value_ints") {
    tensor = try Tensor(values.map { Int64($0) }, shape: [values.count])
  } else {
    throw node.unsupported(
      "value", expected: "a tensor or numbers", found: node.attributes.keys.sorted().joined(separator: ", "))
  }
  return [node.constant(tensor, "value")]
}

@Sendable private func mapConstantOfShape(_ node: ONNXNode) throws -> [Value] {
  let value = try node.tensor("value") ?? Tensor([Float(0)], shape: [1])
  guard try value.count == 1 else { throw node.invalid("value", expected: "one element", found: value.type) }
  let shape = try node.sizes(node.input(0), "shape")
  if let known = TensorType(value.dtype, shape).fixedShape {
    return [try filled(node, node.constant(value, "value"), known)]
  }
  return [try node.expand(node.apply(.reshape(Op.Reshape([])), node.constant(value, "value")), shape)]
}

/// A constant of one element repeated.
private func filled(_ node: ONNXNode, _ value: Value, _ shape: [Int]) throws -> Value {
  guard shape.allSatisfy({ $0 >= 0 }) else { throw node.invalid("shape", expected: "0 or more", found: shape) }
  let scalar = try node.apply(.reshape(Op.Reshape([])), value)
  let type = TensorType(value.dtype, fixed: shape)
  try type.requireSensible("shape")
  guard value.dtype.byteCount(of: elementCount(of: shape)) <= GraphBuilder.largestConstant else {
    throw node.unsupported("shape", expected: "at most \(GraphBuilder.largestConstant) bytes", found: shape)
  }
  return try node.apply(.expand(Op.Expand(shape)), scalar)
}

@Sendable private func mapRange(_ node: ONNXNode) throws -> [Value] {
  let (start, end) = (try node.input(0), try node.input(1))
  if end.holdsSizes, let first = try start.tensor?.integers("start").first, first >= 0,
    try node.integers(node.input(2), "delta") == [1], let limit = try node.sizes(end, "limit").first
  {
    let all = try node.positions(limit)
    let slice = Op.Slice(starts: [first], ends: [.max], axes: [0])
    return [try cast(node, first == 0 ? all : node.apply(.slice(slice), all), to: start.dtype)]
  }
  let operands = try (0..<3).map { try node.constant(node.input($0), ["start", "limit", "delta"][$0]) }
  let limit = 1 << 24
  if operands[0].dtype == .float32 {
    let numbers = try operands.map { try Double($0.item(as: Float.self)) }
    let steps = ((numbers[1] - numbers[0]) / numbers[2]).rounded(.up)
    guard steps < Double(limit) else { throw node.unsupported("range", expected: "at most \(limit)", found: steps) }
    let count = Int(max(steps, 0))
    return [
      node.constant(try Tensor((0..<count).map { Float(numbers[0] + Double($0) * numbers[2]) }, shape: [count]))
    ]
  }
  let numbers = try operands.flatMap { try $0.integers("range") }
  guard numbers.count == 3, numbers[2] != 0, numbers.allSatisfy({ abs($0 / 2) < 1 << 60 }) else {
    throw node.invalid("range", expected: "start, limit and a delta other than 0", found: numbers)
  }
  let span = numbers[2] > 0 ? numbers[1] - numbers[0] : numbers[0] - numbers[1]
  let count = span <= 0 ? 0 : (span - 1) / abs(numbers[2]) + 1
  guard count < limit else { throw node.unsupported("range", expected: "at most \(limit)", found: count) }
  let values = (0..<count).map { Int64(numbers[0] + $0 * numbers[2]) }
  let range = node.constant(try Tensor(values, shape: [count]))
  return [try cast(node, range, to: operands[0].dtype)]
}

@Sendable private func mapEyeLike(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  guard let shape = x.type.fixedShape, shape.count == 2 else {
    throw node.unsupported("x", expected: "a matrix of fixed shape", found: x.type)
  }
  let offset = try node.int("k", default: 0)
  let dtype = try node.optionalInt("dtype").map { try ElementType(number: $0, "dtype").requireDType("dtype") }
  return [try cast(node, eye(node, shape[0], shape[1], offset: offset), to: dtype ?? x.dtype)]
}

/// Ones on a diagonal, which may start `offset` places further right.
func eye(_ node: ONNXNode, _ rows: Int, _ columns: Int, offset: Int = 0) throws -> Value {
  let offset = min(max(offset, -1 << 31), 1 << 31)
  let numbers = (0..<(try node.listed(rows, columns))).map { $0 % columns == $0 / columns + offset ? Float(1) : 0 }
  return node.constant(try Tensor(numbers, shape: [rows, columns]))
}

@Sendable private func mapDropout(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  guard node.isWanted(1) else { return [x] }
  guard let shape = x.type.fixedShape else {
    throw node.unsupported("mask", expected: "a fixed shape", found: x.type)
  }
  return [x, try filled(node, node.constant(Tensor(true)), shape)]
}
