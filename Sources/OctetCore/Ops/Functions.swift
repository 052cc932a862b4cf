// Layers' operations as functions. Each is one line over `apply`; all throw what it throws.

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

/// `x − ln Σ exp(x)` along an axis
public func logSoftmax(_ x: Tensor, axis: Int = -1) throws -> Tensor {
  try apply(.softmax(Op.Softmax(axis: axis, isLogarithm: true)), to: x)
}

/// 2-d convolution: x [n, c, h, w], weight [o, c / groups, kh, kw], bias [o].
public func conv2d(
  _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Size2D = 1, padding: Padding2D = 0, dilation: Size2D = 1,
  groups: Int = 1
) throws -> Tensor {
  try apply(
    .conv(Op.Convolution(stride: stride, padding: padding, dilation: dilation, groups: groups)), to: x, weight, bias)
}

/// 1-d convolution: x [n, c, l], weight [o, c / groups, k], bias [o].
public func conv1d(
  _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1,
  groups: Int = 1
) throws -> Tensor {
  try conv2d(
    x, weight: weight, bias: bias, stride: Size2D(1, stride), padding: Padding2D(Size2D(0, padding)),
    dilation: Size2D(1, dilation), groups: groups)
}

/// 2-d transposed convolution: x [n, c, h, w], weight [c, o / groups, kh, kw], bias [o].
public func convTranspose2d(
  _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Size2D = 1, padding: Padding2D = 0,
  outputPadding: Size2D = 0, dilation: Size2D = 1, groups: Int = 1
) throws -> Tensor {
  let attributes = Op.ConvTranspose(
    stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation, groups: groups)
  return try apply(.convTranspose(attributes), to: x, weight, bias)
}

/// `x · weightᵀ + bias`: x [..., k], weight [n, k], bias [n].
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
  try apply(.linear(Op.Linear()), to: x, weight, bias)
}

/// Matrix product with broadcast leading axes: a [..., m, k], b [..., k, n]; vectors count as a row and a column.
public func matmul(_ a: Tensor, _ b: Tensor) throws -> Tensor { try apply(.matmul(Op.MatMul()), to: a, b) }

/// Normalization over the axes from `axis` to the last; weight and bias have their shape.
public func layerNorm(
  _ x: Tensor, axis: Int = -1, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Float = 1e-5
) throws -> Tensor {
  try apply(.normalize(Op.Normalize(.layer(axis: axis), epsilon: epsilon)), to: x, weight, bias)
}

/// Normalization over groups of the channels (axis 1) of each sample; weight and bias [c].
public func groupNorm(
  _ x: Tensor, groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Float = 1e-5
) throws -> Tensor {
  try apply(.normalize(Op.Normalize(.group(groups), epsilon: epsilon)), to: x, weight, bias)
}

/// Normalization over each channel (axis 1) of each sample; weight and bias [c].
public func instanceNorm(
  _ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Float = 1e-5
) throws -> Tensor {
  try apply(.normalize(Op.Normalize(.instance, epsilon: epsilon)), to: x, weight, bias)
}

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

/// Images [n, c, h, w] or signals [n, c, l] of another size, as PyTorch's `interpolate` with the modes `nearest`, and
/// `linear` or `bilinear`.
public func interpolate(
  _ x: Tensor, to target: Op.Resize.Target, linear: Bool = false, alignCorners: Bool = false
) throws -> Tensor {
  let resize =
    linear
    ? Op.Resize(target, mode: .linear, coordinates: alignCorners ? .alignCorners : .halfPixel)
    : Op.Resize(target, mode: .nearest(.floor), coordinates: .asymmetric)
  return try apply(.resize(resize), to: x)
}

/// `softmax(q · kᵀ · scale + mask) · v`: q [..., s, d], k [..., t, d], v [..., t, e], result [..., s, e].
///
/// - Parameters:
///   - mask: of a shape that broadcasts to [..., s, t]. float32: added; bool: false keeps a key out.
///   - scale: 1 / √d unless it is given.
public func scaledDotProductAttention(
  _ q: Tensor, _ k: Tensor, _ v: Tensor, mask: Tensor? = nil, scale: Float? = nil
) throws -> Tensor {
  guard k.rank >= 2, let width = q.type.shape.last?.size, width > 0 else {
    throw OctetError(
      .shapeMismatch, "attention", expected: "q [..., s, d] and k [..., t, d] with a fixed d",
      found: "\(q.type), \(k.type)")
  }
  let swapped = Array(0..<k.rank - 2) + [k.rank - 1, k.rank - 2]
  var scores = try matmul(q * Tensor(scale ?? 1 / Float(width).squareRoot()), k.transpose(swapped))
  if let mask {
    scores = mask.dtype == .bool ? try `where`(mask, scores, Tensor(-Float.infinity)) : try scores + mask
  }
  return try matmul(softmax(scores), v)
}
