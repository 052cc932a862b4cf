// Operations that move, select or reduce elements, as functions. Each is one line over `apply`; all throw what it throws.

/// The tensors one after another along an axis.
public func concat(_ tensors: [Tensor], axis: Int) throws -> Tensor {
  try apply(.concat(Op.Concat(axis: axis)), tensors)[0]
}

/// Constant padding: `before` and `after` give the number of elements for every axis.
public func pad(_ x: Tensor, before: [Int], after: [Int], value: Float = 0) throws -> Tensor {
  try apply(.pad(Op.Pad(before: before, after: after, value: value)), to: x)
}

/// The rows of a table [rows, d] at `indices` (int32 or int64): [..., d].
public func embedding(_ indices: Tensor, weight: Tensor) throws -> Tensor {
  try apply(.gather(Op.Gather()), to: weight, indices)
}

extension Tensor {
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

  /// Without these axes of size 1.
  public func squeeze(_ axes: [Int]) throws -> Tensor { try apply(.squeeze(Op.Squeeze(axes)), to: self) }

  /// With new axes of size 1, which have these numbers in the result.
  public func unsqueeze(_ axes: [Int]) throws -> Tensor { try apply(.unsqueeze(Op.Unsqueeze(axes)), to: self) }

  /// Repeated to a shape that it broadcasts to; −1 keeps a size.
  public func expand(_ shape: [Int]) throws -> Tensor { try apply(.expand(Op.Expand(shape)), to: self) }

  /// The axes in another order: axis i of the result is axis `permutation[i]`.
  public func transpose(_ permutation: [Int]) throws -> Tensor {
    try apply(.transpose(Op.Transpose(permutation)), to: self)
  }

  /// Every `step`-th index from `start` to before `end` along an axis. Negative bounds count from the end; `nil`: to the end.
  public func slice(axis: Int, from start: Int = 0, to end: Int? = nil, by step: Int = 1) throws -> Tensor {
    let end = end ?? (step > 0 ? .max : .min)
    return try apply(.slice(Op.Slice(starts: [start], ends: [end], axes: [axis], steps: [step])), to: self)
  }

  /// Pieces of these sizes along an axis.
  public func split(_ sizes: [Int], axis: Int) throws -> [Tensor] {
    try apply(.split(Op.Split(sizes, axis: axis)), [self])
  }

  /// The entries at `indices` (int32 or int64) along an axis.
  public func gather(_ indices: Tensor, axis: Int = 0) throws -> Tensor {
    try apply(.gather(Op.Gather(axis: axis)), to: self, indices)
  }

  /// The mean over axes.
  public func mean(_ axes: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try reduce(.mean, axes, keepDimensions: keepDimensions)
  }

  /// The sum over axes.
  public func sum(_ axes: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try reduce(.sum, axes, keepDimensions: keepDimensions)
  }

  /// The largest element over axes.
  public func max(_ axes: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try reduce(.max, axes, keepDimensions: keepDimensions)
  }

  /// The smallest element over axes.
  public func min(_ axes: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try reduce(.min, axes, keepDimensions: keepDimensions)
  }

  /// Any reduction over axes.
  public func reduce(_ kind: Op.Reduce.Kind, _ axes: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try apply(.reduce(Op.Reduce(kind, axes: axes, keepDimensions: keepDimensions)), to: self)
  }

  /// Where along an axis the largest element is (int64), the first one of several.
  public func argmax(axis: Int, keepDimensions: Bool = false) throws -> Tensor {
    try apply(.argmax(Op.ArgMax(axis: axis, keepDimensions: keepDimensions)), to: self)
  }

  /// Where along an axis the smallest element is (int64), the first one of several.
  public func argmin(axis: Int, keepDimensions: Bool = false) throws -> Tensor {
    try apply(.argmax(Op.ArgMax(axis: axis, keepDimensions: keepDimensions, smallest: true)), to: self)
  }

  /// The largest (or smallest) elements along an axis, best first, and where they are (int64).
  public func topK(_ count: Int, axis: Int = -1, largest: Bool = true) throws -> (values: Tensor, indices: Tensor) {
    let results = try apply(.topK(Op.TopK(count, axis: axis, largest: largest)), [self])
    return (results[0], results[1])
  }
}
