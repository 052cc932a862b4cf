import OctetCore
import OctetGraph

/// The graph while it grows: operations on known values are computed at once, others become nodes.
final class GraphBuilder {
  private(set) var inputs: [Graph.Input] = []
  private var nodes: [Node] = []
  private var parameters: [String: Parameter] = [:]
  private var valueNames: Set<String> = []
  private var nodeNames: Set<String> = []
  /// The node that makes each value.
  private var makers: [String: Int] = [:]
  /// A value, and the axis along which it has this size, for every size that is not known.
  private var places: [Dimension: (value: Value, axis: Int)] = [:]
  /// Sizes that the graph computes already, as numbers.
  var numbersOfSizes: [Dimension: Value] = [:]
  let sizes = SizeCodes()

  /// What was made since ``begin()``, whose names may still change.
  private var freshNodes = 0
  private var freshValues: Set<String> = []

  /// Bytes that a computed value may have; what is larger is computed when the graph runs, or refused if it cannot be.
  static let largestConstant = FoldingBudget.largestResult
  private var budget = FoldingBudget()

  // MARK: - Values

  func input(_ name: String, _ type: TensorType) throws -> Value {
    try naming("input \(name)") { try type.requireSensible("shape") }
    guard valueNames.insert(name).inserted else {
      throw OctetError(.invalidFile, "input \(name)", expected: "names of their own", found: "two inputs of this name")
    }
    inputs.append(Graph.Input(name: name, type: type))
    let value = Value(name: name, type: type, constant: nil)
    remember(value)
    return value
  }

  private func remember(_ value: Value) {
    for (axis, size) in value.shape.enumerated() where size.size == nil && places[size] == nil {
      places[size] = (value, axis)
    }
  }

  /// The first value that has a size, and along which axis.
  func place(of size: Dimension) -> (value: Value, axis: Int)? {
    places[size]
  }

  /// A value that is known, under this name or one like it.
  func constant(_ tensor: Tensor, named base: String, holdsSizes: Bool = false) -> Value {
    Value(name: newValueName(base), type: tensor.type, constant: tensor, holdsSizes: holdsSizes)
  }

  /// A tensor of the file, under this name or one like it.
  func weight(_ tensor: Tensor, named base: String) throws -> Value {
    budget.add(weights: tensor.dtype.byteCount(of: try tensor.count))
    return constant(tensor, named: base)
  }

  /// Sizes as a vector of int64.
  func constant(_ dimensions: [Dimension], named base: String) throws -> Value {
    let codes = try Tensor(dimensions.map(sizes.code), shape: [dimensions.count])
    return constant(codes, named: base, holdsSizes: try sizes.isIn(codes))
  }

  private func newValueName(_ base: String) -> String {
    let name = unused(base, in: valueNames)
    valueNames.insert(name)
    freshValues.insert(name)
    return name
  }

  private func unused(_ base: String, in taken: Set<String>) -> String {
    guard taken.contains(base) else { return base }
    var number = 1
    while taken.contains("\(base)_\(number)") { number += 1 }
    return "\(base)_\(number)"
  }

  // MARK: - Operations

  /// The results of an operation.
  ///
  /// - Throws: `OctetError` if the operands do not fit; `unsupported` if the operation calculates with a size that no value has.
  func emit(_ op: Op, _ operands: [Value?], named base: String) throws -> [Value] {
    var operands = try widened(operands)
    // Codes can be moved about; numbers to calculate with are read off the values that have these sizes.
    if !movesSizes(op) { operands = try operands.map { try $0.map { $0.holdsSizes ? try computed($0) : $0 } } }
    if case .gather = op, let places = operands[1], places.holdsSizes { operands[1] = try computed(places) }
    if let results = try moved(op, operands, named: base) { return results }
    let types = try op.outputTypes(operands.map { $0?.type })
    for type in types { try type.requireSensible("result") }
    if isFolded(op, operands, types) {
      let results = try apply(op, operands.map { $0?.constant })
      return try results.map { constant($0, named: base, holdsSizes: try sizes.isIn($0)) }
    }
    let inputs = try operands.map { try $0.map(use) }
    let nodeName = unused(base, in: nodeNames)
    nodeNames.insert(nodeName)
    let outputs = types.map { _ in newValueName(base) }
    for output in outputs { makers[output] = nodes.count }
    nodes.append(Node(name: nodeName, op: op, inputs: inputs, outputs: outputs))
    let values = zip(outputs, types).map { Value(name: $0, type: $1, constant: nil) }
    values.forEach(remember)
    return values
  }

  /// Whole numbers that meet sizes as int64, whatever type of whole numbers a model gives its sizes.
  func widened(_ operands: [Value?]) throws -> [Value?] {
    guard operands.contains(where: { $0?.holdsSizes == true }) else { return operands }
    return try operands.map { operand in
      guard let value = operand, value.dtype == .int32, let numbers = value.constant else { return operand }
      let wide = try numbers.scalars(as: Int32.self).map { Int64($0) }
      return constant(try Tensor(wide, shape: numbers.shape), named: value.name)
    }
  }

  private func isFolded(_ op: Op, _ operands: [Value?], _ types: [TensorType]) -> Bool {
    switch op {
    // Quantized weights stay quantized.
    case .quantizeLinear, .dequantizeLinear, .dynamicQuantize: return false
    default: break
    }
    guard operands.allSatisfy({ $0 == nil || $0!.constant != nil }) else { return false }
    return budget.allows(op, operands.map { $0?.type }, types)
  }

  private func movesSizes(_ op: Op) -> Bool {
    switch op {
    case .concat, .split, .slice, .gather, .reshape, .flatten, .squeeze, .unsqueeze, .expand, .transpose, .where: true
    default: false
    }
  }

  /// The name under which nodes use a value. Constants become parameters.
  private func use(_ value: Value) throws -> String {
    guard value.form == nil else {
      throw OctetError(
        .unsupported, "operand", expected: "the pattern of dynamic quantization: integer product, cast, scales",
        found: "another use of its values")
    }
    if value.holdsSizes { return try computed(value).name }
    if let constant = value.constant {
      if parameters[value.name] == nil {
        parameters[value.name] = Parameter(constant, isTrainable: constant.dtype == .float32)
      }
    }
    return value.name
  }

  /// The node that makes this value.
  func maker(of value: String) -> Node? { makers[value].map { nodes[$0] } }

  /// The value of a parameter that nodes use.
  func parameter(_ name: String) -> Tensor? { parameters[name]?.value }

  // MARK: - Names

  /// What is made from now on belongs to the next node of the model.
  func begin() {
    freshNodes = nodes.count
    freshValues = []
  }

  /// The results of the model's node `name` under the names that the model has for them. What makes the first result gets
  /// the node's name.
  func finish(_ name: String, _ results: [Value], named outputs: [String]) -> [Value] {
    var renamed: [String: String] = [:]
    var values = results
    for (index, wanted) in outputs.enumerated() where index < results.count && !wanted.isEmpty {
      let value = results[index]
      // A value from elsewhere (an Identity) keeps its name, and so does one that several outputs share.
      guard freshValues.contains(value.name), renamed[value.name] == nil, value.name != wanted,
        !valueNames.contains(wanted)
      else { continue }
      renamed[value.name] = wanted
      for (size, place) in places where place.value.name == value.name { places[size]!.value.name = wanted }
      valueNames.remove(value.name)
      valueNames.insert(wanted)
      if let maker = makers.removeValue(forKey: value.name) { makers[wanted] = maker }
      if let parameter = parameters.removeValue(forKey: value.name) { parameters[wanted] = parameter }
    }
    for index in values.indices { values[index].name = renamed[values[index].name] ?? values[index].name }
    for index in freshNodes..<nodes.count {
      nodes[index].inputs = nodes[index].inputs.map { $0.map { renamed[$0] ?? $0 } }
      nodes[index].outputs = nodes[index].outputs.map { renamed[$0] ?? $0 }
    }
    if let first = values.first, !nodeNames.contains(name),
      let maker = (freshNodes..<nodes.count).first(where: { nodes[$0].outputs.contains(first.name) })
    {
      nodeNames.remove(nodes[maker].name)
      nodeNames.insert(name)
      nodes[maker].name = name
    }
    return values
  }

  /// The graph whose outputs are these values under these names, without what they do not need.
  func graph(_ outputs: [(name: String, value: Value)]) throws -> Graph {
    let named = try outputs.map { Graph.Output(name: $0.name, value: try use($0.value)) }
    return try Graph(inputs: inputs, nodes: nodes, outputs: named, parameters: parameters).removingDeadNodes()
  }
}
