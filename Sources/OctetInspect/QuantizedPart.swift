public import OctetCore
public import OctetGraph

/// One thing that is quantized in a graph in QDQ form, and can be switched off by itself: activations that share a scale,
/// a weight, or activations that are quantized while the network runs.
public struct QuantizedPart: Sendable {
  public enum Kind: String, Sendable, Codable {
    case activation, weight, dynamicActivation
  }

  public let kind: Kind
  /// The values that are quantized, as the float graph names them: of a weight, the parameter.
  public let values: [String]
  /// The operations that make or read them, in the graph's order.
  public let nodes: [String]
  /// How they are quantized; `nil` where every run finds its own scale.
  public let parameters: QuantizationParameters?

  /// The nodes that quantize and dequantize.
  let halves: Set<String>
  /// What is read in the place of each dequantized value when the part is switched off.
  fileprivate let real: [String: String]
  /// The float weight.
  fileprivate let weight: (name: String, parameter: Parameter)?

  /// The first of its values.
  public var name: String { values[0] }

  /// The parts of a graph, in its order.
  ///
  /// - Parameters:
  ///   - graph: in QDQ form.
  ///   - reference: the float graph that it was made from; nodes are found by their names. Weights that it does not
  ///     have are left out.
  public static func parts(of graph: Graph, reference: Graph) -> [QuantizedPart] {
    PartFinder(graph, reference).parts
  }
}

extension Graph {
  /// This graph with some of its quantized parts switched off: their values are real again. What no integer operation
  /// needs any more is removed.
  ///
  /// - Throws: `OctetError` (`invalidGraph`) for parts of another graph.
  public func switchingOff(_ parts: some Sequence<QuantizedPart>) throws -> Graph {
    try replacing(parts).removingDanglingPairs()
  }

  /// The same, with every pair left where it is.
  func replacing(_ parts: some Sequence<QuantizedPart>) throws -> Graph {
    var graph = self
    var real: [String: String] = [:]
    var dynamic: Set<String> = []
    for part in parts {
      real.merge(part.real) { $1 }
      if let (name, parameter) = part.weight { graph.parameters[name] = parameter }
      if part.kind == .dynamicActivation { dynamic.formUnion(part.halves) }
    }
    func resolved(_ value: String) -> String {
      var value = value
      while let next = real[value] { value = next }
      return value
    }
    for index in nodes.indices {
      graph.nodes[index].inputs = nodes[index].inputs.map { $0.map(resolved) }
      if case .recurrent(var payload) = nodes[index].op, dynamic.contains(nodes[index].name) {
        payload.activations = nil
        graph.nodes[index].op = .recurrent(payload)
      }
    }
    for index in outputs.indices { graph.outputs[index].value = resolved(outputs[index].value) }
    return try graph.removingDeadNodes()
  }

  /// This graph without pairs that no integer operation uses: they cost precision and time and save neither.
  func removingDanglingPairs() throws -> Graph {
    let roles = QuantizedForm(self).roles
    var real: [String: String] = [:]
    for (node, role) in zip(nodes, roles) where role == .dangling && node.op.kind == .dequantizeLinear {
      let quantize = nodes[producers[node.inputs[0]!]!]
      // Not what is moved as integers between the two, or read with another scale.
      guard case .quantizeLinear(let first) = quantize.op, case .dequantizeLinear(let second) = node.op,
        first.parameters == second.parameters
      else { continue }
      real[node.outputs[0]] = quantize.inputs[0]!
    }
    guard !real.isEmpty else { return self }
    var graph = self
    func resolved(_ value: String) -> String {
      var value = value
      while let next = real[value] { value = next }
      return value
    }
    for index in nodes.indices { graph.nodes[index].inputs = nodes[index].inputs.map { $0.map(resolved) } }
    for index in outputs.indices { graph.outputs[index].value = resolved(outputs[index].value) }
    // What is left may be without use in turn.
    return try graph.removingDeadNodes().removingDanglingPairs()
  }

  /// This graph with a part quantized in another way.
  ///
  /// - Throws: `OctetError`: `invalidArgument` for parameters that the values cannot have, or a part that finds its
  ///   scales while it runs; `invalidGraph` for a part of another graph.
  public func requantizing(_ part: QuantizedPart, with parameters: QuantizationParameters) throws -> Graph {
    guard part.kind != .dynamicActivation else {
      throw OctetError(
        .invalidArgument, part.name, expected: "a part whose scales are constants",
        found: "one that finds them while it runs")
    }
    var graph = self
    for index in nodes.indices where part.halves.contains(nodes[index].name) {
      switch nodes[index].op {
      case .quantizeLinear: graph.nodes[index].op = .quantizeLinear(Op.QuantizeLinear(parameters))
      case .dequantizeLinear: graph.nodes[index].op = .dequantizeLinear(Op.DequantizeLinear(parameters))
      default: break
      }
      guard let weight = part.weight else { continue }
      let stored = graph.unusedName("\(weight.name).requantized")
      graph.parameters[stored] = Parameter(try quantize(weight.parameter.value, parameters), isTrainable: false)
      graph.nodes[index].inputs[0] = stored
    }
    return try graph.removingDeadNodes()
  }
}

private struct PartFinder {
  private let graph: Graph
  private let reference: Graph
  private let producers: [String: Int]
  private let consumers: [String: [Int]]
  private let referenceNodes: [String: Node]
  private(set) var parts: [QuantizedPart] = []

  /// What quantizes one value.
  private struct Pair {
    let value: String
    let parameters: QuantizationParameters
    let halves: [Int]
    let dequantized: [String]
  }

  init(_ graph: Graph, _ reference: Graph) {
    self.graph = graph
    self.reference = reference
    producers = graph.producers
    consumers = graph.consumers
    referenceNodes = Dictionary(reference.nodes.map { ($0.name, $0) }) { first, _ in first }
    var found: [(position: Int, part: QuantizedPart)] = activations()
    for index in graph.nodes.indices {
      if let part = weight(at: index) ?? dynamic(at: index) { found.append((index, part)) }
    }
    parts = found.sorted { $0.position < $1.position }.map(\.part)
  }

  private func users(_ value: String) -> [Int] { consumers[value] ?? [] }

  private func names(_ indices: some Sequence<Int>) -> [String] {
    Set(indices).sorted().map { graph.nodes[$0] }.filter { !$0.isPairHalf && $0.op.kind != .dynamicQuantize }
      .map(\.name)
  }

  // MARK: - Activations

  private func activations() -> [(position: Int, part: QuantizedPart)] {
    var pairs: [Pair] = []
    for (index, node) in graph.nodes.enumerated() {
      guard case .quantizeLinear(let payload) = node.op, let value = node.inputs[0] else { continue }
      // (Read with another scale, integers are other numbers.)
      let back = users(node.outputs[0]).filter {
        if case .dequantizeLinear(let half) = graph.nodes[$0].op {
          half.parameters == payload.parameters
        } else {
          false
        }
      }
      guard !back.isEmpty else { continue }
      pairs.append(
        Pair(
          value: value, parameters: payload.parameters, halves: [index] + back,
          dequantized: back.map { graph.nodes[$0].outputs[0] }))
    }
    return groups(of: pairs).map { group in
      let members = group.map { pairs[$0] }
      let values = members.map(\.value)
      let around = values.compactMap { producers[$0] } + members.flatMap(\.dequantized).flatMap(users)
      let part = QuantizedPart(
        kind: .activation, values: values, nodes: names(around), parameters: members[0].parameters,
        halves: Set(members.flatMap(\.halves).map { graph.nodes[$0].name }),
        real: Dictionary(members.flatMap { pair in pair.dequantized.map { ($0, pair.value) } }) { $1 }, weight: nil)
      return (members[0].halves[0], part)
    }
  }

  /// Pairs that share a scale: one operation lies between them, and they have the same parameters.
  private func groups(of pairs: [Pair]) -> [[Int]] {
    var group = Array(pairs.indices)
    let pairOfValue = Dictionary(pairs.enumerated().map { ($1.value, $0) }) { first, _ in first }
    for (index, pair) in pairs.enumerated() {
      let next = pair.dequantized.flatMap(users).flatMap { graph.nodes[$0].outputs }.compactMap { pairOfValue[$0] }
      for other in next where pairs[other].parameters == pair.parameters {
        let (from, to) = (group[other], group[index])
        for place in group.indices where group[place] == from { group[place] = to }
      }
    }
    let members = Dictionary(grouping: pairs.indices) { group[$0] }
    return members.values.sorted { $0[0] < $1[0] }
  }

  // MARK: - Weights

  private func weight(at index: Int) -> QuantizedPart? {
    let node = graph.nodes[index]
    guard case .dequantizeLinear(let payload) = node.op, let stored = node.inputs[0], graph.parameters[stored] != nil
    else { return nil }
    let readers = users(node.outputs[0])
    for reader in readers.map({ graph.nodes[$0] }) {
      guard let place = reader.inputs.firstIndex(of: node.outputs[0]), let original = referenceNodes[reader.name],
        place < original.inputs.count, let name = original.inputs[place], let parameter = reference.parameters[name],
        parameter.value.dtype == .float32
      else { continue }
      let type = graph.types[name]
      let free = type == nil || type == parameter.value.type ? name : graph.unusedName("\(name).float")
      return QuantizedPart(
        kind: .weight, values: [name], nodes: names(readers), parameters: payload.parameters, halves: [node.name],
        real: [node.outputs[0]: free], weight: (free, parameter))
    }
    return nil
  }

  // MARK: - Activations that find their scale

  private func dynamic(at index: Int) -> QuantizedPart? {
    let node = graph.nodes[index]
    switch node.op {
    case .dynamicQuantize:
      let value = node.inputs[0]!
      return QuantizedPart(
        kind: .dynamicActivation, values: [value], nodes: names(users(node.outputs[0])), parameters: nil,
        halves: [node.name], real: [node.outputs[0]: value], weight: nil)
    case .recurrent(let payload) where payload.activations != nil:
      return QuantizedPart(
        kind: .dynamicActivation, values: [node.inputs[0]!], nodes: [node.name], parameters: nil, halves: [node.name],
        real: [:], weight: nil)
    default: return nil
    }
  }
}
