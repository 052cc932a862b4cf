public import OctetCore

/// A network as a list of operations: what tracing records, passes rewrite, and plans are made from.
///
/// A graph is in static single assignment: every value has a name and is made once, by an input, a parameter or a node.
/// Nodes stand in an order in which they can run. A graph is a value; only its parameters are shared.
public struct Graph: Sendable {
  /// A tensor that the graph is given.
  public struct Input: Hashable, Sendable {
    public var name: String
    public var type: TensorType

    public init(name: String, type: TensorType) {
      self.name = name
      self.type = type
    }
  }

  /// A tensor that the graph gives back, and the value it is.
  public struct Output: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  public var inputs: [Input]
  public var nodes: [Node]
  public var outputs: [Output]
  /// Weights, statistics and constants by the name of their value; shared with the modules they come from.
  public var parameters: [String: Parameter]
  /// The type of every value; ``validated()`` fills it.
  public private(set) var types: [String: TensorType] = [:]

  /// A graph of these parts, checked.
  ///
  /// - Throws: as ``validated()``.
  public init(inputs: [Input], nodes: [Node], outputs: [Output], parameters: [String: Parameter]) throws {
    self.inputs = inputs
    self.nodes = nodes
    self.outputs = outputs
    self.parameters = parameters
    self = try validated()
  }

  /// This graph with its types inferred anew, after checking that
  /// names are unique, every value is made before it is used, operands fit their operations, and outputs exist.
  ///
  /// - Throws: `OctetError` that names the node at fault.
  public func validated() throws -> Graph {
    var graph = self
    graph.types = try inferredTypes(parameters.mapValues { $0.value.type })
    return graph
  }

  /// The type of every value for inputs of these types.
  ///
  /// Of parameters only their types matter, which a graph knows even where it has let go of them.
  package func types(for inputs: [TensorType]) throws -> [String: TensorType] {
    var graph = self
    for index in inputs.indices { graph.inputs[index].type = inputs[index] }
    let made = Set(self.inputs.map(\.name) + nodes.flatMap(\.outputs))
    return try graph.inferredTypes(types.filter { !made.contains($0.key) })
  }

  private func inferredTypes(_ parameterTypes: [String: TensorType]) throws -> [String: TensorType] {
    func invalid(_ subject: String, _ expected: String, _ found: String) -> OctetError {
      OctetError(.invalidGraph, subject, expected: expected, found: found)
    }
    var types: [String: TensorType] = [:]
    func define(_ name: String, _ type: TensorType) throws {
      try type.requireSensible(name)
      guard types.updateValue(type, forKey: name) == nil else {
        throw invalid(name, "values with names of their own", "two values of this name")
      }
    }
    for input in inputs { try define(input.name, input.type) }
    for (name, type) in parameterTypes { try define(name, type) }
    var nodeNames: Set<String> = []
    for node in nodes {
      guard nodeNames.insert(node.name).inserted else {
        throw invalid(node.name, "nodes with names of their own", "two nodes of this name")
      }
      let operands = try node.inputs.map { name -> TensorType? in
        guard let name else { return nil }
        guard let type = types[name] else {
          throw invalid(node.name, "operands that exist before the node", name)
        }
        return type
      }
      let results = try naming(node.name) { try node.op.outputTypes(operands) }
      guard results.count == node.outputs.count else {
        throw invalid(node.name, "\(results.count) results", "\(node.outputs.count)")
      }
      for (name, type) in zip(node.outputs, results) { try define(name, type) }
    }
    var outputNames: Set<String> = []
    for output in outputs {
      guard types[output.value] != nil else {
        throw invalid("output \(output.name)", "a value of the graph", output.value)
      }
      guard outputNames.insert(output.name).inserted else {
        throw invalid("output \(output.name)", "outputs with names of their own", "two outputs of this name")
      }
    }
    return types
  }

  // MARK: - Questions

  /// The nodes that use each value.
  public var consumers: [String: [Int]] {
    var consumers: [String: [Int]] = [:]
    for (index, node) in nodes.enumerated() {
      for input in node.inputs.compactMap({ $0 }) { consumers[input, default: []].append(index) }
    }
    return consumers
  }

  /// The node that makes each value.
  public var producers: [String: Int] {
    var producers: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for output in node.outputs { producers[output] = index }
    }
    return producers
  }

  public func isOutput(_ value: String) -> Bool { outputs.contains { $0.value == value } }

  /// A name for a new value or node: `base`, or `base_1`, `base_2` … if that is taken.
  public func unusedName(_ base: String) -> String {
    let taken = Set(nodes.map(\.name)).union(types.keys).union(nodes.flatMap(\.outputs)).union(parameters.keys)
    return firstUnusedName(base) { taken.contains($0) }
  }
}

func firstUnusedName(_ base: String, isTaken: (String) -> Bool) -> String {
  guard isTaken(base) else { return base }
  var number = 1
  while isTaken("\(base)_\(number)") { number += 1 }
  return "\(base)_\(number)"
}

/// One operation of a graph.
public struct Node: Sendable {
  /// Its own name: the path of the module and the operation, `f.0.conv`.
  public var name: String
  public var op: Op
  /// The values it uses; `nil` where an optional operand is left out.
  public var inputs: [String?]
  /// The values it makes.
  public var outputs: [String]
  /// The paths of the modules it comes from, the first one first; several after fusing, empty outside any module.
  public var modules: [String]

  public init(name: String, op: Op, inputs: [String?], outputs: [String], modules: [String] = []) {
    self.name = name
    self.op = op
    self.inputs = inputs
    self.outputs = outputs
    self.modules = modules
  }

  /// Whether `name` is this node's name or that of a module it comes from.
  public func isNamed(_ name: String) -> Bool { self.name == name || modules.contains(name) }
}
