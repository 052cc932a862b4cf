/// A value of a graph that is being recorded: it has a type, but no elements.
public struct TracedValue: Sendable {
  package let tracer: any Tracer
  package let name: String
  package let type: TensorType

  package init(tracer: any Tracer, name: String, type: TensorType) {
    self.tracer = tracer
    self.name = name
    self.type = type
  }

  func hasNoValues(_ wanted: String) -> OctetError {
    let scope = tracer.scope
    return OctetError(
      .notTraceable, scope.isEmpty ? "forward" : "forward of \(scope)",
      expected: "a forward pass that does the same whatever the values are",
      found: "a read of \(wanted) (\(name), \(type)) while tracing")
  }
}

/// What records operations on traced operands. It travels in the operands: there is no global state.
package protocol Tracer: AnyObject, Sendable {
  /// The path of the module whose forward is running.
  var scope: String { get }
  /// Operations between `enter` and `leave` belong to `module`.
  func enter(_ module: AnyObject)
  func leave()
  func record(_ op: Op, _ inputs: [Tensor?]) throws -> [Tensor]
}

/// Applies an operation: the one way to compute anything with tensors.
///
/// If an operand is traced, the operation is recorded and the results are traced; otherwise it is evaluated. If an operand
/// is being differentiated, so are the results.
///
/// - Throws: `OctetError` if the operands do not fit the operation, naming it; or a wrong `OCTET_ISA`.
public func apply(_ op: Op, _ inputs: [Tensor?]) throws -> [Tensor] {
  for case .traced(let value) in inputs.lazy.compactMap({ $0?.representation }) {
    return try value.tracer.record(op, inputs)
  }
  _ = try InstructionSet.chosen()
  return try naming(op.kind.rawValue) {
    for type in try op.outputTypes(inputs.map { $0?.type }) { try type.requireMemory("result") }
    if let tape = inputs.lazy.compactMap({ $0?.origin?.tape }).first { return try tape.record(op, inputs) }
    return try op.operation.evaluate(inputs)
  }
}

/// Applies an operation that has one result.
func apply(_ op: Op, to inputs: Tensor?...) throws -> Tensor {
  try apply(op, inputs)[0]
}
