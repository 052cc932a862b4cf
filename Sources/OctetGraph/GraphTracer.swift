package import OctetCore
import Synchronization

/// Records what is applied to its tensors as the nodes of a graph.
package final class GraphTracer: Tracer {
  /// What an operand is recognized by: its memory and how it is looked at.
  private struct Key: Hashable {
    let identity: Tensor.Identity
    let type: TensorType

    init?(_ tensor: Tensor) {
      guard let identity = tensor.identity else { return nil }
      self.identity = identity
      type = tensor.type
    }
  }

  private struct State {
    var nodes: [Node] = []
    var parameters: [String: Parameter]
    var names: Set<String>
    var parameterNames: [Key: String] = [:]
    var scopes: [String] = []

    mutating func unusedName(_ base: String) -> String {
      let name = firstUnusedName(base) { names.contains($0) }
      names.insert(name)
      return name
    }
  }

  private let state: Mutex<State>
  private let inputs: [Graph.Input]
  private let modulePaths: [ObjectIdentifier: String]

  /// - Parameters:
  ///   - parameters: what operands are looked up in; those that occur keep their names.
  ///   - modulePaths: the paths of the modules whose forward may run.
  package init(inputs: [Graph.Input], parameters: [String: Parameter], modulePaths: [ObjectIdentifier: String]) {
    self.inputs = inputs
    self.modulePaths = modulePaths
    var state = State(parameters: parameters, names: Set(inputs.map(\.name)).union(parameters.keys))
    for (name, parameter) in parameters.sorted(by: { $0.key < $1.key }) {
      guard let key = Key(parameter.value) else { continue }
      if let known = state.parameterNames[key] {
        // One parameter under two names is known by the first. Two parameters that merely share the memory of their
        // values (copies of one tensor) must be told apart: the second one gets memory of its own.
        guard parameters[known] !== parameter else { continue }
        parameter.value.withUnsafeMutableBytes { _ in }
        state.parameterNames[Key(parameter.value)!] = name
      } else {
        state.parameterNames[key] = name
      }
    }
    self.state = Mutex(state)
  }

  /// Traces `body`, whose arguments stand for the graph's inputs.
  ///
  /// - Throws: what `body` throws; `OctetError` if a result is not made from the inputs.
  package func trace(outputNames: [String]?, _ body: ([Tensor]) throws -> [Tensor]) throws -> Graph {
    for input in inputs { try input.type.requireSensible("input \(input.name)") }
    let results = try body(
      inputs.map { Tensor(traced: TracedValue(tracer: self, name: $0.name, type: $0.type)) })
    let values = try results.map { try name(of: $0, for: "forward") }
    let names = outputNames ?? (values.count == 1 ? ["output"] : values.indices.map { "output_\($0)" })
    guard names.count == values.count else {
      throw OctetError(.invalidArgument, "outputNames", expected: "\(values.count) names", found: "\(names.count)")
    }
    return try state.withLock { state in
      let used = Set(state.nodes.flatMap { $0.inputs.compactMap { $0 } }).union(values)
      return try Graph(
        inputs: inputs, nodes: state.nodes, outputs: zip(names, values).map { Graph.Output(name: $0, value: $1) },
        parameters: state.parameters.filter { used.contains($0.key) })
    }
  }

  package var scope: String { state.withLock { $0.scopes.last ?? "" } }

  package func enter(_ module: AnyObject) {
    state.withLock { $0.scopes.append(modulePaths[ObjectIdentifier(module)] ?? $0.scopes.last ?? "") }
  }

  package func leave() { state.withLock { _ = $0.scopes.removeLast() } }

  package func record(_ op: Op, _ inputs: [Tensor?]) throws -> [Tensor] {
    let scope = self.scope
    let base = scope.isEmpty ? op.kind.rawValue : "\(scope).\(op.kind.rawValue)"
    return try naming(base) {
      let types = try op.outputTypes(inputs.map { $0?.type })
      for type in types { try type.requireSensible("result") }
      let operands = try inputs.map { try $0.map { try name(of: $0, for: base) } }
      return state.withLock { state in
        let name = state.unusedName(base)
        let outputs = types.indices.map { $0 == 0 ? name : state.unusedName("\(name):\($0)") }
        state.nodes.append(
          Node(name: name, op: op, inputs: operands, outputs: outputs, modules: scope.isEmpty ? [] : [scope]))
        return zip(outputs, types).map { Tensor(traced: TracedValue(tracer: self, name: $0, type: $1)) }
      }
    }
  }

  /// The name of an operand: a value of this trace, a parameter, or a constant that gets a name now.
  private func name(of tensor: Tensor, for user: String) throws -> String {
    if case .traced(let value) = tensor.representation {
      guard value.tracer === self else {
        throw OctetError(.notTraceable, user, expected: "operands of one trace", found: "a value of another trace")
      }
      return value.name
    }
    return state.withLock { state in
      let key = Key(tensor)!
      if let known = state.parameterNames[key] { return known }
      let scope = state.scopes.last ?? ""
      let name = state.unusedName(scope.isEmpty ? "constant" : "\(scope).constant")
      // The graph's parameter keeps the memory, so that its identity stays its own.
      state.parameters[name] = Parameter(tensor, isTrainable: false)
      state.parameterNames[key] = name
      return name
    }
  }
}
