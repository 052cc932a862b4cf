import OctetCore

let convolutionOperators = [
  Operator("Conv", mapConv),
  Operator("ConvTranspose", mapConvTranspose),
]

/// The attributes that windows over images have in common, for the axes of a signal, an image or a volume.
struct WindowAttributes {
  var kernel: [Int]
  var stride: [Int]
  var dilation: [Int]
  /// Before and behind, for each axis.
  var padding: [(before: Int, after: Int)]

  /// - Parameters:
  ///   - kernel: the size of the weight's windows, if there is a weight.
  ///   - axes: how many spatial axes there may be.
  init(_ node: ONNXNode, x: Value, kernel known: [Int]? = nil, axes allowed: ClosedRange<Int> = 1...2) throws {
    let axes = x.rank - 2
    guard allowed.contains(axes) else {
      throw node.unsupported("x", expected: "one or two spatial axes", found: "\(max(axes, 0))")
    }
    func numbers(_ name: String, _ count: Int, default value: Int) throws -> [Int] {
      let numbers = try node.ints(name) ?? [Int](repeating: value, count: count)
      guard numbers.count == count, numbers.allSatisfy({ $0.magnitude < 1 << 31 }) else {
        throw node.invalid(name, expected: "\(count) sensible numbers", found: numbers)
      }
      return numbers
    }
    let stated = try node.ints("kernel_shape")
    guard let kernel = known ?? stated, kernel.count == axes, known == nil || stated == nil || stated == known else {
      throw node.invalid("kernel_shape", expected: "\(known.map { "\($0)" } ?? "\(axes) numbers")", found: stated ?? [])
    }
    guard kernel.allSatisfy({ $0.magnitude < 1 << 31 }) else {
      throw node.invalid("kernel_shape", expected: "sensible numbers", found: kernel)
    }
    self.kernel = kernel
    stride = try numbers("strides", axes, default: 1)
    dilation = try numbers("dilations", axes, default: 1)
    guard (stride + dilation + kernel).allSatisfy({ $0 > 0 }) else {
      throw node.invalid("strides", expected: "strides, dilations and kernel above 0", found: "\(stride), \(dilation)")
    }
    let pads = try numbers("pads", 2 * axes, default: 0)
    padding = (0..<axes).map { (pads[$0], pads[$0 + axes]) }
    if padding.contains(where: { $0.before < 0 || $0.after < 0 }) {
      throw node.unsupported("pads", expected: "0 or more", found: pads)
    }
  }

  /// The attribute `auto_pad` as padding. (SAME: as many windows as strides fit into the input.)
  mutating func pad(_ node: ONNXNode, _ x: Value) throws {
    let mode = try node.string("auto_pad", default: "NOTSET")
    switch mode {
    case "NOTSET": return
    case "VALID": padding = padding.map { _ in (0, 0) }
    case "SAME_UPPER", "SAME_LOWER":
      for axis in padding.indices {
        let reach = (kernel[axis] - 1) * dilation[axis] + 1
        guard let size = x.shape[axis + 2].size else {
          // One window at every place, whatever the size is.
          guard stride[axis] == 1 else {
            throw node.unsupported("x", expected: "fixed sizes for auto_pad", found: x.type)
          }
          padding[axis] = Self.halves(reach - 1, mode)
          continue
        }
        let count = (size + stride[axis] - 1) / stride[axis]
        padding[axis] = Self.halves(max((count - 1) * stride[axis] + reach - size, 0), mode)
      }
    default: throw node.invalid("auto_pad", expected: "NOTSET, VALID, SAME_UPPER or SAME_LOWER", found: mode)
    }
  }

  private static func halves(_ total: Int, _ mode: String) -> (before: Int, after: Int) {
    mode == "SAME_UPPER" ? (total / 2, total - total / 2) : (total - total / 2, total / 2)
  }

  /// Of the last two axes of a volume.
  var ofPlanes: WindowAttributes {
    var planes = self
    planes.kernel.removeFirst()
    planes.stride.removeFirst()
    planes.dilation.removeFirst()
    planes.padding.removeFirst()
    return planes
  }

  private func both(_ numbers: [Int], one: Int = 1) -> Size2D {
    numbers.count == 1 ? Size2D(one, numbers[0]) : Size2D(numbers[0], numbers[1])
  }

  var kernel2D: Size2D { both(kernel) }
  var stride2D: Size2D { both(stride) }
  var dilation2D: Size2D { both(dilation) }
  var padding2D: Padding2D {
    let (height, width) = (padding.count == 1 ? (0, 0) : padding[0], padding[padding.count - 1])
    return Padding2D(top: height.0, left: width.before, bottom: height.1, right: width.after)
  }
}

private func weightKernel(_ node: ONNXNode, _ x: Value, _ weight: Value) throws -> [Int] {
  guard let shape = weight.type.fixedShape, shape.count == x.rank, shape.count > 2 else {
    throw node.unsupported("weight", expected: "a fixed shape of the rank of \(x.type)", found: weight.type)
  }
  return Array(shape[2...])
}

@Sendable private func mapConv(_ node: ONNXNode) throws -> [Value] {
  [try conv(node, node.input(0), node.input(1), node.optionalInput(2))]
}

func conv(_ node: ONNXNode, _ x: Value, _ weight: Value, _ bias: Value?) throws -> Value {
  if x.rank == 5 { return try volumeConvolution(node, x, weight, bias) }
  var window = try WindowAttributes(node, x: x, kernel: weightKernel(node, x, weight))
  try window.pad(node, x)
  let groups = try node.int("group", default: 1)
  if try isPointwise(window, groups), x.rank == 3, x.shape[2].size == nil {
    // A signal of unknown length: every element by itself is a linear layer.
    let rows = try node.apply(.transpose(Op.Transpose([0, 2, 1])), x)
    let matrix = try node.apply(.squeeze(Op.Squeeze([2])), weight)
    let product = try node.apply(.linear(Op.Linear()), rows, matrix, bias)
    return try node.apply(.transpose(Op.Transpose([0, 2, 1])), product)
  }
  let op = Op.Convolution(
    stride: window.stride2D, padding: window.padding2D, dilation: window.dilation2D, groups: groups)
  return try node.apply(.conv(op), x, weight, bias)
}

private func isPointwise(_ window: WindowAttributes, _ groups: Int) throws -> Bool {
  groups == 1 && window.kernel.allSatisfy { $0 == 1 } && window.stride.allSatisfy { $0 == 1 }
    && window.padding2D.isZero
}

@Sendable private func mapConvTranspose(_ node: ONNXNode) throws -> [Value] {
  let (x, weight) = (try node.input(0), try node.input(1))
  var window = try WindowAttributes(node, x: x, kernel: weightKernel(node, x, weight))
  let axes = window.kernel.count
  var extra = try node.ints("output_padding") ?? [Int](repeating: 0, count: axes)
  var wanted = try node.ints("output_shape")
  // Some writers give the whole shape.
  if let shape = wanted, shape.count == axes + 2 { wanted = Array(shape[2...]) }
  guard extra.count == axes, wanted?.count ?? axes == axes,
    (extra + (wanted ?? [])).allSatisfy({ $0.magnitude < 1 << 31 })
  else {
    throw node.invalid("output_padding", expected: "\(axes) sensible numbers", found: extra)
  }
  let mode = try node.string("auto_pad", default: "NOTSET")
  if mode == "VALID" { window.padding = window.padding.map { _ in (0, 0) } }
  if wanted != nil || mode.hasPrefix("SAME") {
    for axis in 0..<axes {
      guard let size = x.shape[axis + 2].size, size < 1 << 31 else {
        throw node.unsupported("x", expected: "fixed sizes for output_shape and auto_pad", found: x.type)
      }
      let target = wanted?[axis] ?? size * window.stride[axis]
      let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
      let total = window.stride[axis] * (size - 1) + extra[axis] + reach - target
      // Less than nothing to cut off: rows that no element reaches.
      if total < 0 { extra[axis] -= total }
      let cut = max(total, 0)
      window.padding[axis] = mode == "SAME_UPPER" ? (cut / 2, cut - cut / 2) : (cut - cut / 2, cut / 2)
    }
  }
  let op = Op.ConvTranspose(
    stride: window.stride2D, padding: window.padding2D,
    outputPadding: axes == 1 ? Size2D(0, extra[0]) : Size2D(extra[0], extra[1]), dilation: window.dilation2D,
    groups: try node.int("group", default: 1))
  return [try node.apply(.convTranspose(op), x, weight, node.optionalInput(2))]
}
