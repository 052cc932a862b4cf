import OctetCore
import OctetGraph

/// How an operation can run on integers.
enum IntegerForm {
  /// It computes new values: its activations and its result have scales of their own. The result's is known beforehand if
  /// its range is.
  case computes(range: FixedRange? = nil)
  /// It moves or selects values: operands and result share one scale.
  case shares
  /// It has none, for this reason.
  case none(String)

  /// A range that results have whatever the operands are. (Scales and zero points as torch.ao.quantization's
  /// default_fixed_qparams_range_0to1 and _neg1to1 observers.)
  enum FixedRange {
    /// 0…1, of sigmoid and softmax: 1/256 a step, 0 at the smallest integer.
    case unit
    /// −1…1, of tanh: 2/256 a step, 0 in the middle.
    case symmetric

    func parameters(_ dtype: DType) throws -> QuantizationParameters {
      let least = dtype.quantizedRange?.lowerBound ?? 0
      return switch self {
      case .unit: try QuantizationParameters(scale: 1 / 256, zeroPoint: least, dtype: dtype)
      case .symmetric: try QuantizationParameters(scale: 2 / 256, zeroPoint: least + 128, dtype: dtype)
      }
    }
  }

  init(of node: Node, in graph: Graph) {
    self = Self.form(of: node, in: graph)
  }

  private static func form(of node: Node, in graph: Graph) -> IntegerForm {
    func isConstant(_ index: Int) -> Bool {
      index < node.inputs.count && node.inputs[index].map { graph.parameters[$0] != nil } ?? false
    }
    func isMissing(_ index: Int) -> Bool { index >= node.inputs.count || node.inputs[index] == nil }

    if case .binary = node.op, node.scalarOperand(in: graph) != nil { return functionOfOneNumber(node, graph) }
    if case .binary(let function) = node.op, let operand = node.constantOperand(in: graph) {
      return withConstant(function, graph.parameters[node.inputs[operand]!]!.value, node, operand, graph)
    }
    if case .gather = node.op, isConstant(0) {
      guard graph.types[node.inputs[0]!]?.dtype == .float32 else { return .none("its table is not float") }
      return isConstant(1) ? .none("its result is a constant") : .computes()
    }
    let activations = node.activationInputs
    if let constant = activations.first(where: { graph.parameters[$0] != nil }) {
      return .none("operand \(constant) is a constant")
    }
    let types = activations.compactMap { graph.types[$0] }
    guard types.allSatisfy({ $0.dtype == .float32 }) else { return .none("its operands are not float") }
    switch node.op {
    case .conv, .linear, .convTranspose:
      guard isConstant(1) else { return .none("its weight is computed") }
      return isMissing(2) || isConstant(2) ? .computes() : .none("its bias is computed")
    case .binary(.add), .binary(.sub), .binary(.mul):
      let fits = types[0] == types[1] || types[0].isChannels(of: types[1]) || types[1].isChannels(of: types[0])
      return fits ? .computes() : .none("its operands broadcast")
    case .matmul:
      let depth = types[0].shape.last?.size ?? 0
      guard types.allSatisfy({ $0.rank >= 2 }) else { return .none("its operands are vectors") }
      return depth <= QuantizationParameters.longestActivationSum
        ? .computes() : .none("it sums \(depth) products, more than \(QuantizationParameters.longestActivationSum)")
    case .pool(let pool) where pool.clipsWindowsToPadding:
      return .none("rounded up, its windows count different numbers of elements")
    case .pool, .clip, .concat, .reshape, .flatten, .squeeze, .unsqueeze, .transpose, .expand, .slice, .split, .gather,
      .resize, .dropout:
      return .shares
    case .unary(.relu):
      return .shares
    case .unary:
      return functionOfOneNumber(node, graph)
    case .prelu(let prelu):
      guard isConstant(1) else { return .none("its slope is computed") }
      let isScalar = graph.types[node.inputs[1]!]!.shape == [1]
      return isScalar || prelu.axis == 1 || prelu.axis == 1 - types[0].rank
        ? .computes() : .none("its slope does not go by channels")
    case .softmax(let softmax):
      guard softmax.axis == -1 || softmax.axis == types[0].rank - 1 else { return .none("its axis is not the last") }
      return softmax.isLogarithm ? .computes() : .computes(range: .unit)
    case .normalize:
      return (1...2).allSatisfy { isMissing($0) || isConstant($0) }
        ? .computes() : .none("its scale or bias is computed")
    case .adaptiveAveragePool(let pool):
      return pool.hasEqualWindows(over: types[0]) ? .shares : .none("its windows differ in size")
    case .reduce(let reduce):
      return reduce.isImageMean(of: types[0])
        ? .shares : .none("only the mean over height and width has an integer form")
    case .batchNormalization: return .none("batch normalization that is not fused has no integer form")
    case .pad, .compare, .where, .cast, .positions, .argmax, .topK, .binary:
      return .none("\(node.op.kind.rawValue) has no integer form")
    case .recurrent: return .none("\(node.op.kind.rawValue) is quantized dynamically")
    case .quantizeLinear, .dequantizeLinear, .dynamicQuantize: return .none("it is quantized already")
    case .custom(let custom): return .none("\(custom.name) is a function of a user's own")
    }
  }

  /// Sums, differences and products with a constant, which is quantized by its own range.
  private static func withConstant(
    _ function: Op.Binary, _ constant: Tensor, _ node: Node, _ operand: Int, _ graph: Graph
  ) -> IntegerForm {
    guard [.add, .sub, .mul].contains(function) else { return .none("\(function.rawValue) has no integer form") }
    let name = node.inputs[operand]!
    guard let numbers = try? constant.scalars(as: Float.self), numbers.allSatisfy(\.isFinite) else {
      return .none("operand \(name) is not finite")
    }
    guard let type = node.inputs[1 - operand].flatMap({ graph.types[$0] }), type == graph.types[node.outputs[0]],
      constant.type.repetition(over: type) != nil
    else { return .none("its operands broadcast") }
    return .computes()
  }

  /// A function that becomes a table of 256 integers.
  private static func functionOfOneNumber(_ node: Node, _ graph: Graph) -> IntegerForm {
    if case .binary = node.op, let operand = node.scalarOperand(in: graph) {
      let scalar = try? graph.parameters[node.inputs[operand]!]?.value.item(as: Float.self)
      guard let scalar, scalar.isFinite else { return .none("operand \(node.inputs[operand]!) is not finite") }
      // The result must have the shape of the other operand, which must be an activation.
      let other = node.inputs[1 - operand]!
      return graph.parameters[other] == nil && graph.types[other] == graph.types[node.outputs[0]]
        ? .computes() : .none("its operands broadcast")
    }
    guard case .unary(let function) = node.op else { return .computes() }
    return switch function {
    case .sigmoid, .hardSigmoid: .computes(range: .unit)
    case .tanh: .computes(range: .symmetric)
    case .relu, .exp, .log, .sqrt, .erf, .abs, .neg, .reciprocal, .floor, .sin, .cos, .softplus, .silu, .hardSwish,
      .leakyRelu, .elu, .gelu:
      .computes()
    }
  }
}

extension Node {
  /// The operands that are activations, not weights or biases.
  var activationInputs: [String] {
    switch op {
    case .conv: [inputs[0], inputs.count > 3 ? inputs[3] : nil].compactMap { $0 }
    case .linear, .batchNormalization, .convTranspose, .normalize, .prelu, .gather: [inputs[0]].compactMap { $0 }
    case .matmul, .unary, .clip, .binary, .compare, .where, .cast, .softmax, .pool, .adaptiveAveragePool, .resize,
      .concat, .split, .slice, .reshape, .flatten, .squeeze, .unsqueeze, .expand, .transpose, .pad, .reduce, .argmax,
      .topK, .positions, .dropout, .quantizeLinear, .dequantizeLinear, .dynamicQuantize, .custom:
      inputs.compactMap { $0 }
    case .recurrent:
      [Op.Recurrent.Place.x, Op.Recurrent.Place.state, Op.Recurrent.Place.cell].compactMap {
        $0 < inputs.count ? inputs[$0] : nil
      }
    }
  }

  /// The operand of a binary function that is a constant of several elements, where the other is none.
  func constantOperand(in graph: Graph) -> Int? {
    guard case .binary = op, scalarOperand(in: graph) == nil else { return nil }
    let places = inputs.indices.filter { graph.parameters[inputs[$0]!] != nil }
    return places.count == 1 ? places[0] : nil
  }

  /// The ReLU or clip that alone reads a sum, difference or product, whose result is then quantized behind it. (With one
  /// number it is a table, which has a result of its own.)
  func rectifier(in graph: Graph, _ consumers: [String: [Int]]) -> Node? {
    guard case .binary(let function) = op, [.add, .sub, .mul].contains(function), !graph.isOutput(outputs[0]),
      scalarOperand(in: graph) == nil, let users = consumers[outputs[0]], users.count == 1
    else { return nil }
    switch graph.nodes[users[0]].op {
    case .unary(.relu), .clip: return graph.nodes[users[0]]
    default: return nil
    }
  }

  /// The operands that are activations to be quantized: not constants.
  func quantizedInputs(in graph: Graph) -> [String] { activationInputs.filter { graph.parameters[$0] == nil } }

  /// The operand that holds the weight, and which of its axes has a scale for each index, if there is a weight.
  var weightPlace: (operand: Int, axis: Int)? {
    switch op {
    case .conv, .linear: (1, 0)
    // [inputs, outputs / groups, ...]
    case .convTranspose: (1, 1)
    // A table of vectors; whatever else is gathered from is an activation.
    case .gather: (0, 0)
    case .matmul, .batchNormalization, .normalize, .unary, .clip, .prelu, .binary, .compare, .where, .cast, .softmax,
      .pool, .adaptiveAveragePool, .resize, .concat, .split, .slice, .reshape, .flatten, .squeeze, .unsqueeze, .expand,
      .transpose, .pad, .reduce, .argmax, .topK, .positions, .dropout, .recurrent, .quantizeLinear, .dequantizeLinear,
      .dynamicQuantize, .custom:
      nil
    }
  }
}

extension Observer {
  /// The parameters for a node's weight. A template for axis 0 counts along the axis of the outputs.
  ///
  /// - Returns: them, and why no integer kernel takes them if none does.
  func weightParameters(for weight: Tensor, axis: Int) throws -> (QuantizationParameters, obstacle: String?) {
    guard axis == 1 else {
      let parameters = try parameters(for: weight)
      return (parameters, parameters.integerWeightObstacle(shape: weight.shape))
    }
    let outputsFirst = try weight.transpose([1, 0] + Array(2..<weight.rank))
    let parameters = try parameters(for: outputsFirst)
    let obstacle = parameters.integerWeightObstacle(shape: outputsFirst.shape)
    guard parameters.axis != nil, obstacle == nil else { return (parameters, obstacle) }
    return (
      try QuantizationParameters(
        scales: parameters.scales, zeroPoints: parameters.zeroPoints, dtype: parameters.dtype, range: parameters.range,
        axis: 1), nil
    )
  }
}
