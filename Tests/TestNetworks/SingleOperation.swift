package import OctetCore
internal import OctetEngine
package import OctetGraph

/// One integer operation of a QDQ graph by itself: quantize → dequantize → operation → quantize → dequantize. A sum and the
/// ReLU or clip behind it are one.
package struct SingleOperation {
  package let graph: Graph
  package let node: Node
  package let result: QuantizationParameters
  /// The value that is rounded.
  package let value: String
  private let sources: [String]
  private let names: [String]

  /// - Returns: `nil` if the node does not stand between pairs.
  package init?(_ node: Node, in whole: Graph) throws {
    let producers = whole.producers
    func producer(_ value: String) -> Node? { producers[value].map { whole.nodes[$0] } }
    let chain = node.chain(in: whole)
    guard let user = whole.consumers[chain.last!.outputs[0]]?.first.map({ whole.nodes[$0] }),
      case .quantizeLinear(let result) = user.op
    else { return nil }
    var nodes: [Node] = []
    var inputs: [Graph.Input] = []
    var sources: [String] = []
    for operand in Set(chain[0].inputs.compactMap { $0 }).sorted() {
      guard let dequantize = producer(operand), dequantize.op.kind == .dequantizeLinear else {
        if whole.parameters[operand] == nil {
          // Indices are no real numbers.
          guard let type = whole.types[operand], type.dtype != .float32 else { return nil }
          inputs.append(Graph.Input(name: operand, type: type))
          sources.append(operand)
        }
        continue
      }
      let integers = dequantize.inputs[0]!
      if whole.parameters[integers] == nil, case .dequantizeLinear(let payload) = dequantize.op {
        let input = "\(operand) in"
        inputs.append(Graph.Input(name: input, type: whole.types[operand]!))
        sources.append(operand)
        nodes.append(
          Node(
            name: integers, op: .quantizeLinear(Op.QuantizeLinear(payload.parameters)), inputs: [input],
            outputs: [integers]))
      }
      nodes.append(dequantize)
    }
    nodes += chain
    nodes += [
      user,
      Node(
        name: "real", op: .dequantizeLinear(Op.DequantizeLinear(result.parameters)), inputs: user.outputs,
        outputs: ["real"]),
    ]
    graph = try Graph(
      inputs: inputs, nodes: nodes, outputs: [.init(name: "real", value: "real")], parameters: whole.parameters
    )
    .removingDeadNodes()
    self.node = node
    self.result = result.parameters
    value = chain.last!.outputs[0]
    self.sources = sources
    names = chain.map(\.name)
  }

  /// How often the engine's integers differ from those of the interpreter, and by how much at most, for the values that
  /// occur in a replay of the whole graph.
  package func compare(_ values: [String: Tensor]) throws -> (differing: Int, of: Int, atMost: Int) {
    try compare(values, with: graph.replay(sources.map { values[$0]! })[0])
  }

  /// The same with integers that stand for these real numbers.
  package func compare(
    _ values: [String: Tensor], with expected: Tensor
  ) throws -> (differing: Int, of: Int, atMost: Int) {
    let plan = try Plan(graph)
    guard plan.integerNodes == names else {
      throw OctetError(.invalidGraph, node.name, expected: "one integer operation", found: "\(plan.integerNodes)")
    }
    let found = try quantize(Session(plan, threads: 1).run(sources.map { values[$0]! })[0], result)
    let steps = zip(Self.integers(found), Self.integers(try quantize(expected, result))).map { abs($0 - $1) }
    return (steps.count { $0 != 0 }, steps.count, steps.max() ?? 0)
  }

  private static func integers(_ tensor: Tensor) -> [Int] {
    tensor.withUnsafeBytes { bytes in
      (0..<elementCount(of: tensor.shape)).map { loadInteger(at: $0, tensor.dtype, from: bytes) }
    }
  }
}

extension Node {
  private var isSum: Bool { [.add, .sub, .mul].contains(op.kind) }
  private var isRectifier: Bool { [.relu, .clip].contains(op.kind) }

  /// The nodes whose result is rounded once: a sum with the ReLU or clip that alone reads it, or this one.
  package func chain(in graph: Graph) -> [Node] {
    if isRectifier, let sum = graph.nodes.first(where: { $0.outputs == [inputs[0]] }), sum.isSum { return [sum, self] }
    let users = (graph.consumers[outputs[0]] ?? []).map { graph.nodes[$0] }
    return isSum && users.count == 1 && users[0].isRectifier && !graph.isOutput(outputs[0]) ? [self, users[0]] : [self]
  }
}

/// All values of a replay.
package func values(of graph: Graph, _ inputs: [Tensor]) throws -> [String: Tensor] {
  var values: [String: Tensor] = [:]
  _ = try graph.replay(inputs) { name, tensor in
    values[name] = tensor
    return tensor
  }
  return values
}
