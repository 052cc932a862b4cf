// Elementwise operations as functions. Each is one line over `apply`; all throw what it throws.

/// `1 / (1 + e⁻ˣ)`
public func sigmoid(_ x: Tensor) throws -> Tensor { try apply(.unary(.sigmoid), to: x) }

public func tanh(_ x: Tensor) throws -> Tensor { try apply(.unary(.tanh), to: x) }

public func exp(_ x: Tensor) throws -> Tensor { try apply(.unary(.exp), to: x) }

/// The natural logarithm.
public func log(_ x: Tensor) throws -> Tensor { try apply(.unary(.log), to: x) }

public func sqrt(_ x: Tensor) throws -> Tensor { try apply(.unary(.sqrt), to: x) }

/// The error function.
public func erf(_ x: Tensor) throws -> Tensor { try apply(.unary(.erf), to: x) }

public func abs(_ x: Tensor) throws -> Tensor { try apply(.unary(.abs), to: x) }

public func reciprocal(_ x: Tensor) throws -> Tensor { try apply(.unary(.reciprocal), to: x) }

public func floor(_ x: Tensor) throws -> Tensor { try apply(.unary(.floor), to: x) }

public func sin(_ x: Tensor) throws -> Tensor { try apply(.unary(.sin), to: x) }

public func cos(_ x: Tensor) throws -> Tensor { try apply(.unary(.cos), to: x) }

/// `ln(1 + eˣ)`
public func softplus(_ x: Tensor) throws -> Tensor { try apply(.unary(.softplus), to: x) }

/// `x · sigmoid(x)`
public func silu(_ x: Tensor) throws -> Tensor { try apply(.unary(.silu), to: x) }

/// `x · min(max(x / 6 + 1/2, 0), 1)`
public func hardSwish(_ x: Tensor) throws -> Tensor { try apply(.unary(.hardSwish), to: x) }

/// `min(max(alpha · x + beta, 0), 1)`; the defaults are PyTorch's.
public func hardSigmoid(_ x: Tensor, alpha: Float = 1 / 6, beta: Float = 0.5) throws -> Tensor {
  try apply(.unary(.hardSigmoid(alpha: alpha, beta: beta)), to: x)
}

/// `alpha · x` below 0, x elsewhere.
public func leakyRelu(_ x: Tensor, alpha: Float = 0.01) throws -> Tensor {
  try apply(.unary(.leakyRelu(alpha: alpha)), to: x)
}

/// `alpha · (eˣ − 1)` below 0, x elsewhere.
public func elu(_ x: Tensor, alpha: Float = 1) throws -> Tensor { try apply(.unary(.elu(alpha: alpha)), to: x) }

/// `x · Φ(x)`
public func gelu(_ x: Tensor, approximate: Op.Unary.GELUApproximation = .none) throws -> Tensor {
  try apply(.unary(.gelu(approximate)), to: x)
}

/// `slope · x` below 0, x elsewhere: slope [c] for the channels (axis 1) of x, or [1].
public func prelu(_ x: Tensor, slope: Tensor) throws -> Tensor { try apply(.prelu(Op.PRelu()), to: x, slope) }

/// `xʸ`, with broadcasting.
public func pow(_ x: Tensor, _ y: Tensor) throws -> Tensor { try apply(.binary(.pow), to: x, y) }

/// The smaller of two numbers, with broadcasting.
public func minimum(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(.binary(.minimum), to: a, b) }

/// The larger of two numbers, with broadcasting.
public func maximum(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(.binary(.maximum), to: a, b) }

/// Elements of a where the condition (bool) holds, of b elsewhere, with broadcasting.
public func `where`(_ condition: Tensor, _ a: Tensor, _ b: Tensor) throws -> Tensor {
  try apply(.where(Op.Where()), to: condition, a, b)
}

extension Tensor {
  public static func + (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.add), to: a, b) }
  public static func - (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.sub), to: a, b) }
  public static func * (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.mul), to: a, b) }
  public static func / (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.div), to: a, b) }
  public static prefix func - (x: Tensor) throws -> Tensor { try apply(.unary(.neg), to: x) }

  public static func .== (a: Tensor, b: Tensor) throws -> Tensor { try apply(.compare(.equal), to: a, b) }
  public static func .< (a: Tensor, b: Tensor) throws -> Tensor { try apply(.compare(.less), to: a, b) }
  public static func .<= (a: Tensor, b: Tensor) throws -> Tensor { try apply(.compare(.lessOrEqual), to: a, b) }
  public static func .> (a: Tensor, b: Tensor) throws -> Tensor { try apply(.compare(.greater), to: a, b) }
  public static func .>= (a: Tensor, b: Tensor) throws -> Tensor { try apply(.compare(.greaterOrEqual), to: a, b) }

  /// The elements in another type.
  public func cast(to dtype: DType) throws -> Tensor { try apply(.cast(Op.Cast(to: dtype)), to: self) }

  /// A tensor of rank 0.
  public init<T: TensorScalar>(_ scalar: T) throws { try self.init([scalar], shape: []) }
}
