import OctetCore

/// What is integer in a graph in QDQ form, judged by the form alone, whoever made it: an operation whose operands are
/// dequantized and whose result is quantized again. (As ONNX Runtime reads such graphs. Whether an engine has integer
/// arithmetic for the operation is another question.)
public struct QuantizedForm: Sendable {
  /// What a node does in the form.
  public enum Role: Hashable, Sendable {
    /// An operation between pairs, or one whose activations are quantized while it runs.
    case integer
    /// Any other operation, and why it is no such one.
    case float(String)
    /// Dequantizes a stored parameter.
    case parameter
    /// Between two integer operations: nothing is left of it when they run.
    case inner
    /// A value goes from float to integers or back: a pass over its elements.
    case boundary
    /// Of a pair whose real result no integer operation uses, behind a value that none makes: it only loses precision.
    case dangling
  }

  /// One for each node, in order.
  public let roles: [Role]

  public init(_ graph: Graph) {
    let consumers = graph.consumers
    let producers = graph.producers
    func kind(_ value: String) -> Op.Kind? { producers[value].map { graph.nodes[$0].op.kind } }
    func isQuantizedAlone(_ value: String) -> Bool {
      let users = consumers[value] ?? []
      return !users.isEmpty && !graph.isOutput(value)
        && users.allSatisfy { graph.nodes[$0].op.kind == .quantizeLinear }
    }
    // A ReLU or clip behind a sum is part of rounding its result.
    func isRectified(_ value: String) -> Bool {
      guard let producer = producers[value], case .binary = graph.nodes[producer].op, !graph.isOutput(value),
        graph.nodes[producer].scalarOperand(in: graph) == nil,
        let users = consumers[value], users.count == 1
      else { return false }
      let next = graph.nodes[users[0]]
      switch next.op {
      case .unary(.relu), .clip: return isQuantizedAlone(next.outputs[0])
      default: return false
      }
    }
    var obstacles: [String?] = []
    func obstacle(_ node: Node) -> String? {
      if case .recurrent(let payload) = node.op, payload.activations != nil { return nil }
      for (index, input) in node.inputs.enumerated() {
        guard let input, graph.types[input]?.dtype == .float32 else { continue }
        // Constants may be real (biases, slopes, scalars), but not weights.
        if graph.parameters[input] != nil, index != node.op.kind.weightOperand { continue }
        if isRectified(input), obstacles[producers[input]!] == nil { continue }
        guard let maker = kind(input), maker == .dequantizeLinear || maker == .dynamicQuantize else {
          return "\(input) is not quantized"
        }
      }
      // Dynamically quantized operations give real results.
      if node.inputs.contains(where: { $0.flatMap(kind) == .dynamicQuantize }) { return nil }
      let isQuantized = node.outputs.allSatisfy { isQuantizedAlone($0) || isRectified($0) }
      return isQuantized ? nil : "its result is not quantized"
    }
    for node in graph.nodes { obstacles.append(obstacle(node)) }
    func isPairHalf(_ index: Int) -> Bool { graph.nodes[index].isPairHalf }
    func isInteger(_ index: Int) -> Bool { !isPairHalf(index) && obstacles[index] == nil }
    func users(_ index: Int) -> [Int] { graph.nodes[index].outputs.flatMap { consumers[$0] ?? [] } }
    func isOutput(_ index: Int) -> Bool { graph.nodes[index].outputs.contains(where: graph.isOutput) }

    func roleOfQuantize(_ index: Int) -> Role {
      let producer = graph.nodes[index].inputs[0].flatMap { producers[$0] }
      if let producer, isInteger(producer) { return .inner }
      let halves = users(index)
      let reachesIntegers = halves.contains { half in
        graph.nodes[half].op.kind != .dequantizeLinear || users(half).contains(where: isInteger)
      }
      if !reachesIntegers && !halves.isEmpty && !isOutput(index) { return .dangling }
      return producer.map { graph.nodes[$0].op.kind } == .dequantizeLinear ? .inner : .boundary
    }
    func roleOfDequantize(_ index: Int) -> Role {
      guard let stored = graph.nodes[index].inputs[0] else { return .boundary }
      if graph.parameters[stored] != nil { return .parameter }
      if let half = producers[stored], roleOfQuantize(half) == .dangling { return .dangling }
      return isOutput(index) || users(index).contains { !isInteger($0) && !isPairHalf($0) } ? .boundary : .inner
    }
    roles = graph.nodes.indices.map { index in
      if graph.nodes[index].op.kind == .dynamicQuantize { return .boundary }
      guard isPairHalf(index) else { return obstacles[index].map { .float($0) } ?? .integer }
      return graph.nodes[index].op.kind == .quantizeLinear ? roleOfQuantize(index) : roleOfDequantize(index)
    }
  }
}

extension Node {
  package var isPairHalf: Bool { op.kind == .quantizeLinear || op.kind == .dequantizeLinear }

  /// The operand of a binary function that is a constant of one element.
  package func scalarOperand(in graph: Graph) -> Int? {
    inputs.indices.first { index in
      inputs[index].flatMap { graph.parameters[$0]?.value.shape.allSatisfy { $0 == 1 } } ?? false
    }
  }
}

extension Op.Kind {
  /// The operand that is a weight if it is a constant.
  fileprivate var weightOperand: Int? {
    if self == .gather { return 0 }
    return [.conv, .convTranspose, .linear, .matmul].contains(self) ? 1 : nil
  }
}

extension QuantizedForm.Role {
  /// What tables say of a node; empty where that is nothing special.
  func note(_ kind: Op.Kind) -> String {
    switch self {
    case .integer, .inner, .parameter: ""
    case .float(let reason): "float: \(reason)"
    case .boundary: kind == .dequantizeLinear ? "boundary: integers → float" : "boundary: float → integers"
    case .dangling: "dangling: no integer operation uses the pair"
    }
  }
}
