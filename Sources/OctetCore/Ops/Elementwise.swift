#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

func exponential(_ x: Float) -> Float { exp(x) }

extension Op {
  /// A function of one number, applied to every element.
  public enum Unary: String, Operation, Codable {
    case relu

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 0...Int.max, "x")
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      var result = inputs[0]!
      switch self {
      case .relu: try finish(&result, residual: nil, .relu)
      }
      return [result]
    }
  }

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

  /// A function of two numbers, applied elementwise with broadcasting.
  public enum Binary: String, Operation, Codable {
    case add, sub, mul, div

    public var operandCount: ClosedRange<Int> { 2...2 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let a = try operand(inputs, 0, "a")
      let b = try operand(inputs, 1, "b")
      try a.require(.float32, rank: 0...Int.max, "a")
      try b.require(.float32, rank: 0...Int.max, "b")
      return [TensorType(.float32, try broadcast(a.shape, b.shape))]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let a = inputs[0]!
      let b = inputs[1]!
      return switch self {
      case .add: [try combine(a, b) { $0 + $1 }]
      case .sub: [try combine(a, b) { $0 - $1 }]
      case .mul: [try combine(a, b) { $0 * $1 }]
      case .div: [try combine(a, b) { $0 / $1 }]
      }
    }

    @inline(__always)
    private func combine(_ a: Tensor, _ b: Tensor, _ function: (Float, Float) -> Float) throws -> Tensor {
      let shape = try broadcast(a.type.shape, b.type.shape).map { $0.size! }
      var result = try Tensor(zeros: shape)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try a.withUnsafeScalars(as: Float.self) { x in
          try b.withUnsafeScalars(as: Float.self) { y in
            if a.shape == b.shape {
              for i in out.indices { out[i] = function(x[i], y[i]) }
            } else {
              let offsetsA = BroadcastOffsets(of: a.shape, to: shape)
              let offsetsB = BroadcastOffsets(of: b.shape, to: shape)
              for i in out.indices { out[i] = function(x[offsetsA[i]], y[offsetsB[i]]) }
            }
          }
        }
      }
      return result
    }
  }
}
