#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Op {
  /// `min(max(x, minimum), maximum)`; ReLU6 is the range 0…6.
  public struct Clip: Operation, Codable {
    public var minimum: Float
    public var maximum: Float

    public init(minimum: Float, maximum: Float) {
      self.minimum = minimum
      self.maximum = maximum
    }

    public var attributes: String { "\(minimum)…\(maximum)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 0...Int.max, "x")
      guard minimum <= maximum else {
        throw OctetError(.invalidArgument, "clip", expected: "minimum ≤ maximum", found: attributes)
      }
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      var result = inputs[0]!
      try finish(&result, residual: nil, .clip(minimum: minimum, maximum: maximum))
      return [result]
    }
  }

  /// A function of two numbers of one type (float32, int32, int64), applied elementwise with broadcasting. Whole numbers wrap
  /// around, and their quotients are rounded toward zero.
  public enum Binary: String, Operation, Codable {
    case add, sub, mul, div, pow
    /// The smaller and the larger number; NaN if one is NaN (ONNX's Min and Max).
    case minimum, maximum

    public var operandCount: ClosedRange<Int> { 2...2 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let a = try operand(inputs, 0, "a")
      let b = try operand(inputs, 1, "b")
      guard [.float32, .int32, .int64].contains(a.dtype) else {
        throw OctetError(.dtypeMismatch, "a", expected: "float32, int32 or int64", found: "\(a)")
      }
      try b.require(a.dtype, rank: 0...Int.max, "b")
      return [TensorType(a.dtype, try broadcast(a.shape, b.shape))]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let a = inputs[0]!
      let b = inputs[1]!
      if self == .add || self == .mul, a.dtype == .float32, a.shape == b.shape { return [try byKernel(a, b)] }
      if a.dtype == .int32 { return [try wholeNumbers(a, b, Int32.self)] }
      if a.dtype == .int64 { return [try wholeNumbers(a, b, Int64.self)] }
      return switch self {
      case .add: [try combine(a, b) { (x: Float, y: Float) in x + y }]
      case .sub: [try combine(a, b) { (x: Float, y: Float) in x - y }]
      case .mul: [try combine(a, b) { (x: Float, y: Float) in x * y }]
      case .div: [try combine(a, b) { (x: Float, y: Float) in x / y }]
      case .pow: [try combine(a, b) { (x: Float, y: Float) in Float(power(Double(x), Double(y))) }]
      case .minimum: [try combine(a, b) { (x: Float, y: Float) in x < y || x.isNaN ? x : y }]
      case .maximum: [try combine(a, b) { (x: Float, y: Float) in x > y || x.isNaN ? x : y }]
      }
    }

    /// Sums or products of elements in the same places.
    private func byKernel(_ a: Tensor, _ b: Tensor) throws -> Tensor {
      let kernels = InstructionSet.current.kernels
      var result = Tensor(uninitialized: a.shape, dtype: .float32)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try a.withUnsafeScalars(as: Float.self) { a in
          try b.withUnsafeScalars(as: Float.self) { b in
            guard let a = a.baseAddress, let b = b.baseAddress, let to = out.baseAddress else { return }
            concurrently(elements: out.count) { range in
              let i = range.lowerBound
              if self == .add {
                kernels.add_f32(a + i, b + i, range.count, -.infinity, .infinity, to + i)
              } else {
                kernels.mul_f32(a + i, b + i, range.count, to + i)
              }
            }
          }
        }
      }
      return result
    }

    private func wholeNumbers<Number: TensorScalar & FixedWidthInteger>(
      _ a: Tensor, _ b: Tensor, _: Number.Type
    ) throws -> Tensor {
      switch self {
      case .add: try combine(a, b) { (x: Number, y: Number) in x &+ y }
      case .sub: try combine(a, b) { (x: Number, y: Number) in x &- y }
      case .mul: try combine(a, b) { (x: Number, y: Number) in x &* y }
      case .minimum: try combine(a, b) { (x: Number, y: Number) in min(x, y) }
      case .maximum: try combine(a, b) { (x: Number, y: Number) in max(x, y) }
      case .div:
        // Nothing is the quotient by 0, which has no answer.
        try combine(a, b) { (x: Number, y: Number) -> Number in
          y == 0 ? Number.zero : x.dividedReportingOverflow(by: y).partialValue
        }
      case .pow: try combine(a, b) { (x: Number, y: Number) -> Number in wholePower(x, y) }
      }
    }

    /// The function itself, in double precision: the tables of integer arithmetic come from it.
    package func value(_ x: Double, _ y: Double) -> Double {
      switch self {
      case .add: x + y
      case .sub: x - y
      case .mul: x * y
      case .div: x / y
      case .pow: power(x, y)
      case .minimum: x < y || x.isNaN ? x : y
      case .maximum: x > y || x.isNaN ? x : y
      }
    }
  }

  /// ReLU with a slope for negative numbers that is learned: `x < 0 ? slope · x : x`. Operands: x, slope. Result: of x's
  /// shape.
  ///
  /// With an `axis`, slope [c] has one number for every index of that axis, or one for all (PyTorch's PReLU: axis 1).
  /// Without, it broadcasts to x (ONNX's PRelu).
  public struct PRelu: Operation, Codable {
    public var axis: Int?

    public init(axis: Int? = 1) { self.axis = axis }

    public var attributes: String { axis.map { "axis \($0)" } ?? "" }

    public var operandCount: ClosedRange<Int> { 2...2 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let slope = try operand(inputs, 1, "slope")
      try x.require(.float32, rank: 0...Int.max, "x")
      try slope.require(.float32, rank: 0...Int.max, "slope")
      guard slope.shape != [1] else { return [x] }
      if let axis {
        try slope.requireShape([x.shape[try x.axis(axis)]], "slope")
      } else {
        guard try broadcast(x.shape, slope.shape) == x.shape else {
          throw OctetError(.shapeMismatch, "slope", expected: "a shape that broadcasts to \(x)", found: "\(slope)")
        }
      }
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      return [
        try combine(x, broadcastSlope(inputs[1]!, over: x)) { (x: Float, slope: Float) in x < 0 ? slope * x : x }
          .reinterpreted(as: x.shape)
      ]
    }

    /// The slope in a shape that broadcasts to x.
    private func broadcastSlope(_ slope: Tensor, over x: Tensor) throws -> Tensor {
      guard let axis, slope.shape != [1] else { return slope }
      let trailing = x.rank - 1 - (try x.type.axis(axis))
      return slope.reinterpreted(as: slope.shape + [Int](repeating: 1, count: trailing))
    }
  }
}

/// By squaring; the power of a negative exponent is rounded toward zero.
package func wholePower<Number: FixedWidthInteger>(_ x: Number, _ y: Number) -> Number {
  if y < 0 { return x == 1 || x == 0 &- 1 && y % 2 == 0 ? 1 : (x == 0 &- 1 ? x : 0) }
  var (result, base, exponent): (Number, Number, Number) = (1, x, y)
  while exponent > 0 {
    if exponent % 2 == 1 { result &*= base }
    base &*= base
    exponent /= 2
  }
  return result
}

/// The system's function: inside `Op.Binary` its name is that of a case.
private func power(_ x: Double, _ y: Double) -> Double { pow(x, y) }

// MARK: - Gradients

extension Op.Clip {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (y, range) = (results[0], minimum...maximum)
    return { [try masked($0[0]!, by: y, within: range)] }
  }
}

extension Op.Binary {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (a, b) = (inputs[0]!, inputs[1]!)
    let (shapeA, shapeB) = (a.shape, b.shape)
    /// One gradient for each operand, of the result's shape, summed to the operand's.
    func pair(
      _ first: @escaping @Sendable (Tensor) throws -> Tensor, _ second: @escaping @Sendable (Tensor) throws -> Tensor
    ) -> Pullback {
      {
        [
          wanted[0] ? try first($0[0]!).summed(to: shapeA) : nil,
          wanted[1] ? try second($0[0]!).summed(to: shapeB) : nil,
        ]
      }
    }
    switch self {
    case .add: return pair({ $0 }, { $0 })
    case .sub: return pair({ $0 }, { try -$0 })
    case .mul:
      let (factorA, factorB) = (wanted[1] ? a : nil, wanted[0] ? b : nil)
      return pair({ try $0 * factorB! }, { try $0 * factorA! })
    case .div:
      let y = wanted[1] ? results[0] : nil
      return pair({ try $0 / b }, { try -($0 * y! / b) })
    case .pow:
      // d xʸ / dx = y · xʸ⁻¹, d xʸ / dy = xʸ · ln x; nothing where y = 0, or x = 0.
      let y = wanted[1] ? results[0] : nil
      return pair(
        { gradient in
          try gradient
            * combine(a, b) { (x: Float, y: Float) -> Float in
              y == 0 ? 0 : Float(Double(y) * power(Double(x), Double(y) - 1))
            }
        },
        { gradient in
          let logarithm = try combine(a, b) { (x: Float, y: Float) -> Float in
            x == 0 && y >= 0 ? 0 : Float(naturalLogarithm(Double(x)))
          }
          return try gradient * y! * logarithm
        })
    case .minimum, .maximum:
      // Of equal numbers each has half.
      let sign: Float = self == .maximum ? 1 : -1
      return pair(
        { try $0 * combine(a, b) { (x: Float, y: Float) -> Float in x == y ? 0.5 : (sign * (x - y) > 0 ? 1 : 0) } },
        { try $0 * combine(a, b) { (x: Float, y: Float) -> Float in x == y ? 0.5 : (sign * (y - x) > 0 ? 1 : 0) } })
    }
  }
}

extension Op.PRelu {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (x, slope) = (inputs[0]!, inputs[1]!)
    let broadcast = try broadcastSlope(slope, over: x)
    return { gradients in
      let gradient = gradients[0]!
      // At 0 the slope counts, as in PyTorch.
      return [
        wanted[0]
          ? try (gradient * combine(x, broadcast) { (x: Float, slope: Float) -> Float in x > 0 ? 1 : slope })
            .reinterpreted(as: x.shape) : nil,
        wanted[1]
          ? try combine(gradient, x) { (gradient: Float, x: Float) -> Float in x > 0 ? 0 : gradient * x }
            .summed(to: broadcast.shape).reinterpreted(as: slope.shape) : nil,
      ]
    }
  }
}

private func naturalLogarithm(_ x: Double) -> Double { log(x) }
