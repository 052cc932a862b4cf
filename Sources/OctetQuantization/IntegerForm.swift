import OctetCore
import OctetGraph

/// How an operation can run on integers.
enum IntegerForm {
  /// It computes new values: its activations and its result have scales of their own.
  case computes
  /// It moves or selects values: operands and result share one scale.
  case shares
  /// It has none, for this reason.
  case none(String)

  init(of node: Node, in graph: Graph) {
    self = Self.form(of: node, in: graph)
  }

  private static func form(of node: Node, in graph: Graph) -> IntegerForm {
    let activations = node.activationInputs
    if let constant = activations.first(where: { graph.parameters[$0] != nil }) {
      return .none("operand \(constant) is a constant")
    }
    let types = activations.compactMap { graph.types[$0] }
    guard types.allSatisfy({ $0.dtype == .float32 }) else { return .none("its operands are not float") }
    switch node.op {
    case .conv, .linear:
      guard let weight = node.inputs[1], graph.parameters[weight] != nil else { return .none("its weight is computed") }
      if node.inputs.count > 2, let bias = node.inputs[2], graph.parameters[bias] == nil {
        return .none("its bias is computed")
      }
      return .computes
    case .binary(.add), .binary(.mul):
      return types[0] == types[1] ? .computes : .none("its operands broadcast")
    case .pool(let pool) where pool.clipsWindowsToPadding:
      return .none("rounded up, its windows count different numbers of elements")
    case .pool, .clip, .concat, .reshape, .flatten, .transpose:
      return .shares
    case .unary(.relu):
      return .shares
    case .adaptiveAveragePool(let pool):
      return pool.hasEqualWindows(over: types[0]) ? .shares : .none("its windows differ in size")
    case .reduce(let reduce):
      return reduce.isImageMean(of: types[0])
        ? .shares : .none("only the mean over height and width has an integer form")
    case .batchNormalization: return .none("batch normalization that is not fused has no integer form")
    case .matmul, .softmax, .pad, .binary(.sub), .binary(.div):
      return .none("\(node.op.kind.rawValue) has no integer form")
    case .recurrent: return .none("\(node.op.kind.rawValue) is quantized dynamically")
    case .quantizeLinear, .dequantizeLinear, .dynamicQuantize: return .none("it is quantized already")
    }
  }
}

extension Node {
  /// The operands that are activations, not weights or biases.
  var activationInputs: [String] {
    switch op {
    case .conv: [inputs[0], inputs.count > 3 ? inputs[3] : nil].compactMap { $0 }
    case .linear, .batchNormalization: [inputs[0]].compactMap { $0 }
    case .matmul, .unary, .clip, .binary, .softmax, .pool, .adaptiveAveragePool, .concat, .reshape, .flatten,
      .transpose,
      .reduce, .pad, .quantizeLinear, .dequantizeLinear, .dynamicQuantize:
      inputs.compactMap { $0 }
    case .recurrent:
      [Op.Recurrent.Place.x, Op.Recurrent.Place.state, Op.Recurrent.Place.cell].compactMap {
        $0 < inputs.count ? inputs[$0] : nil
      }
    }
  }
}
