package import OctetCore
internal import OctetEngine
package import OctetGraph

/// One integer operation of a QDQ graph by itself: quantize → dequantize → operation → quantize → dequantize.
package struct SingleOperation {
  package let graph: Graph
  package let node: Node
  package let result: QuantizationParameters
  private let sources: [String]

  /// - Returns: `nil` if the node does not stand between pairs.
  package init?(_ node: Node, in whole: Graph) throws {
    let producers = whole.producers
    func producer(_ value: String) -> Node? { producers[value].map { whole.nodes[$0] } }
    guard let user = whole.consumers[node.outputs[0]]?.first.map({ whole.nodes[$0] }),
      case .quantizeLinear(let result) = user.op
    else { return nil }
    var nodes: [Node] = []
    var inputs: [Graph.Input] = []
    var sources: [String] = []
    for operand in Set(node.inputs.compactMap { $0 }).sorted() {
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
    nodes += [
      node, user,
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
    self.sources = sources
  }

  /// How often the engine's integers differ from those of the interpreter, and by how much at most, for the values that
  /// occur in a replay of the whole graph.
  package func compare(_ values: [String: Tensor]) throws -> (differing: Int, of: Int, atMost: Int) {
    let inputs = sources.map { values[$0]! }
    let plan = try Plan(graph)
    guard plan.integerNodes == [node.name] else {
      throw OctetError(.invalidGraph, node.name, expected: "one integer operation", found: "\(plan.integerNodes)")
    }
    let found = try quantize(Session(plan, threads: 1).run(inputs)[0], result)
    let expected = try quantize(graph.replay(inputs)[0], result)
    let steps = zip(Self.integers(found), Self.integers(expected)).map { abs($0 - $1) }
    return (steps.count { $0 != 0 }, steps.count, steps.max() ?? 0)
  }

  private static func integers(_ tensor: Tensor) -> [Int] {
    tensor.withUnsafeBytes { bytes in
      (0..<elementCount(of: tensor.shape)).map { loadInteger(at: $0, tensor.dtype, from: bytes) }
    }
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
