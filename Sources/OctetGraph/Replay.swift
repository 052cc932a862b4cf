public import OctetCore

extension Graph {
  /// What looks at, and may replace, the values of a replay: it is given the name and the tensor of every input,
  /// parameter and result as it appears, and returns the tensor that the rest of the graph sees.
  public typealias Tap = (_ value: String, _ tensor: Tensor) throws -> Tensor

  /// Runs the graph operation by operation through ``apply(_:_:)``: the executable definition of what it
  /// means. A value is let go when nothing needs it any more.
  ///
  /// - Parameters:
  ///   - inputs: one tensor for each input, in order.
  ///   - tap: offered every value.
  /// - Returns: one tensor for each output, in order.
  /// - Throws: `OctetError` that names the input or node at fault; what `tap` throws.
  public func replay(_ inputs: [Tensor], tap: Tap? = nil) throws -> [Tensor] {
    try replay(inputs, tap: tap) { node, operands in try apply(node.op, operands) }
  }

  /// The same, where `evaluate` says what a node makes of its operands.
  package func replay(
    _ inputs: [Tensor], tap: Tap?, evaluating evaluate: (_ node: Node, _ operands: [Tensor?]) throws -> [Tensor]
  ) throws -> [Tensor] {
    try checkInputs(inputs.map(\.type))
    var lastUse: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for name in node.inputs.compactMap({ $0 }) { lastUse[name] = index }
    }
    for output in outputs { lastUse[output.value] = nodes.count }

    var values: [String: Tensor] = [:]
    func define(_ name: String, _ tensor: Tensor) throws {
      let seen = try tap.map { tap in try naming(name) { try tap(name, tensor) } } ?? tensor
      if lastUse[name] != nil { values[name] = seen }
    }
    func value(_ name: String) throws -> Tensor {
      if values[name] == nil, let parameter = parameters[name] { try define(name, parameter.value) }
      guard let tensor = values[name] else {
        throw OctetError(.invalidGraph, name, expected: "a value that is made before it is used", found: "none")
      }
      return tensor
    }
    for (input, tensor) in zip(self.inputs, inputs) { try define(input.name, tensor) }
    for (index, node) in nodes.enumerated() {
      let operands = try node.inputs.map { try $0.map(value) }
      let results = try naming(node.name) { try evaluate(node, operands) }
      for name in node.inputs.compactMap({ $0 }) where lastUse[name] == index { values[name] = nil }
      for (name, tensor) in zip(node.outputs, results) { try define(name, tensor) }
    }
    return try outputs.map { try value($0.value) }
  }

  /// Checks that tensors of these types may be the graph's inputs, and returns what each symbolic dimension stands for.
  ///
  /// - Throws: `OctetError` that names the input.
  @discardableResult
  public func checkInputs(_ types: [TensorType]) throws -> [String: Int] {
    guard types.count == inputs.count else {
      throw OctetError(
        .invalidArgument, "inputs", expected: "\(inputs.count) (\(inputs.map(\.name).joined(separator: ", ")))",
        found: "\(types.count)")
    }
    var sizes: [String: Int] = [:]
    for (input, type) in zip(inputs, types) {
      guard type.dtype == input.type.dtype else {
        throw OctetError(
          .dtypeMismatch, "input \(input.name)", expected: input.type.dtype.rawValue, found: type.dtype.rawValue)
      }
      guard input.type.accepts(type) else {
        throw OctetError(
          .shapeMismatch, "input \(input.name)", expected: "shape \(input.type.shape)", found: "\(type.shape)")
      }
      for (dimension, size) in zip(input.type.shape, type.shape) {
        guard case .symbolic(let name) = dimension, let size = size.size else { continue }
        if let known = sizes[name], known != size {
          throw OctetError(
            .shapeMismatch, "input \(input.name)", expected: "\(name) = \(known), as in another place", found: "\(size)"
          )
        }
        sizes[name] = size
      }
    }
    return sizes
  }
}
