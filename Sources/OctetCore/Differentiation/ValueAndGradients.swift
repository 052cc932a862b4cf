/// What `body` computes from parameters, and how that changes with each of them.
///
///     let (loss, gradients) = try valueAndGradients(of: net.parameters) { try crossEntropy(net(x), labels) }
///
/// While `body` runs, the parameters' values know that they are being differentiated. What is computed from them in any
/// other place meanwhile is recorded too: train a network in one place at a time.
///
/// - Parameters:
///   - parameters: each once.
///   - body: computes one number, float32, from the parameters' values.
/// - Returns: the number, and for each parameter the gradient of the number, of the parameter's shape: zeros for one that
///   took no part.
/// - Throws: `OctetError`: `shapeMismatch` if the result is not one number; `invalidArgument` if it does not depend on any
///   of the parameters, or if one of them is given twice; `dtypeMismatch` for a parameter that is not float32; `unsupported`
///   inside of another differentiation of the same values; what `body` throws.
public func valueAndGradients(
  of parameters: [Parameter], _ body: () throws -> Tensor
) throws -> (value: Tensor, gradients: [Tensor]) {
  guard Set(parameters.map(ObjectIdentifier.init)).count == parameters.count else {
    throw OctetError(.invalidArgument, "parameters", expected: "each parameter once", found: "one that is there twice")
  }
  let values = parameters.map(\.value)
  return try valueAndGradients(at: values) { watched in
    for (parameter, value) in zip(parameters, watched) { parameter.value = value }
    defer {
      // (A body may have set a parameter to something else.)
      for (parameter, value) in zip(parameters, values) where parameter.value.origin != nil { parameter.value = value }
    }
    return try body()
  }
}

/// What `body` computes from tensors, and how that changes with each of them: as ``valueAndGradients(of:_:)``.
///
/// - Parameters:
///   - inputs: float32.
///   - body: is given the inputs and computes one number from them.
/// - Returns: the number, and for each input the gradient of the number, of the input's shape.
public func valueAndGradients(
  at inputs: [Tensor], _ body: ([Tensor]) throws -> Tensor
) throws -> (value: Tensor, gradients: [Tensor]) {
  for input in inputs {
    guard input.dtype == .float32 else {
      throw OctetError(.dtypeMismatch, "input", expected: "float32", found: "\(input.type)")
    }
    try input.requireConcrete("its gradient")
    guard input.origin == nil else {
      throw OctetError(
        .unsupported, "input", expected: "a value that is not being differentiated already", found: "\(input.type)")
    }
  }
  let tape = Tape()
  defer { tape.close() }
  let watched = inputs.map { tape.watch($0) }
  let value = try body(watched)
  guard value.dtype == .float32, try value.count == 1 else {
    throw OctetError(.shapeMismatch, "result", expected: "one number, float32", found: "\(value.type)")
  }
  guard value.origin?.tape === tape else {
    throw OctetError(
      .invalidArgument, "result", expected: "a number computed from what is differentiated", found: "a constant")
  }
  let seed = try Tensor(repeating: Float(1), shape: value.shape)
  let gradients = try tape.gradients(of: [(value, seed)], for: watched)
  return (
    value.detached,
    try zip(inputs, gradients).map { input, gradient in try gradient ?? Tensor(zeros: input.shape) }
  )
}
