/// The meaning of an operation: its shape rule, its evaluation and its gradient.
public protocol Operation: Hashable, Sendable {
  /// How many operands there may be, optional ones that are left out at the end not counted.
  var operandCount: ClosedRange<Int> { get }

  /// The types of the results for operands of these types; dimensions may be symbolic.
  ///
  /// - Throws: `OctetError` if the operands do not fit.
  func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType]

  /// The results for concrete operands that ``outputTypes(_:)`` has accepted.
  func evaluate(_ inputs: [Tensor?]) throws -> [Tensor]

  /// How gradients of the results become gradients of the operands, after ``evaluate(_:)`` has given these results for
  /// these concrete operands; `nil` if the results do not change with them by small steps (indices, comparisons).
  ///
  /// What the closure holds is held until the gradients have been computed: it captures no more than it needs.
  ///
  /// - Parameter wanted: the operands whose gradients are asked for; those of others may be left out.
  /// - Throws: `OctetError` (`unsupported`) if there should be a gradient, but is none.
  func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback?

  /// The results, and how gradients go back. The default evaluates and asks for the ``pullback(_:_:wanted:)``; an operation that
  /// finds what gradients need on its way has this one too.
  func differentiate(_ inputs: [Tensor?], wanted: [Bool]) throws -> (results: [Tensor], pullback: Pullback?)

  /// The attributes as people read them: `stride 2, padding 1`; empty if there is nothing unusual.
  var attributes: String { get }
}

/// Gradients of a scalar with respect to operands, from those with respect to results; `nil` where nothing depends.
public typealias Pullback = @Sendable (_ gradients: [Tensor?]) throws -> [Tensor?]

extension Operation {
  public var operandCount: ClosedRange<Int> { 1...1 }
  public var attributes: String { "" }

  public func differentiate(_ inputs: [Tensor?], wanted: [Bool]) throws -> (results: [Tensor], pullback: Pullback?) {
    let results = try evaluate(inputs)
    return (results, try pullback(inputs, results, wanted: wanted))
  }
}

extension Op {
  /// The types of the results for operands of these types, whose number is checked too.
  ///
  /// - Throws: `OctetError` if the operands do not fit.
  public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
    let operation = self.operation
    guard inputs.count <= operation.operandCount.upperBound else {
      throw OctetError(
        .invalidArgument, "operands", expected: "at most \(operation.operandCount.upperBound)", found: "\(inputs.count)"
      )
    }
    return try operation.outputTypes(inputs)
  }
}

// MARK: - What shape rules have in common

/// Operand `index`, which must be there.
func operand<Operand>(_ inputs: [Operand?], _ index: Int, _ name: String) throws -> Operand {
  guard index < inputs.count, let operand = inputs[index] else {
    throw OctetError(.invalidArgument, name, expected: "an operand", found: "none")
  }
  return operand
}

/// Operand `index`, if it is there.
func optionalOperand<Operand>(_ inputs: [Operand?], _ index: Int) -> Operand? {
  index < inputs.count ? inputs[index] : nil
}

extension TensorType {
  func require(_ dtype: DType, rank: ClosedRange<Int>, _ name: String) throws {
    guard self.dtype == dtype else {
      throw OctetError(.dtypeMismatch, name, expected: dtype.rawValue, found: "\(self)")
    }
    guard rank.contains(self.rank) else {
      let expected = rank.count == 1 ? "rank \(rank.lowerBound)" : "a rank of \(rank.lowerBound) or more"
      throw OctetError(.shapeMismatch, name, expected: expected, found: "\(self)")
    }
  }

  func requireShape(_ shape: [Dimension], _ name: String) throws {
    guard TensorType(dtype, shape).accepts(self) else {
      throw OctetError(.shapeMismatch, name, expected: "shape \(shape)", found: "\(self)")
    }
  }

  /// Checks that sizes are not negative and their product is one that tensors can have, so that arithmetic with them
  /// does not overflow; and that they are few enough to be handled one by one.
  package func requireSensible(_ name: String) throws {
    guard rank <= 1 << 10, checkedElementCount(of: shape.map { $0.size ?? 1 }) != nil else {
      throw OctetError(.shapeMismatch, name, expected: "a shape of sensible sizes", found: "\(self)")
    }
  }

  /// Checks that there may be a tensor of this type, whose sizes are known.
  func requireMemory(_ name: String) throws {
    try requireSensible(name)
    guard let shape = fixedShape, dtype.byteCount(of: elementCount(of: shape)) > largestByteCount else { return }
    throw OctetError(.unsupported, name, expected: "a value that fits into memory", found: "\(self)")
  }

  /// The axis counted from the front; negative axes count from the end.
  func axis(_ axis: Int) throws -> Int {
    guard axis >= -rank, axis < rank else {
      throw OctetError(.shapeMismatch, "axis", expected: "an axis of \(self)", found: "\(axis)")
    }
    return axis < 0 ? axis + rank : axis
  }
}

/// The shape that two shapes broadcast to, by NumPy's rule.
func broadcast(_ a: [Dimension], _ b: [Dimension]) throws -> [Dimension] {
  let rank = max(a.count, b.count)
  let padded = [a, b].map { [Dimension](repeating: 1, count: rank - $0.count) + $0 }
  return try zip(padded[0], padded[1]).map { x, y in
    switch (x, y) {
    case _ where x == y: x
    case (1, _): y
    case (_, 1): x
    // A name stands for a number that must turn out to be the known one.
    case (.symbolic, .fixed): y
    case (.fixed, .symbolic): x
    // And two names for the same one.
    case (.symbolic, .symbolic): x
    default:
      throw OctetError(.shapeMismatch, "operands", expected: "shapes that broadcast", found: "\(a) and \(b)")
    }
  }
}

/// What the numbers of an attribute may be at most.
let largestAttribute = 1 << 31

/// The number of places of a window along one axis: `(size + padding − dilation · (kernel − 1) − 1) / stride + 1`.
func windowCount(
  _ size: Dimension, kernel: Int, stride: Int, dilation: Int, padding: (Int, Int), ceilMode: Bool = false,
  _ name: String
) throws -> Dimension {
  let (reach, overflow) = dilation.multipliedReportingOverflow(by: kernel - 1)
  guard let size = size.size else {
    guard !overflow, reach < 1 << 48 else {
      throw OctetError(.shapeMismatch, name, expected: "a window of a sensible size", found: "\(dilation) · \(kernel)")
    }
    // The rule about the last window, below, may take one away: there is no shorter name for that.
    if ceilMode, stride >= reach + 2 - padding.1 {
      return .symbolic("(\(size) pooled \(reach + 1) by \(stride), \(padding.0) and \(padding.1))")
    }
    return size.adding(padding.0 + padding.1 - reach - 1 + (ceilMode ? 2 * stride - 1 : stride)).divided(by: stride)
  }
  let padded = size + padding.0 + padding.1
  guard !overflow, reach < padded else {
    throw OctetError(
      .shapeMismatch, name, expected: "a padded input of at least \(dilation) · (\(kernel) − 1) + 1", found: "\(padded)"
    )
  }
  let span = padded - reach - 1
  var count = (span + (ceilMode ? stride - 1 : 0)) / stride + 1
  // The last window must start inside the input or its leading padding (PyTorch's and ONNX's rule).
  if ceilMode, (count - 1) * stride >= size + padding.0 { count -= 1 }
  return .fixed(count)
}
