import OctetCore
import OctetGraph

// Pooling, images of other sizes, selections, reductions.

extension NodeWriter {
  func pool(_ op: Op.Pool) throws -> String {
    var attributes = try Window(self, op.stride, op.padding, op.dilation, kernel: op.kernel).attributes
    attributes.append(Attribute.flag("ceil_mode", op.ceilMode))
    switch op.kind {
    case .max: return emit("MaxPool", [try input(0)], attributes)
    case .average:
      // Dilations are newer than averages.
      if op.dilation == 1 { attributes.removeAll { $0.name == "dilations" } }
      attributes.append(Attribute.flag("count_include_pad", op.countIncludePad))
      return emit("AveragePool", [try input(0)], attributes)
    }
  }

  /// Windows of one size, which ONNX can say.
  func adaptiveAveragePool(_ op: Op.AdaptiveAveragePool) throws -> String {
    if op.size == 1 { return emit("GlobalAveragePool", [try input(0)]) }
    guard let height = type(0).shape[2].size, let width = type(0).shape[3].size,
      height.isMultiple(of: op.size.height), width.isMultiple(of: op.size.width)
    else {
      throw unsupported("size", expected: "a divisor of the image, or 1", found: "\(op.size) of \(type(0))")
    }
    let window = Size2D(height / op.size.height, width / op.size.width)
    return try pool(Op.Pool(.average, kernel: window, stride: window, padding: 0))
  }

  func resize(_ op: Op.Resize) throws -> String {
    var attributes: [Onnx_AttributeProto]
    switch op.mode {
    case .nearest(let rounding):
      attributes = [Attribute.string("mode", "nearest"), Attribute.string("nearest_mode", rounding.onnxName)]
    case .linear: attributes = [Attribute.string("mode", "linear")]
    }
    attributes.append(Attribute.string("coordinate_transformation_mode", op.coordinates.onnxName))
    switch op.target {
    case .scales(let scales):
      let all = try constant([1, 1] + scales, shape: [scales.count + 2], "scales")
      return emit("Resize", [try input(0), "", all], attributes)
    case .sizes(let sizes):
      if let shape = type(0).fixedShape {
        return emit("Resize", [try input(0), "", "", try integers(shape[..<2] + sizes, "sizes")], attributes)
      }
      // The first two as they are. (ONNX Runtime's integer form of it loses an attribute `axes`.)
      let shape = helper("Shape", [try input(0)])
      let first = helper("Slice", [shape, try integers([0], "start"), try integers([2], "end")])
      let all = helper("Concat", [first, try integers(sizes, "sizes")], [Attribute.int("axis", 0)])
      return emit("Resize", [try input(0), "", "", all], attributes)
    }
  }

  func split(_ op: Op.Split) throws -> [String] {
    emit(
      "Split", [try input(0), try integers(op.sizes, "sizes")], [Attribute.int("axis", op.axis)],
      outputs: op.sizes.count)
  }

  func slice(_ op: Op.Slice) throws -> String {
    emit(
      "Slice",
      [
        try input(0), try integers(op.starts, "starts"), try integers(op.ends, "ends"), try integers(op.axes, "axes"),
        try integers(op.steps, "steps"),
      ])
  }

  /// Flatten makes two axes; all else is a reshape.
  func flatten(_ op: Op.Flatten) throws -> String {
    let x = type(0)
    func counted(_ axis: Int) -> Int { axis < 0 ? axis + x.rank : axis }
    let (start, end) = (counted(op.start), counted(op.end))
    if x.rank > 1, start == 1, end == x.rank - 1 { return emit("Flatten", [try input(0)], [Attribute.int("axis", 1)]) }
    let front = [Int](repeating: 0, count: start) + [-1]
    let behind = x.rank > end ? Array(x.shape[(end + 1)...]) : []
    let sizes = behind.compactMap(\.size)
    if sizes.count == behind.count {
      return emit("Reshape", [try input(0), try integers(front + sizes, "shape")])
    }
    // A place in the shape copies the size at the same place of x, and these have moved.
    let rest = helper(
      "Slice", [helper("Shape", [try input(0)]), try integers([end + 1], "start"), try integers([x.rank], "end")])
    let shape = helper("Concat", [try integers(front, "front"), rest], [Attribute.int("axis", 0)])
    return emit("Reshape", [try input(0), shape])
  }

  func reduce(_ op: Op.Reduce) throws -> String {
    let rank = type(0).rank
    let axes = op.axes.map { $0 < 0 ? $0 + rank : $0 }.sorted()
    // The name of it that integer kernels know.
    if op.kind == .mean, op.keepDimensions, rank > 2, axes == Array(2..<rank) {
      return emit("GlobalAveragePool", [try input(0)])
    }
    let keeps = Attribute.flag("keepdims", op.keepDimensions)
    let type = "Reduce\(op.kind.onnxName)"
    // The axes became an input, of sums first.
    if op.kind == .sum || writer.opset >= 18 {
      return emit(type, [try input(0), try integers(axes, "axes")], [keeps])
    }
    return emit(type, [try input(0)], [Attribute.ints("axes", axes), keeps])
  }
}

extension Op.Reduce.Kind {
  fileprivate var onnxName: String {
    switch self {
    case .mean: "Mean"
    case .sum: "Sum"
    case .max: "Max"
    case .min: "Min"
    case .prod: "Prod"
    case .l1: "L1"
    case .l2: "L2"
    case .logSumExp: "LogSumExp"
    }
  }
}

extension Op.Resize.Rounding {
  fileprivate var onnxName: String {
    switch self {
    case .floor: "floor"
    case .ceil: "ceil"
    case .roundPreferFloor: "round_prefer_floor"
    case .roundPreferCeil: "round_prefer_ceil"
    }
  }
}

extension Op.Resize.Coordinates {
  fileprivate var onnxName: String {
    switch self {
    case .halfPixel: "half_pixel"
    case .pytorchHalfPixel: "pytorch_half_pixel"
    case .asymmetric: "asymmetric"
    case .alignCorners: "align_corners"
    }
  }
}
