import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Op {
  /// A function of one number, applied to every element. Operand: x float32. Result: of the same shape.
  ///
  /// The names are ONNX's operators; ``value(at:)`` has the formulas.
  public enum Unary: Operation, Codable {
    case relu, sigmoid, tanh, exp, log, sqrt, erf, abs, neg, reciprocal, floor, sin, cos, softplus
    /// `x · sigmoid(x)`; ONNX's Swish.
    case silu
    /// `x · hardSigmoid(x)` with alpha 1/6 and beta 1/2.
    case hardSwish
    /// `min(max(alpha · x + beta, 0), 1)`. ONNX's defaults are 0.2 and 0.5, PyTorch's numbers 1/6 and 0.5.
    case hardSigmoid(alpha: Float, beta: Float)
    /// `alpha · x` below 0. ONNX's and PyTorch's default is 0.01.
    case leakyRelu(alpha: Float)
    /// `alpha · (eˣ − 1)` below 0.
    case elu(alpha: Float)
    /// `x · Φ(x)`, exactly or with a tanh in the place of the error function.
    case gelu(GELUApproximation)

    /// The attribute `approximate` of ONNX's and PyTorch's Gelu.
    public enum GELUApproximation: String, Hashable, Sendable, Codable {
      case none, tanh
    }

    public var attributes: String {
      switch self {
      case .hardSigmoid(let alpha, let beta): "alpha \(alpha), beta \(beta)"
      case .leakyRelu(let alpha), .elu(let alpha): "alpha \(alpha)"
      case .gelu(.tanh): "tanh approximation"
      case .relu, .sigmoid, .tanh, .exp, .log, .sqrt, .erf, .abs, .neg, .reciprocal, .floor, .sin, .cos, .softplus,
        .silu, .hardSwish, .gelu(.none):
        ""
      }
    }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 0...Int.max, "x")
      switch self {
      case .hardSigmoid(let alpha, let beta): try requireFinite([alpha, beta])
      case .leakyRelu(let alpha), .elu(let alpha): try requireFinite([alpha])
      case .relu, .sigmoid, .tanh, .exp, .log, .sqrt, .erf, .abs, .neg, .reciprocal, .floor, .sin, .cos, .softplus,
        .silu, .hardSwish, .gelu:
        break
      }
      return [x]
    }

    private func requireFinite(_ numbers: [Float]) throws {
      guard numbers.allSatisfy(\.isFinite) else {
        throw OctetError(.invalidArgument, "attributes", expected: "finite numbers", found: attributes)
      }
    }

    /// The function itself, in double precision: the tables of integer arithmetic come from it.
    @inline(__always)
    public func value(at x: Double) -> Double {
      switch self {
      case .relu: x < 0 ? 0 : x
      case .sigmoid: logistic(x)
      case .tanh: hyperbolicTangent(x)
      case .exp: exponential(x)
      case .log: naturalLogarithm(x)
      case .sqrt: x.squareRoot()
      case .erf: errorFunction(x)
      case .abs: Swift.abs(x)
      case .neg: -x
      case .reciprocal: 1 / x
      case .floor: x.rounded(.down)
      case .sin: sine(x)
      case .cos: cosine(x)
      case .softplus: x > 0 ? x + log1p(exponential(-x)) : log1p(exponential(x))
      case .silu: x * logistic(x)
      case .hardSwish: x * unit(x / 6 + 0.5)
      case .hardSigmoid(let alpha, let beta): unit(Double(alpha) * x + Double(beta))
      case .leakyRelu(let alpha): x < 0 ? Double(alpha) * x : x
      case .elu(let alpha): x < 0 ? Double(alpha) * expm1(x) : x
      case .gelu(.none): x * 0.5 * erfc(-x * 0.5.squareRoot())
      case .gelu(.tanh): x * logistic(2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x))
      }
    }

    /// The float32 kernel of the function, if there is one.
    package var kernel: octet_unary? {
      switch self {
      case .exp: OCTET_EXP
      case .sigmoid: OCTET_SIGMOID
      case .tanh: OCTET_TANH
      case .erf: OCTET_ERF
      case .silu: OCTET_SILU
      case .gelu(.none): OCTET_GELU
      case .relu, .log, .sqrt, .abs, .neg, .reciprocal, .floor, .sin, .cos, .softplus, .hardSwish, .hardSigmoid,
        .leakyRelu, .elu, .gelu(.tanh):
        nil
      }
    }

    /// The function of `count` elements: by the kernel, or in double precision rounded once. Both give the same bits
    /// on every instruction set.
    package func evaluate(
      _ x: UnsafePointer<Float>, count: Int, into out: UnsafeMutablePointer<Float>, _ kernels: octet_isa
    ) {
      @inline(__always)
      func each(_ function: Unary) { for i in 0..<count { out[i] = Float(function.value(at: Double(x[i]))) } }
      // Loops of their own for functions that cost no more than memory does: there the choice is made once.
      switch self {
      case .relu: kernels.clamp_f32(x, count, 0, .infinity, out)
      case .hardSwish: each(.hardSwish)
      case .hardSigmoid(let alpha, let beta): each(.hardSigmoid(alpha: alpha, beta: beta))
      case .leakyRelu(let alpha): each(.leakyRelu(alpha: alpha))
      case .sigmoid, .tanh, .exp, .log, .sqrt, .erf, .abs, .neg, .reciprocal, .floor, .sin, .cos, .softplus, .silu,
        .elu, .gelu:
        if let kernel { kernels.unary_f32(kernel, x, count, out) } else { each(self) }
      }
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      var result = Tensor(uninitialized: x.shape, dtype: .float32)
      try x.withUnsafeScalars(as: Float.self) { x in
        try result.withUnsafeMutableScalars(as: Float.self) { out in
          guard let from = x.baseAddress, let to = out.baseAddress, !x.isEmpty else { return }
          let kernels = InstructionSet.current.kernels
          concurrently(elements: x.count) { range in
            evaluate(from + range.lowerBound, count: range.count, into: to + range.lowerBound, kernels)
          }
        }
      }
      return [result]
    }
  }
}

// Inside `Op.Unary` the names of the system's functions are those of its cases.
private func exponential(_ x: Double) -> Double { exp(x) }
private func naturalLogarithm(_ x: Double) -> Double { log(x) }
private func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
private func errorFunction(_ x: Double) -> Double { erf(x) }
private func sine(_ x: Double) -> Double { sin(x) }
private func cosine(_ x: Double) -> Double { cos(x) }
private func logistic(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

/// The number within 0…1; NaN stays NaN.
private func unit(_ x: Double) -> Double { x < 0 ? 0 : (x > 1 ? 1 : x) }

// MARK: - Gradient

extension Op.Unary {
  /// The derivative at x, where the function is y, in double precision. Where there is none, PyTorch's choice.
  @inline(__always)
  func derivative(at x: Double, _ y: Double) -> Double {
    switch self {
    case .relu: x > 0 ? 1 : 0
    case .sigmoid: y * (1 - y)
    case .tanh: 1 - y * y
    case .exp: y
    case .log: 1 / x
    case .sqrt: 0.5 / y
    case .erf: 2 / Double.pi.squareRoot() * exponential(-x * x)
    case .abs: x > 0 ? 1 : (x < 0 ? -1 : 0)
    case .neg: -1
    case .reciprocal: -y * y
    case .floor: 0
    case .sin: cosine(x)
    case .cos: -sine(x)
    case .softplus: logistic(x)
    case .silu: logistic(x) * (1 + x * (1 - logistic(x)))
    case .hardSwish: x <= -3 ? 0 : (x < 3 ? x / 3 + 0.5 : 1)
    case .hardSigmoid(let alpha, _): y > 0 && y < 1 ? Double(alpha) : 0
    case .leakyRelu(let alpha): x > 0 ? 1 : Double(alpha)
    case .elu(let alpha): x > 0 ? 1 : Double(alpha) * exponential(x)
    // Φ(x) + x · φ(x)
    case .gelu(.none):
      0.5 * erfc(-x * 0.5.squareRoot()) + x * exponential(-0.5 * x * x) / (2 * Double.pi).squareRoot()
    case .gelu(.tanh): tanhGELUDerivative(x)
    }
  }

  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (x, y) = (inputs[0]!, results[0])
    switch self {
    // The result alone says enough.
    case .relu: return { [try masked($0[0]!, by: y, within: 0...Float.infinity)] }
    case .neg: return { [try -$0[0]!] }
    case .floor: return nil
    case .sigmoid: return { [try Self.sigmoid.times($0[0]!, y, y)] }
    case .tanh: return { [try Self.tanh.times($0[0]!, y, y)] }
    case .exp: return { [try $0[0]! * y] }
    case .sqrt: return { [try Self.sqrt.times($0[0]!, y, y)] }
    case .reciprocal: return { [try Self.reciprocal.times($0[0]!, y, y)] }
    case .log, .erf, .abs, .sin, .cos, .softplus, .silu, .hardSwish, .leakyRelu, .elu, .gelu:
      return { [try times($0[0]!, x, x)] }
    case .hardSigmoid: return { [try times($0[0]!, y, y)] }
    }
  }

  /// `gradient · derivative(x, y)`
  private func times(_ gradient: Tensor, _ x: Tensor, _ y: Tensor) throws -> Tensor {
    var result = gradient
    try result.withUnsafeMutableScalars(as: Float.self) { out in
      try x.withUnsafeScalars(as: Float.self) { x in
        try y.withUnsafeScalars(as: Float.self) { y in
          concurrently(elements: out.count) { range in
            for i in range { out[i] *= Float(derivative(at: Double(x[i]), Double(y[i]))) }
          }
        }
      }
    }
    return result
  }
}

/// Of `x · s(u)` with the logistic function s and `u = 2√(2/π) · (x + 0.044715 x³)`.
private func tanhGELUDerivative(_ x: Double) -> Double {
  let factor = 2 * (2 / Double.pi).squareRoot()
  let s = logistic(factor * (x + 0.044715 * x * x * x))
  return s + x * s * (1 - s) * factor * (1 + 3 * 0.044715 * x * x)
}
