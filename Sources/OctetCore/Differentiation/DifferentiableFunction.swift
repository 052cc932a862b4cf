/// An operation of a user's own: what it computes, and how gradients go back through it. It traces, replays and trains
/// like the others and runs in float; files cannot hold it.
///
///     /// Rounds; gradients pass as if it did not (the straight-through estimator).
///     struct RoundSTE: DifferentiableFunction {
///       func forward(_ inputs: [Tensor]) throws -> Tensor {
///         var result = inputs[0]
///         try result.withUnsafeMutableScalars(as: Float.self) { x in
///           for i in x.indices { x[i].round(.toNearestOrEven) }
///         }
///         return result
///       }
///       func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] { [gradient] }
///     }
///     let y = try RoundSTE()(x)
public protocol DifferentiableFunction: Hashable, Sendable {
  /// The type of the result for operands of these types, whose dimensions may be symbolic. The default: that of the first.
  ///
  /// - Throws: `OctetError` if the operands do not fit.
  func outputType(_ inputs: [TensorType]) throws -> TensorType

  /// The result for concrete operands, of the type that ``outputType(_:)`` says.
  func forward(_ inputs: [Tensor]) throws -> Tensor

  /// The gradients of a number with respect to the operands, each of its operand's shape.
  ///
  /// - Parameters:
  ///   - gradient: of the number with respect to the result, of its shape.
  ///   - inputs: what ``forward(_:)`` was given.
  ///   - result: what it returned.
  /// - Returns: one for each operand; `nil` where the result does not depend on it.
  func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?]

  /// The result, and how gradients go back, for a function that finds on its way forward what it needs on its way back. The
  /// default keeps operands and result for ``backward(_:inputs:result:)``; what replaces it need not call that.
  func differentiate(
    _ inputs: [Tensor]
  ) throws -> (result: Tensor, pullback: @Sendable (_ gradient: Tensor) throws -> [Tensor?])
}

extension DifferentiableFunction {
  public func outputType(_ inputs: [TensorType]) throws -> TensorType { inputs[0] }

  public func differentiate(
    _ inputs: [Tensor]
  ) throws -> (result: Tensor, pullback: @Sendable (_ gradient: Tensor) throws -> [Tensor?]) {
    let result = try forward(inputs)
    return (result, { try backward($0, inputs: inputs, result: result) })
  }

  /// The function of operands that may be traced, or be differentiated.
  public func callAsFunction(_ inputs: Tensor...) throws -> Tensor {
    try apply(.custom(Op.Custom(self)), inputs)[0]
  }

  fileprivate var hashable: AnyHashable { AnyHashable(self) }
}

extension Op {
  /// A function of a user's own. Operands and result: as it says.
  public struct Custom: Operation {
    public let function: any DifferentiableFunction

    public init(_ function: any DifferentiableFunction) { self.function = function }

    public static func == (a: Custom, b: Custom) -> Bool { a.function.hashable == b.function.hashable }

    public func hash(into hasher: inout Hasher) { function.hashable.hash(into: &hasher) }

    /// The name of the function's type.
    public var name: String { "\(type(of: function))" }

    public var attributes: String { name }

    public var operandCount: ClosedRange<Int> { 1...Int.max }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      guard !inputs.isEmpty else {
        throw OctetError(.invalidArgument, name, expected: "at least one operand", found: "none")
      }
      return [
        try naming(name) { try function.outputType(inputs.indices.map { try operand(inputs, $0, "operand \($0)") }) }
      ]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      [try checked(inputs) { try function.forward(inputs.map { $0! }) }]
    }

    public func differentiate(
      _ inputs: [Tensor?], wanted: [Bool]
    ) throws -> (results: [Tensor], pullback: Pullback?) {
      var back: (@Sendable (Tensor) throws -> [Tensor?])?
      let result = try checked(inputs) {
        let (result, pullback) = try function.differentiate(inputs.map { $0! })
        back = pullback
        return result
      }
      guard let back else { return ([result], nil) }
      let types = inputs.map { $0!.type }
      return (
        [result],
        { gradients in
          let sent = try naming(name) { try back(gradients[0]!) }
          guard sent.count == types.count,
            zip(sent, types).allSatisfy({ gradient, type in gradient.map { $0.type == type } ?? true })
          else {
            throw OctetError(
              .shapeMismatch, name, expected: "gradients \(types)",
              found: "\(sent.map { $0.map { "\($0.type)" } ?? "none" })")
          }
          return sent
        }
      )
    }

    public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
      try differentiate(inputs, wanted: wanted).pullback
    }

    /// The result of `body`, if it is of the type that the function says.
    private func checked(_ inputs: [Tensor?], _ body: () throws -> Tensor) throws -> Tensor {
      let expected = try outputTypes(inputs.map { $0?.type })[0]
      let result = try naming(name, body)
      guard expected.accepts(result.type) else {
        throw OctetError(.shapeMismatch, name, expected: "a result \(expected)", found: "\(result.type)")
      }
      return result
    }
  }
}
