extension Op {
  /// Pooling over windows of the image axes. Operand: x [n, c, h, w]. Result: [n, c, h', w']. A signal [n, c, l] counts as
  /// an image of height 1.
  public struct Pool: Operation, Codable {
    public enum Kind: String, Hashable, Sendable, Codable {
      case max, average
    }

    public var kind: Kind
    public var kernel: Size2D
    public var stride: Size2D
    public var padding: Padding2D
    public var dilation: Size2D
    /// Round the number of windows up instead of down.
    public var ceilMode: Bool
    /// Whether padding counts as zeros in an average (PyTorch's default), or not at all (ONNX's).
    public var countIncludePad: Bool

    public init(
      _ kind: Kind, kernel: Size2D, stride: Size2D? = nil, padding: Padding2D = 0, dilation: Size2D = 1,
      ceilMode: Bool = false, countIncludePad: Bool = true
    ) {
      self.kind = kind
      self.kernel = kernel
      self.stride = stride ?? kernel
      self.padding = padding
      self.dilation = dilation
      self.ceilMode = ceilMode
      self.countIncludePad = countIncludePad
    }

    public var attributes: String {
      var parts = ["kernel \(kernel)"]
      if stride != kernel { parts.append("stride \(stride)") }
      if !padding.isZero { parts.append("padding \(padding)") }
      if dilation != 1 { parts.append("dilation \(dilation)") }
      if ceilMode { parts.append("ceil") }
      if kind == .average, !padding.isZero, !countIncludePad { parts.append("padding not counted") }
      return parts.joined(separator: ", ")
    }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 3...4, "x")
      guard kernel.isPositive, stride.isPositive, dilation.isPositive, padding.isValid,
        max(padding.top, padding.bottom) < (kernel.height - 1) * dilation.height + 1,
        max(padding.left, padding.right) < (kernel.width - 1) * dilation.width + 1
      else {
        throw OctetError(
          .invalidArgument, "pool", expected: "kernel, stride and dilation above 0, padding smaller than the window",
          found: attributes)
      }
      guard x.rank == 4 || kernel.height == 1 else {
        throw OctetError(.invalidArgument, "pool", expected: "a kernel of height 1 for a signal", found: attributes)
      }
      try requireImageAttributes(rank: x.rank, stride, padding, dilation)
      let width = try windowCount(
        x.shape[x.rank - 1], kernel: kernel.width, stride: stride.width, dilation: dilation.width,
        padding: (padding.left, padding.right), ceilMode: ceilMode, "x")
      guard x.rank == 4 else { return [TensorType(.float32, [x.shape[0], x.shape[1], width])] }
      let height = try windowCount(
        x.shape[2], kernel: kernel.height, stride: stride.height, dilation: dilation.height,
        padding: (padding.top, padding.bottom), ceilMode: ceilMode, "x")
      return [TensorType(.float32, [x.shape[0], x.shape[1], height, width])]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      return [try PoolGeometry(self, x.shape, outputTypes([x.type])[0].fixedShape!).pooled(x, places: nil)]
    }

    /// What an average divides by: the elements inside, or the window clipped to the padded input.
    func divisor(_ oy: Int, _ ox: Int, _ h: Int, _ w: Int, inside: Int) -> Int {
      guard countIncludePad else { return max(inside, 1) }
      let rows = places(oy * stride.height - padding.top, dilation.height, kernel.height, before: h + padding.bottom)
      let columns = places(ox * stride.width - padding.left, dilation.width, kernel.width, before: w + padding.right)
      return rows * columns
    }

    /// How many elements of a window that begins at `start` lie before an end.
    private func places(_ start: Int, _ dilation: Int, _ kernel: Int, before end: Int) -> Int {
      start < end ? min(kernel, (end - start - 1) / dilation + 1) : 0
    }

    /// Whether an average divides by another number where a window reaches beyond the padding. Kernels, which divide by
    /// the whole window or by the elements inside, cannot.
    package var clipsWindowsToPadding: Bool { kind == .average && ceilMode && countIncludePad }
  }

  /// Average pooling to a given size. Operand: x [n, c, h, w]. Result: [n, c, size]. Window i of axis length h covers
  /// `⌊i·h/size⌋ ..< ⌈(i + 1)·h/size⌉` (PyTorch's rule).
  public struct AdaptiveAveragePool: Operation, Codable {
    public var size: Size2D

    public init(_ size: Size2D) { self.size = size }

    public var attributes: String { "size \(size)" }

    /// Whether all windows over an image of this type have one size, so that the operation is plain average pooling.
    package func hasEqualWindows(over x: TensorType) -> Bool {
      guard let height = x.shape[2].size, let width = x.shape[3].size else { return false }
      return height.isMultiple(of: size.height) && width.isMultiple(of: size.width)
    }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 4...4, "x")
      guard size.isPositive else {
        throw OctetError(.invalidArgument, "size", expected: "numbers above 0", found: "\(size)")
      }
      return [TensorType(.float32, [x.shape[0], x.shape[1], .fixed(size.height), .fixed(size.width)])]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      var result = try Tensor(zeros: outputTypes([x.type])[0].fixedShape!)
      let (h, w) = (x.shape[2], x.shape[3])
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try x.withUnsafeScalars(as: Float.self) { x in
          for i in out.indices {
            let (plane, oy, ox) = (i / (size.height * size.width), i / size.width % size.height, i % size.width)
            let rows = Self.window(oy, h, size.height)
            let columns = Self.window(ox, w, size.width)
            var sum = 0.0
            for iy in rows { for ix in columns { sum += Double(x[(plane * h + iy) * w + ix]) } }
            out[i] = Float(sum) / Float(rows.count * columns.count)
          }
        }
      }
      return [result]
    }

    private static func window(_ index: Int, _ length: Int, _ size: Int) -> Range<Int> {
      index * length / size..<((index + 1) * length + size - 1) / size
    }
  }
}

// MARK: - Gradients

extension Op.Pool {
  // A maximum remembers where it was found.
  public func differentiate(
    _ inputs: [Tensor?], wanted: [Bool]
  ) throws -> (results: [Tensor], pullback: Pullback?) {
    let x = inputs[0]!
    let geometry = try PoolGeometry(self, x.shape, outputTypes([x.type])[0].fixedShape!)
    guard kind == .max else { return ([try geometry.pooled(x, places: nil)], { [try geometry.shared($0[0]!)] }) }
    guard geometry.plane <= Int32.max else {
      throw OctetError(.unsupported, "x", expected: "an image of fewer pixels", found: "\(x.type)")
    }
    var found = Tensor(uninitialized: geometry.pooledShape, dtype: .int32)
    let result = try found.withUnsafeMutableScalars(as: Int32.self) { try geometry.pooled(x, places: $0.baseAddress) }
    let places = found
    return ([result], { [try geometry.returned($0[0]!, to: places)] })
  }

  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    try differentiate(inputs, wanted: wanted).pullback
  }
}

extension Op.AdaptiveAveragePool {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (shape, size) = (inputs[0]!.shape, size)
    return { gradients in
      let (h, w) = (shape[2], shape[3])
      var dx = try Tensor(zeros: shape)
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try gradients[0]!.withUnsafeScalars(as: Float.self) { dy in
          for i in dy.indices {
            let (plane, oy, ox) = (i / (size.height * size.width), i / size.width % size.height, i % size.width)
            let (rows, columns) = (Self.window(oy, h, size.height), Self.window(ox, w, size.width))
            let share = dy[i] / Float(rows.count * columns.count)
            for iy in rows { for ix in columns { dx[(plane * h + iy) * w + ix] += share } }
          }
        }
      }
      return [dx]
    }
  }
}
