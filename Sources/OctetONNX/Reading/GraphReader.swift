import OctetCore
import OctetGraph

/// Reads the nodes of a model in order.
final class GraphReader {
  /// Where values are looked up: a graph, inside of others if it is a branch.
  final class Scope {
    enum Binding {
      case value(Value)
      /// A tensor of the file that nobody has needed so far.
      case stored(Onnx_TensorProto)
      /// The result of something that Octet lacks.
      case lacking
    }

    var bindings: [String: Binding] = [:]
    let parent: Scope?

    init(inside parent: Scope? = nil) { self.parent = parent }
  }

  /// What the nodes of a graph or function share.
  struct Context {
    let opsets: [String: Int]
    /// The attributes of the call, inside of a function.
    var callAttributes: [String: Onnx_AttributeProto]?
    let scope: Scope
    /// What names begin with.
    let prefix: String
    /// How many functions and branches surround the nodes.
    let depth: Int
  }

  /// A node that cannot be read, and why.
  private struct Obstacle {
    let node: String
    let type: String
    let opset: Int
    /// What is lacking, as the list of all obstacles says it.
    let reason: String
    let error: OctetError?
  }

  private struct FunctionKey: Hashable {
    let domain: String
    let name: String
    let overload: String
  }

  let tensors: TensorReader
  private let builder = GraphBuilder()
  private let file: ModelFile
  private var model: Onnx_ModelProto { file.model }
  private let dimensions: [String: Int]
  private let constants: [String: Tensor]
  private var functions: [FunctionKey: Onnx_FunctionProto] = [:]
  private var obstacles: [Obstacle] = []
  private var knownDimensions: Set<String> = []

  /// How deep functions and branches may nest; a function that calls itself is an error of the file.
  private static let largestDepth = 32
  /// How many nodes functions and branches may grow to.
  private static let largestNodeCount = 1 << 17
  private var nodeCount = 0

  init(_ file: ModelFile, dimensions: [String: Int], constants: [String: Tensor]) {
    self.file = file
    tensors = TensorReader(externalData: file.externalData)
    self.dimensions = dimensions
    self.constants = constants
  }

  // MARK: - The whole model

  func graph(opsets: [String: Int]) throws -> Graph {
    for function in model.functions {
      let key = FunctionKey(
        domain: Operator.canonical(domain: function.domain), name: function.name, overload: function.overload)
      functions[key] = function
    }
    let context = Context(opsets: opsets, scope: Scope(), prefix: "", depth: 0)
    try bindInitializers(file.takeInitializers(), model.graph, context.scope)
    let graph = model.graph
    try bindInputs(graph, context.scope)
    try read(graph.node, wanted: graph.output.map(\.name), context)
    if let error = summary() { throw error }
    guard !graph.output.isEmpty else {
      throw OctetError(.invalidFile, "graph", expected: "outputs", found: "none")
    }
    return try builder.graph(
      graph.output.map { output in
        guard let value = try value(output.name, context.scope, "output \(output.name)") else {
          throw OctetError(.invalidFile, "output", expected: "a name", found: "none")
        }
        return (output.name, value)
      })
  }

  /// The inputs that have no default.
  func declaredInputs() throws -> [Graph.Input] {
    let defaults = Set(model.graph.initializer.map(\.name))
    return try model.graph.input.filter { !defaults.contains($0.name) }.map { input in
      Graph.Input(name: input.name, type: try naming("input \(input.name)") { try type(of: input) })
    }
  }

  private func bindInitializers(_ tensors: [Onnx_TensorProto], _ graph: Onnx_GraphProto, _ scope: Scope) throws {
    if let sparse = graph.sparseInitializer.first {
      throw OctetError(
        .unsupported, "initializer \(sparse.values.name)", expected: "dense tensors", found: "a sparse one")
    }
    for tensor in tensors {
      guard scope.bindings.updateValue(.stored(tensor), forKey: tensor.name) == nil else {
        throw OctetError(
          .invalidFile, "initializer \(tensor.name)", expected: "names of their own", found: "two of this name")
      }
    }
  }

  private func bindInputs(_ graph: Onnx_GraphProto, _ scope: Scope) throws {
    for input in graph.input {
      // Before version 4 of the format, initializers are listed among the inputs; later, those are inputs with a default.
      if case .stored = scope.bindings[input.name] { continue }
      let type = try naming("input \(input.name)") { try self.type(of: input) }
      if let constant = constants[input.name] {
        guard type.accepts(constant.type) else {
          throw OctetError(.shapeMismatch, "input \(input.name)", expected: "\(type)", found: "\(constant.type)")
        }
        scope.bindings[input.name] = .value(builder.constant(constant, named: input.name))
      } else {
        scope.bindings[input.name] = .value(try builder.input(input.name, type))
      }
    }
    for name in constants.keys where !graph.input.contains(where: { $0.name == name }) {
      let names = graph.input.map(\.name)
      throw OctetError(
        .unknownName, "constants", expected: "an input such as \(nearNames(to: name, in: names))", found: name)
    }
    for name in dimensions.keys where !knownDimensions.contains(name) {
      throw OctetError(
        .unknownName, "dimensions",
        expected: knownDimensions.isEmpty
          ? "no names (all sizes are fixed)" : "a dimension such as \(nearNames(to: name, in: knownDimensions))",
        found: name)
    }
  }

  /// The element type that the file gives an input of the model; `nil` if there is no such input.
  func elementType(ofInput name: String) throws -> ElementType? {
    guard let input = model.graph.input.first(where: { $0.name == name }) else { return nil }
    return try ElementType(number: Int(input.type.tensorType.elemType), "elem_type")
  }

  private func type(of input: Onnx_ValueInfoProto) throws -> TensorType {
    guard case .tensorType(let tensor) = input.type.value else {
      throw OctetError(.unsupported, "type", expected: "a tensor", found: "another type")
    }
    let dtype = try ElementType(number: Int(tensor.elemType), "elem_type").requireDType("elem_type")
    guard tensor.hasShape else {
      throw OctetError(.unsupported, "shape", expected: "a known rank", found: "none")
    }
    return TensorType(
      dtype,
      try tensor.shape.dim.enumerated().map { axis, dimension in
        if case .dimValue(let size) = dimension.value, size >= 0 { return .fixed(Int(size)) }
        // What exporters write for a size that they do not know has no name, or one that says nothing.
        var name = dimension.dimParam
        if name.isEmpty || name == "?" || name == "-1" || name == "None" { name = "\(input.name).\(axis)" }
        knownDimensions.insert(name)
        guard let size = dimensions[name] else { return .symbolic(name) }
        guard size >= 0 else {
          throw OctetError(.invalidArgument, "dimension \(name)", expected: "0 or more", found: "\(size)")
        }
        return .fixed(size)
      })
  }

  // MARK: - Nodes

  /// Reads the nodes that the wanted values need.
  private func read(_ nodes: [Onnx_NodeProto], wanted: [String], _ context: Context) throws {
    var needed = Set(wanted)
    var isNeeded = [Bool](repeating: false, count: nodes.count)
    for (index, node) in nodes.enumerated().reversed() where node.output.contains(where: needed.contains) {
      isNeeded[index] = true
      needed.formUnion(Self.names(usedBy: node))
    }
    for (index, node) in nodes.enumerated() where isNeeded[index] { try read(node, context) }
  }

  /// The values that a node uses, those that its subgraphs use of what surrounds them included.
  private static func names(usedBy node: Onnx_NodeProto) -> Set<String> {
    var names = Set(node.input)
    for attribute in node.attribute {
      for graph in (attribute.hasG ? [attribute.g] : []) + attribute.graphs {
        names.formUnion(graph.output.map(\.name))
        for inner in graph.node { names.formUnion(Self.names(usedBy: inner)) }
      }
    }
    return names
  }

  private func read(_ node: Onnx_NodeProto, _ context: Context) throws {
    nodeCount += 1
    guard nodeCount <= Self.largestNodeCount else {
      throw OctetError(.unsupported, "functions", expected: "at most \(Self.largestNodeCount) nodes", found: "more")
    }
    let domain = Operator.canonical(domain: node.domain)
    let name = context.prefix + (node.name.isEmpty ? (node.output.first { !$0.isEmpty } ?? node.opType) : node.name)
    let place = "node \(name) (\(domain.isEmpty ? "" : domain + ".")\(node.opType))"
    try naming(place) {
      if let function = functions[FunctionKey(domain: domain, name: node.opType, overload: node.overload)] {
        guard let inputs = try operands(of: node, context.scope) else { return bind(node, to: nil, context.scope) }
        let results = try call(function, attributes(of: node, context), inputs, name, context)
        return bind(node, to: results, context.scope)
      }
      guard let opset = context.opsets[domain] else {
        throw OctetError(.invalidFile, "domain", expected: "one of opset_import", found: "\"\(domain)\"")
      }
      func lacks(_ reason: String, _ error: OctetError? = nil) {
        obstacles.append(Obstacle(node: name, type: node.opType, opset: opset, reason: reason, error: error))
        bind(node, to: nil, context.scope)
      }
      guard let entry = Operator.find(node.opType, domain: domain, opset: opset) else {
        return lacks((domain.isEmpty ? "" : "\(domain).") + node.opType)
      }
      guard let inputs = try operands(of: node, context.scope) else { return bind(node, to: nil, context.scope) }
      let view = ONNXNode(
        name: name, type: node.opType, opset: opset, inputs: inputs, outputNames: node.output,
        attributes: try attributes(of: node, context),
        metadata: Dictionary(node.metadataProps.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }), builder: builder,
        reader: self, context: context)
      builder.begin()
      do {
        let results = try entry.map(view)
        bind(
          node, to: builder.finish(name, results, named: node.output.map { $0.isEmpty ? "" : context.prefix + $0 }),
          context.scope)
      } catch let error as OctetError where error.code == .unsupported || error.code == .dtypeMismatch {
        lacks("\(node.opType): \(error.subject): \(error.expected), found \(error.found)", error)
      }
    }
  }

  /// The operands of a node; `nil` if one of them is the result of something that Octet lacks.
  private func operands(of node: Onnx_NodeProto, _ scope: Scope) throws -> [Value?]? {
    var isLacking = false
    let values = try node.input.map { name -> Value? in
      if name.isEmpty { return nil }
      let value = try value(name, scope, "input \(name)")
      if value == nil { isLacking = true }
      return value
    }
    return isLacking ? nil : values
  }

  /// The value of this name; `nil` if it is lacking.
  private func value(_ name: String, _ scope: Scope, _ subject: String) throws -> Value? {
    var place: Scope? = scope
    while let current = place {
      switch current.bindings[name] {
      case .value(let value): return value
      case .lacking: return nil
      case .stored(let proto):
        let tensor = try tensors.tensor(proto, "initializer \(name)")
        let value = try builder.weight(tensor, named: name)
        current.bindings[name] = .value(value)
        return value
      case nil: place = current.parent
      }
    }
    throw OctetError(.invalidFile, subject, expected: "a value that is made before it is used", found: "none")
  }

  /// `nil`: the results are lacking.
  private func bind(_ node: Onnx_NodeProto, to results: [Value]?, _ scope: Scope) {
    for (index, name) in node.output.enumerated() where !name.isEmpty {
      if let results, index < results.count {
        scope.bindings[name] = .value(results[index])
      } else {
        scope.bindings[name] = .lacking
      }
    }
    guard let results, results.count < node.output.count else { return }
    for name in node.output[results.count...] where !name.isEmpty {
      obstacles.append(
        Obstacle(node: node.name, type: node.opType, opset: 0, reason: "\(node.opType): result \(name)", error: nil))
    }
  }

  /// The attributes of a node by name; inside of a function, with those that refer to the call's in their place.
  private func attributes(
    of node: Onnx_NodeProto, _ context: Context
  ) throws -> [String: Onnx_AttributeProto] {
    var attributes: [String: Onnx_AttributeProto] = [:]
    for attribute in node.attribute {
      var attribute = attribute
      if !attribute.refAttrName.isEmpty {
        guard let given = context.callAttributes?[attribute.refAttrName] else { continue }
        let name = attribute.name
        attribute = given
        attribute.name = name
      }
      attributes[attribute.name] = attribute
    }
    return attributes
  }

  // MARK: - Functions and branches

  private func call(
    _ function: Onnx_FunctionProto, _ given: [String: Onnx_AttributeProto], _ inputs: [Value?], _ name: String,
    _ context: Context
  ) throws -> [Value]? {
    try requireDepth(context)
    var attributes = Dictionary(function.attributeProto.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    attributes.merge(given) { $1 }
    let scope = Scope()
    for (index, formal) in function.input.enumerated() {
      if index < inputs.count, let value = inputs[index] { scope.bindings[formal] = .value(value) }
    }
    guard inputs.count <= function.input.count else {
      throw OctetError(.invalidFile, "inputs", expected: "\(function.input.count)", found: "\(inputs.count)")
    }
    let inner = Context(
      opsets: try ONNXMetadata.opsets(function.opsetImport), callAttributes: attributes, scope: scope,
      prefix: "\(name)/", depth: context.depth + 1)
    // An optional operand that is left out has no value inside.
    let missing = Set(
      function.input.indices.filter { $0 >= inputs.count || inputs[$0] == nil }.map { function.input[$0] })
    let nodes = function.node.map { node in
      var node = node
      node.input = node.input.map { missing.contains($0) ? "" : $0 }
      return node
    }
    return try results(of: nodes, wanted: function.output, inner)
  }

  /// The results of a branch of the node with this context.
  func branch(_ graph: Onnx_GraphProto, of node: ONNXNode) throws -> [Value]? {
    try requireDepth(node.context)
    let outer = node.context
    let inner = Context(
      opsets: outer.opsets, callAttributes: outer.callAttributes, scope: Scope(inside: outer.scope),
      prefix: "\(node.name)/", depth: outer.depth + 1)
    try bindInitializers(graph.initializer, graph, inner.scope)
    return try results(of: graph.node, wanted: graph.output.map(\.name), inner)
  }

  private func results(of nodes: [Onnx_NodeProto], wanted: [String], _ context: Context) throws -> [Value]? {
    try read(nodes, wanted: wanted, context)
    var isLacking = false
    let results = try wanted.compactMap { name -> Value? in
      let value = try value(name, context.scope, "output \(name)")
      if value == nil { isLacking = true }
      return value
    }
    builder.begin()
    return isLacking ? nil : results
  }

  private func requireDepth(_ context: Context) throws {
    guard context.depth < Self.largestDepth else {
      throw OctetError(
        .invalidFile, "functions", expected: "a nesting of at most \(Self.largestDepth)", found: "a deeper one")
    }
  }

  // MARK: - What is lacking

  /// One error for everything that is lacking.
  private func summary() -> OctetError? {
    guard let first = obstacles.first else { return nil }
    var counts: [String: Int] = [:]
    for obstacle in obstacles { counts[obstacle.reason, default: 0] += 1 }
    let ranked = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    let list = ranked.map { $0.value == 1 ? $0.key : "\($0.key) (\($0.value) nodes)" }.joined(separator: "; ")
    return OctetError(
      .unsupported, "node \(first.node) (\(first.type), opset \(first.opset))",
      expected: "operators that Octet has", found: "others; lacking in all: \(list)")
  }
}
