public import OctetCore
public import OctetGraph

/// A network, or a part of one: parameters, other modules, and a `forward` that says how they compute.
///
/// Subclasses hold their layers in properties, whose names make the paths of parameters and of graph nodes
/// (`conv1.weight`), and override one of the two forms of `forward`:
///
///     final class Net: Module {
///       let conv = Conv2d(1, 32, kernelSize: 3, padding: 1)
///       let fc = Linear(6272, 10)
///       override func forward(_ x: Tensor) throws -> Tensor { try fc(relu(conv(x)).flatten(from: 1)) }
///     }
///
/// A module starts in evaluation mode; ``isTraining`` switches it and all modules below it.
open class Module {
  private var hooks: [Int: ForwardHook] = [:]
  private var nextHook = 0
  /// Whether the default form for one input is running.
  private var isForwarding = false

  public init() {}

  /// Whether dropout drops and batch normalization uses the statistics of the batch.
  public var isTraining = false {
    didSet { for (_, child) in children { child.isTraining = isTraining } }
  }

  // MARK: - Computing

  /// The result for one input. Override this, or the form below for several inputs or results.
  open func forward(_ x: Tensor) throws -> Tensor {
    // Each form defaults to the other one: a class that overrides neither must not go round in circles.
    guard !isForwarding else {
      throw OctetError(.unsupported, "\(Self.self)", expected: "an override of forward", found: "none")
    }
    isForwarding = true
    defer { isForwarding = false }
    let results = try forward([x])
    guard results.count == 1 else {
      throw OctetError(.invalidArgument, "\(Self.self)", expected: "one result", found: "\(results.count)")
    }
    return results[0]
  }

  /// The results for several inputs; `nil` where an optional input is left out.
  open func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
    guard inputs.count == 1, let x = inputs[0] else {
      throw OctetError(.invalidArgument, "\(Self.self)", expected: "one input", found: "\(inputs.count)")
    }
    return [try forward(x)]
  }

  public final func callAsFunction(_ x: Tensor) throws -> Tensor {
    try call([x]) { [try forward(x)] }[0]
  }

  public final func callAsFunction(_ inputs: [Tensor?]) throws -> [Tensor] {
    try call(inputs) { try forward(inputs) }
  }

  private func call(_ inputs: [Tensor?], _ body: () throws -> [Tensor]) throws -> [Tensor] {
    let tracer = inputs.lazy.compactMap { $0?.tracer }.first
    tracer?.enter(self)
    defer { tracer?.leave() }
    let results = try body()
    for key in hooks.keys.sorted() { try hooks[key]?(self, inputs, results) }
    return results
  }

  // MARK: - Hooks

  /// What a hook is given: the module, its inputs and its results. While tracing, the tensors are traced.
  public typealias ForwardHook = (_ module: Module, _ inputs: [Tensor?], _ results: [Tensor]) throws -> Void

  /// Calls `hook` after every forward of this module, until the returned handle's `remove()`.
  @discardableResult
  public final func addForwardHook(_ hook: @escaping ForwardHook) -> HookHandle {
    let key = nextHook
    nextHook += 1
    hooks[key] = hook
    return HookHandle { [weak self] in self?.hooks[key] = nil }
  }

  // MARK: - Parts

  /// The modules directly below this one, by name. The default finds them among the properties.
  open var children: [(name: String, module: Module)] {
    properties.flatMap { name, value -> [(name: String, module: Module)] in
      switch value {
      case let module as Module: [(name, module)]
      case let modules as [Module]: modules.enumerated().map { ("\(name).\($0)", $1) }
      default: []
      }
    }
  }

  /// The parameters of this module alone, by PyTorch's names. The default finds them among the properties.
  open var ownParameters: [(name: String, parameter: Parameter)] {
    properties.compactMap { name, value in (value as? Parameter).map { (name, $0) } }
  }

  /// Stored properties of this class and of those above it, optionals unwrapped.
  private var properties: [(String, Any)] {
    var mirror: Mirror? = Mirror(reflecting: self)
    var found: [(String, Any)] = []
    while let current = mirror, current.subjectType != Module.self {
      let own = current.children.compactMap { child -> (String, Any)? in
        guard let label = child.label else { return nil }
        let reflected = Mirror(reflecting: child.value)
        if reflected.displayStyle == .optional { return reflected.children.first.map { (label, $0.value) } }
        return (label, child.value)
      }
      found.insert(contentsOf: own, at: 0)
      mirror = current.superclassMirror
    }
    return found
  }

  /// This module (with the empty path) and all modules below it, by path.
  public final var namedModules: [(path: String, module: Module)] {
    [("", self)]
      + children.flatMap { name, child in
        child.namedModules.map { ($0.path.isEmpty ? name : "\(name).\($0.path)", $0.module) }
      }
  }

  /// All parameters of this module and of those below it, by path.
  public final var namedParameters: [(name: String, parameter: Parameter)] {
    namedModules.flatMap { path, module in
      module.ownParameters.map { (path.isEmpty ? $0.name : "\(path).\($0.name)", $0.parameter) }
    }
  }

  /// The trainable parameters, each once even if several modules share it.
  public final var parameters: [Parameter] {
    var seen: Set<ObjectIdentifier> = []
    return namedParameters.map(\.parameter).filter { $0.isTrainable && seen.insert(ObjectIdentifier($0)).inserted }
  }

  // MARK: - State

  /// The values of all parameters by PyTorch's names.
  public final var stateDict: [String: Tensor] {
    Dictionary(namedParameters.map { ($0.name, $0.parameter.value) }) { first, _ in first }
  }

  /// Sets all parameters by PyTorch's names. Entries named `num_batches_tracked` are left out.
  ///
  /// - Throws: `OctetError` if a parameter is missing, an entry is left over, or a shape or element type differs. Then
  ///   nothing has been set.
  public final func load(_ state: [String: Tensor]) throws {
    let parameters = Dictionary(namedParameters.map { ($0.name, $0.parameter) }) { first, _ in first }
    for name in state.keys.sorted() where parameters[name] == nil && !name.hasSuffix("num_batches_tracked") {
      throw OctetError(
        .unknownName, name, expected: "a parameter such as \(nearNames(to: name, in: parameters.keys))", found: "none")
    }
    for (name, parameter) in parameters.sorted(by: { $0.key < $1.key }) {
      guard let value = state[name] else {
        throw OctetError(.unknownName, name, expected: "\(parameter.value.type)", found: "nothing of that name")
      }
      guard value.type == parameter.value.type else {
        throw OctetError(.shapeMismatch, name, expected: "\(parameter.value.type)", found: "\(value.type)")
      }
    }
    for (name, parameter) in parameters { parameter.value = state[name]! }
  }

  /// Draws the parameters of this module alone; layers override it. Statistics and anything not random stay.
  open func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {}

  /// Draws all parameters anew from PyTorch's default distributions. The same seed gives the same values everywhere.
  public final func initialize(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    for (_, module) in namedModules { try module.initializeOwnParameters(using: &generator) }
  }

  /// Starts the random numbers that this module alone draws while it trains; dropout overrides it.
  open func reseedOwnGenerator(_ seed: UInt64) {}

  /// Starts all random numbers that are drawn while this module trains, each layer's from numbers of its own. Done before
  /// each step, what a step drops depends on its seed alone.
  public final func reseed(_ seed: UInt64) {
    for (index, (_, module)) in namedModules.enumerated() {
      var generator = SplitMix64(seed: seed, UInt64(index))
      module.reseedOwnGenerator(generator.next())
    }
  }

  // MARK: - Tracing

  /// The graph of this module for inputs of these types.
  ///
  /// Dimensions may be symbolic: `TensorType(.float32, [.symbolic("n"), 1, 28, 28])` traces for any batch size.
  ///
  /// - Parameters:
  ///   - inputNames: by default `x`, or `x_0`, `x_1` … for several inputs.
  ///   - outputNames: by default `output`, or `output_0`, `output_1` …
  /// - Throws: `OctetError`: `notTraceable`, naming the module, if a forward looks at values; whatever an operation
  ///   throws for shapes that do not fit.
  public final func trace(
    _ types: TensorType..., inputNames: [String]? = nil, outputNames: [String]? = nil
  ) throws -> Graph {
    try trace(types, inputNames: inputNames, outputNames: outputNames)
  }

  /// The same for a list of types.
  public final func trace(
    _ types: [TensorType], inputNames: [String]? = nil, outputNames: [String]? = nil
  ) throws -> Graph {
    let names = inputNames ?? (types.count == 1 ? ["x"] : types.indices.map { "x_\($0)" })
    guard names.count == types.count else {
      throw OctetError(.invalidArgument, "inputNames", expected: "\(types.count) names", found: "\(names.count)")
    }
    let tracer = GraphTracer(
      inputs: zip(names, types).map { Graph.Input(name: $0, type: $1) },
      parameters: Dictionary(namedParameters.map { ($0.name, $0.parameter) }) { first, _ in first },
      modulePaths: Dictionary(namedModules.map { (ObjectIdentifier($0.module), $0.path) }) { first, _ in first })
    return try tracer.trace(outputNames: outputNames) { try callAsFunction($0) }
  }
}

/// Takes a hook away again.
public struct HookHandle {
  private let removal: () -> Void

  init(_ removal: @escaping () -> Void) { self.removal = removal }

  public func remove() { removal() }
}
