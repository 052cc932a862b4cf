import OctetCore
import OctetGraph

// Functions of single elements, and normalizations.

extension NodeWriter {
  func unary(_ op: Op.Unary) throws -> String {
    let x = try input(0)
    switch op {
    case .relu: return emit("Relu", [x])
    case .sigmoid: return emit("Sigmoid", [x])
    case .tanh: return emit("Tanh", [x])
    case .exp: return emit("Exp", [x])
    case .log: return emit("Log", [x])
    case .sqrt: return emit("Sqrt", [x])
    case .erf: return emit("Erf", [x])
    case .abs: return emit("Abs", [x])
    case .neg: return emit("Neg", [x])
    case .reciprocal: return emit("Reciprocal", [x])
    case .floor: return emit("Floor", [x])
    case .sin: return emit("Sin", [x])
    case .cos: return emit("Cos", [x])
    case .softplus: return emit("Softplus", [x])
    // Swish came with operator set 24, which few programs read.
    case .silu: return emit("Mul", [x, helper("Sigmoid", [x])])
    case .hardSwish: return emit("HardSwish", [x])
    case .hardSigmoid(let alpha, let beta):
      return emit("HardSigmoid", [x], [Attribute.float("alpha", alpha), Attribute.float("beta", beta)])
    case .leakyRelu(let alpha): return emit("LeakyRelu", [x], [Attribute.float("alpha", alpha)])
    case .elu(let alpha): return emit("Elu", [x], [Attribute.float("alpha", alpha)])
    case .gelu(let approximation):
      return emit("Gelu", [x], [Attribute.string("approximate", approximation.rawValue)])
    }
  }

  func compare(_ op: Op.Compare) throws -> String {
    if op != .equal, type(0).dtype == .bool {
      throw unsupported("operands", expected: "numbers", found: type(0))
    }
    return emit(op.operatorName, [try input(0), try input(1)])
  }

  /// Of truth values what logic makes of the condition: ONNX Runtime has no Where of them.
  func select() throws -> String {
    guard resultType.dtype == .bool else { return emit("Where", [try input(0), try input(1), try input(2)]) }
    /// An operand that is one truth value.
    func known(_ index: Int) throws -> Bool? {
      guard let tensor = parameter(index), tensor.shape.isEmpty else { return nil }
      return try tensor.item(as: Bool.self)
    }
    let condition = try input(0)
    func unless() -> String { helper("Not", [condition]) }
    switch (try known(1), try known(2)) {
    case (true, false): return emit("Identity", [condition])
    case (false, true): return emit("Not", [condition])
    case (true, _): return emit("Or", [condition, try input(2)])
    case (false, _): return emit("And", [unless(), try input(2)])
    case (_, true): return emit("Or", [unless(), try input(1)])
    case (_, false): return emit("And", [condition, try input(1)])
    case (nil, nil):
      let (chosen, other) = (
        helper("And", [condition, try input(1)]), helper("And", [unless(), try input(2)])
      )
      return emit("Or", [chosen, other])
    }
  }

  /// ONNX's slope broadcasts from the last axis on.
  func prelu(_ op: Op.PRelu) throws -> String {
    guard let axis = op.axis, type(1).shape != [1] else { return emit("PRelu", [try input(0), try input(1)]) }
    let rank = type(0).rank
    let trailing = rank - 1 - (axis < 0 ? axis + rank : axis)
    let slope = try trailing == 0 ? input(1) : reshaped(1, [-1] + [Int](repeating: 1, count: trailing))
    return emit("PRelu", [try input(0), slope])
  }

  func batchNormalization(_ op: Op.BatchNormalization) throws -> String {
    emit("BatchNormalization", try (0..<5).map(input), [Attribute.float("epsilon", op.epsilon)])
  }

  func normalize(_ op: Op.Normalize) throws -> String {
    let x = type(0)
    let epsilon = Attribute.float("epsilon", op.epsilon)
    let shape: [Dimension]
    let result: (type: String, attributes: [Onnx_AttributeProto])
    switch op.domain {
    case .layer(let axis):
      shape = Array(x.shape[(axis < 0 ? axis + x.rank : axis)...])
      result = ("LayerNormalization", [Attribute.int("axis", axis), epsilon])
    case .group(let count):
      shape = [x.shape[1]]
      result = ("GroupNormalization", [Attribute.int("num_groups", count), epsilon])
    case .instance:
      shape = [x.shape[1]]
      result = ("InstanceNormalization", [epsilon])
    }
    func operand(_ index: Int, default number: Float, _ name: String) throws -> String {
      if value(index) != nil { return try input(index) }
      // A layer may go without; the others may not.
      if index == 2, case .layer = op.domain { return "" }
      let sizes = shape.compactMap(\.size)
      guard sizes.count == shape.count else { throw unsupported("x", expected: "fixed sizes", found: x) }
      return try constant([Float](repeating: number, count: sizes.reduce(1, *)), shape: sizes, name)
    }
    return emit(
      result.type, [try input(0), try operand(1, default: 1, "scale"), try operand(2, default: 0, "bias")],
      result.attributes)
  }
}

extension Op.Binary {
  var operatorName: String {
    switch self {
    case .add: "Add"
    case .sub: "Sub"
    case .mul: "Mul"
    case .div: "Div"
    case .pow: "Pow"
    case .minimum: "Min"
    case .maximum: "Max"
    }
  }
}

extension Op.Compare {
  fileprivate var operatorName: String {
    switch self {
    case .equal: "Equal"
    case .less: "Less"
    case .lessOrEqual: "LessOrEqual"
    case .greater: "Greater"
    case .greaterOrEqual: "GreaterOrEqual"
    }
  }
}
