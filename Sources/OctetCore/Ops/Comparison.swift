extension Op {
  /// A comparison of two numbers, elementwise with broadcasting. Operands: a, b of one type (float32, int32, int64, bool).
  /// Result: bool. (ONNX's Equal, Less, LessOrEqual, Greater, GreaterOrEqual; a comparison with NaN is false.)
  public enum Compare: String, Operation, Codable {
    case equal, less, lessOrEqual, greater, greaterOrEqual

    public var operandCount: ClosedRange<Int> { 2...2 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let a = try operand(inputs, 0, "a")
      let b = try operand(inputs, 1, "b")
      switch a.dtype {
      case .float32, .int32, .int64, .bool: break
      case .float16, .uint8, .int8, .uint16, .int16, .uint4, .int4:
        throw OctetError(.dtypeMismatch, "a", expected: "float32, int32, int64 or bool", found: "\(a)")
      }
      try b.require(a.dtype, rank: 0...Int.max, "b")
      return [TensorType(.bool, try broadcast(a.shape, b.shape))]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let (a, b) = (inputs[0]!, inputs[1]!)
      return switch a.dtype {
      case .int32: [try compare(a, b, Int32.self) { $0 }]
      case .int64: [try compare(a, b, Int64.self) { $0 }]
      case .bool: [try compare(a, b, Bool.self) { $0 ? 1 : 0 }]
      case .float32, .float16, .uint8, .int8, .uint16, .int16, .uint4, .int4:
        [try compare(a, b, Float.self) { $0 }]
      }
    }

    private func compare<Element: TensorScalar, Number: Comparable>(
      _ a: Tensor, _ b: Tensor, _: Element.Type, _ number: (Element) -> Number
    ) throws -> Tensor {
      switch self {
      case .equal: try combine(a, b) { (x: Element, y: Element) in number(x) == number(y) }
      case .less: try combine(a, b) { (x: Element, y: Element) in number(x) < number(y) }
      case .lessOrEqual: try combine(a, b) { (x: Element, y: Element) in number(x) <= number(y) }
      case .greater: try combine(a, b) { (x: Element, y: Element) in number(x) > number(y) }
      case .greaterOrEqual: try combine(a, b) { (x: Element, y: Element) in number(x) >= number(y) }
      }
    }
  }

  /// Elements of a where the condition holds, of b elsewhere. Operands: condition bool, a, b of one type; all broadcast.
  /// (ONNX's Where.)
  public struct Where: Operation, Codable {
    public init() {}

    public var operandCount: ClosedRange<Int> { 3...3 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let condition = try operand(inputs, 0, "condition")
      let a = try operand(inputs, 1, "a")
      let b = try operand(inputs, 2, "b")
      try condition.require(.bool, rank: 0...Int.max, "condition")
      try a.requireWholeBytes("a")
      try b.require(a.dtype, rank: 0...Int.max, "b")
      return [TensorType(a.dtype, try broadcast(condition.shape, broadcast(a.shape, b.shape)))]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let (condition, a, b) = (inputs[0]!, inputs[1]!, inputs[2]!)
      let shape = try outputTypes(inputs.map { $0?.type })[0].fixedShape!
      let offsets = [condition, a, b].map { BroadcastOffsets(of: $0.shape, to: shape) }
      let width = a.dtype.byteCount(of: 1)
      var result = Tensor(uninitialized: shape, dtype: a.dtype)
      try condition.withUnsafeScalars(as: Bool.self) { condition in
        result.withUnsafeMutableBytes { out in
          a.withUnsafeBytes { a in
            b.withUnsafeBytes { b in
              for i in 0..<elementCount(of: shape) {
                let (source, offset) = condition[offsets[0][i]] ? (a, offsets[1][i]) : (b, offsets[2][i])
                (out.baseAddress! + i * width).copyMemory(
                  from: source.baseAddress! + offset * width, byteCount: width)
              }
            }
          }
        }
      }
      return [result]
    }
  }

  /// Elements in another type: float32, int32, int64 and bool from and to one another. (ONNX's Cast: toward zero from
  /// float32; anything but 0 is true. What an integer type does not hold becomes the nearest that it does, NaN becomes 0.)
  public struct Cast: Operation, Codable {
    public var dtype: DType

    public init(to dtype: DType) { self.dtype = dtype }

    public var attributes: String { "to \(dtype.rawValue)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let known: Set<DType> = [.float32, .int32, .int64, .bool]
      guard known.contains(x.dtype) else {
        throw OctetError(.dtypeMismatch, "x", expected: "float32, int32, int64 or bool", found: "\(x)")
      }
      guard known.contains(dtype) else {
        throw OctetError(.unsupported, "cast", expected: "to float32, int32, int64 or bool", found: dtype.rawValue)
      }
      return [TensorType(dtype, x.shape)]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      if x.dtype == dtype { return [x] }
      // Doubles hold all of float32, int32 and bool; of int64 they round what lies beyond 2⁵³.
      let numbers: [Double] =
        switch x.dtype {
        case .int32: try x.scalars(as: Int32.self).map(Double.init)
        case .int64: try x.scalars(as: Int64.self).map(Double.init)
        case .bool: try x.scalars(as: Bool.self).map { $0 ? 1 : 0 }
        case .float32, .float16, .uint8, .int8, .uint16, .int16, .uint4, .int4:
          try x.scalars(as: Float.self).map(Double.init)
        }
      switch dtype {
      case .int32: return [try Tensor(numbers.map { Int32(clamping: integer($0)) }, shape: x.shape)]
      case .int64: return [try Tensor(numbers.map(integer), shape: x.shape)]
      case .bool: return [try Tensor(numbers.map { $0 != 0 }, shape: x.shape)]
      case .float32, .float16, .uint8, .int8, .uint16, .int16, .uint4, .int4:
        return [try Tensor(numbers.map { Float($0) }, shape: x.shape)]
      }
    }

    private func integer(_ x: Double) -> Int64 {
      if x.isNaN { return 0 }
      return x >= 0x1p63 ? .max : (x <= -0x1p63 ? .min : Int64(x))
    }
  }
}

extension TensorType {
  func requireWholeBytes(_ name: String) throws {
    guard dtype.bitWidth >= 8 else {
      throw OctetError(.unsupported, name, expected: "elements of whole bytes", found: "\(self)")
    }
  }
}

// MARK: - Gradients

extension Op.Compare {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? { nil }
}

extension Op.Where {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (condition, shapeA, shapeB) = (inputs[0]!, inputs[1]!.shape, inputs[2]!.shape)
    guard results[0].dtype == .float32 else { return nil }
    return { gradients in
      let zero = try Tensor(zeros: [1])
      func part(_ isA: Bool, _ shape: [Int]) throws -> Tensor {
        try Self().evaluate([condition, isA ? gradients[0]! : zero, isA ? zero : gradients[0]!])[0].summed(to: shape)
      }
      return [nil, wanted[1] ? try part(true, shapeA) : nil, wanted[2] ? try part(false, shapeB) : nil]
    }
  }
}

extension Op.Cast {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    guard inputs[0]!.dtype == .float32, dtype == .float32 else { return nil }
    return { $0 }
  }
}
