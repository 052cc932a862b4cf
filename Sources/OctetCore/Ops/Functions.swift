// The operations as functions. Each is one line over `apply`; all throw what it throws.

/// `max(x, 0)`
public func relu(_ x: Tensor) throws -> Tensor { try apply(.unary(.relu), to: x) }

/// `min(max(x, 0), 6)`
public func relu6(_ x: Tensor) throws -> Tensor { try clip(x, minimum: 0, maximum: 6) }

/// `min(max(x, minimum), maximum)`
public func clip(_ x: Tensor, minimum: Float, maximum: Float) throws -> Tensor {
  try apply(.clip(Op.Clip(minimum: minimum, maximum: maximum)), to: x)
}

/// `exp(x) / Σ exp(x)` along an axis
public func softmax(_ x: Tensor, axis: Int = -1) throws -> Tensor { try apply(.softmax(Op.Softmax(axis: axis)), to: x) }

/// The tensors one after another along an axis.
public func concat(_ tensors: [Tensor], axis: Int) throws -> Tensor {
  try apply(.concat(Op.Concat(axis: axis)), tensors)[0]
}

/// 2-d convolution: x [n, c, h, w], weight [o, c / groups, kh, kw], bias [o].
public func conv2d(
  _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Size2D = 1, padding: Padding2D = 0, dilation: Size2D = 1,
  groups: Int = 1
) throws -> Tensor {
  try apply(
    .conv(Op.Convolution(stride: stride, padding: padding, dilation: dilation, groups: groups)), to: x, weight, bias)
}

/// `x · weightᵀ + bias`: x [..., k], weight [n, k], bias [n].
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
  try apply(.linear(Op.Linear()), to: x, weight, bias)
}

/// Matrix product with broadcast leading axes: a [..., m, k], b [..., k, n]; vectors count as a row and a column.
public func matmul(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(.matmul(Op.MatMul()), to: a, b) }

/// Largest element of each window: x [n, c, h, w]. The stride is the kernel unless it is given.
public func maxPool2d(
  _ x: Tensor, kernelSize: Size2D, stride: Size2D? = nil, padding: Padding2D = 0, dilation: Size2D = 1,
  ceilMode: Bool = false
) throws -> Tensor {
  let pool = Op.Pool(.max, kernel: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
  return try apply(.pool(pool), to: x)
}

/// Mean of each window: x [n, c, h, w]. The stride is the kernel unless it is given.
public func averagePool2d(
  _ x: Tensor, kernelSize: Size2D, stride: Size2D? = nil, padding: Padding2D = 0, ceilMode: Bool = false,
  countIncludePad: Bool = true
) throws -> Tensor {
  let pool = Op.Pool(
    .average, kernel: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode, countIncludePad: countIncludePad
  )
  return try apply(.pool(pool), to: x)
}

/// Mean of windows chosen so that the result has the given size: x [n, c, h, w].
public func adaptiveAveragePool2d(_ x: Tensor, outputSize: Size2D) throws -> Tensor {
  try apply(.adaptiveAveragePool(Op.AdaptiveAveragePool(outputSize)), to: x)
}

/// Constant padding: `before` and `after` give the number of elements for every axis.
public func pad(_ x: Tensor, before: [Int], after: [Int], value: Float = 0) throws -> Tensor {
  try apply(.pad(Op.Pad(before: before, after: after, value: value)), to: x)
}

extension Tensor {
  public static func + (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.add), to: a, b) }
  public static func - (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.sub), to: a, b) }
  public static func * (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.mul), to: a, b) }
  public static func / (a: Tensor, b: Tensor) throws -> Tensor { try apply(.binary(.div), to: a, b) }

  /// The same elements under another shape; 0 copies a dimension, −1 takes what is left.
  ///
  /// Of several −1, those at a symbolic dimension copy it: that is what it reads as (``shape``), so that
  /// `x.reshape([x.shape[0], -1])` means the same while tracing.
  public func reshape(_ shape: [Int]) throws -> Tensor {
    var shape = shape
    if shape.filter({ $0 == -1 }).count > 1 {
      for (axis, dimension) in zip(shape.indices, type.shape) where shape[axis] == -1 && dimension.size == nil {
        shape[axis] = 0
      }
    }
    return try apply(.reshape(Op.Reshape(shape)), to: self)
  }

  /// Axes `start` to `end`, both included, as one.
  public func flatten(from start: Int = 0, to end: Int = -1) throws -> Tensor {
    try apply(.flatten(Op.Flatten(from: start, to: end)), to: self)
  }

  /// The axes in another order: axis i of the result is axis `permutation[i]`.
  public func transpose(_ permutation: [Int]) throws -> Tensor {
    try apply(.transpose(Op.Transpose(permutation)), to: self)
  }

  /// The mean over axes.
  public func mean(_ axes: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try apply(.reduce(Op.Reduce(.mean, axes: axes, keepDimensions: keepDimensions)), to: self)
  }

  /// The sum over axes.
  public func sum(_ axes: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try apply(.reduce(Op.Reduce(.sum, axes: axes, keepDimensions: keepDimensions)), to: self)
  }
}
