import OctetCore

// Windows over volumes [n, c, d, h, w], by operations on images: one image for each place along the depth.

/// A convolution whose channels are those of all planes under the window; with groups a sum over these planes.
func volumeConvolution(_ node: ONNXNode, _ x: Value, _ weight: Value, _ bias: Value?) throws -> Value {
  guard let kernel = weight.type.fixedShape, kernel.count == 5 else {
    throw node.unsupported("weight", expected: "a fixed shape of rank 5", found: weight.type)
  }
  guard kernel[2] <= 1024 else {
    throw node.unsupported("weight", expected: "at most 1,024 planes", found: weight.type)
  }
  var window = try WindowAttributes(node, x: x, kernel: Array(kernel[2...]), axes: 3...3)
  try window.pad(node, x)
  guard let size = x.shape[2].size else { throw node.unsupported("x", expected: "a fixed depth", found: x.type) }
  let (stride, dilation, edges) = (window.stride[0], window.dilation[0], window.padding[0])
  let reach = (kernel[2] - 1) * dilation + 1
  guard size + edges.before + edges.after >= reach else {
    throw node.invalid("x", expected: "a depth of at least \(reach)", found: x.type)
  }
  let depth = (size + edges.before + edges.after - reach) / stride + 1
  let groups = try node.int("group", default: 1)
  var padded = x
  if edges.before + edges.after > 0 {
    padded = try node.apply(
      .pad(Op.Pad(before: [0, 0, edges.before, 0, 0], after: [0, 0, edges.after, 0, 0])), x)
  }
  /// For each place the plane that lies there under the window, [n, c, depth, h, w].
  func planes(_ place: Int) throws -> Value {
    let start = place * dilation
    let slice = Op.Slice(starts: [start], ends: [start + (depth - 1) * stride + 1], axes: [2], steps: [stride])
    return try node.apply(.slice(slice), padded)
  }
  /// [n, c, depth, h, w] → [n · depth, c, h, w]
  func images(_ volume: Value) throws -> Value {
    try node.apply(.flatten(Op.Flatten(from: 0, to: 1)), node.apply(.transpose(Op.Transpose([0, 2, 1, 3, 4])), volume))
  }
  let inner = window.ofPlanes
  let op = Op.conv(
    Op.Convolution(stride: inner.stride2D, padding: inner.padding2D, dilation: inner.dilation2D, groups: groups))
  var result: Value
  if groups == 1 {
    let all = try node.results(.concat(Op.Concat(axis: 1)), (0..<kernel[2]).map { try planes($0) })[0]
    let ordered = try node.apply(.transpose(Op.Transpose([0, 2, 1, 3, 4])), weight)
    let merged = try node.apply(.flatten(Op.Flatten(from: 1, to: 2)), ordered)
    result = try node.apply(op, images(all), merged, bias)
  } else {
    func part(_ place: Int) throws -> Value {
      let slice = Op.Slice(starts: [place], ends: [place + 1], axes: [2])
      let plane = try node.apply(.squeeze(Op.Squeeze([2])), node.apply(.slice(slice), weight))
      return try node.apply(op, images(planes(place)), plane, place == 0 ? bias : nil)
    }
    result = try part(0)
    for place in 1..<max(kernel[2], 1) { result = try node.add(result, part(place)) }
  }
  return try node.apply(
    .transpose(Op.Transpose([0, 2, 1, 3, 4])), split(node, result, to: [.fixed(depth), result.shape[1]], of: x))
}

/// Pooling over the height and width, then over the depth.
func volumePool(_ node: ONNXNode, _ kind: Op.Pool.Kind, _ x: Value, countIncludePad: Bool) throws -> Value {
  var window = try WindowAttributes(node, x: x, axes: 3...3)
  try window.pad(node, x)
  let isCeiling = try node.int("ceil_mode", default: 0) != 0
  let isPadded = window.padding.contains { $0.before + $0.after > 0 }
  guard kind == .max || !isCeiling && (!isPadded || countIncludePad) else {
    throw node.unsupported("pads", expected: "none, or counted ones, for averages of volumes", found: "others")
  }
  let inner = window.ofPlanes
  let planes = try node.apply(
    .pool(
      Op.Pool(
        kind, kernel: inner.kernel2D, stride: inner.stride2D, padding: inner.padding2D, dilation: inner.dilation2D,
        ceilMode: isCeiling, countIncludePad: countIncludePad)),
    node.apply(.flatten(Op.Flatten(from: 1, to: 2)), x))
  guard let channels = x.shape[1].size, let size = x.shape[2].size, let height = planes.shape[2].size,
    let width = planes.shape[3].size
  else { throw node.unsupported("x", expected: "fixed sizes", found: x.type) }
  let edges = window.padding[0]
  let depth = Op.Pool(
    kind, kernel: Size2D(window.kernel[0], 1), stride: Size2D(window.stride[0], 1),
    padding: Padding2D(top: edges.before, left: 0, bottom: edges.after, right: 0),
    dilation: Size2D(window.dilation[0], 1), ceilMode: isCeiling, countIncludePad: countIncludePad)
  let lines = try node.apply(
    .pool(depth), node.apply(.reshape(Op.Reshape([0, channels, size, height * width])), planes))
  return try node.apply(.reshape(Op.Reshape([0, 0, 0, height, width])), lines)
}

/// Images [n · depth, c, h, w] as [n, depth, c, h, w].
private func split(_ node: ONNXNode, _ images: Value, to sizes: [Dimension], of x: Value) throws -> Value {
  let rest = Array(images.shape[2...])
  guard let inner = TensorType(.float32, sizes + rest).fixedShape else {
    throw node.unsupported("x", expected: "fixed sizes behind the first axis", found: x.type)
  }
  return try node.apply(.reshape(Op.Reshape([x.shape[0].size ?? -1] + inner)), images)
}
