import OctetCore

let resizeOperators = [
  // Always asymmetric coordinates, rounded down.
  Operator("Upsample", since: 7) { node in
    guard let scales = try node.floats("scales") else {
      throw node.invalid("scales", expected: "numbers", found: "none")
    }
    return [try upsample(node, scales)]
  },
  Operator("Upsample", since: 9) { node in
    [try upsample(node, node.constant(node.input(1), "scales").numbers("scales"))]
  },
  Operator("Resize", since: 10) { node in
    [try upsample(node, node.constant(node.input(1), "scales").numbers("scales"))]
  },
  Operator("Resize", since: 11, mapResize),
]

private func upsample(_ node: ONNXNode, _ scales: [Float]) throws -> Value {
  let mode = try node.string("mode", default: "nearest")
  return try resize(
    node, axes: Array(0..<scales.count), .scales(scales), try resizeMode(node, mode, rounding: .floor), .asymmetric)
}

private func resizeMode(_ node: ONNXNode, _ mode: String, rounding: Op.Resize.Rounding) throws -> Op.Resize.Mode {
  switch mode {
  case "nearest": return .nearest(rounding)
  case "linear", "bilinear": return .linear
  default: throw node.unsupported("mode", expected: "nearest, linear or cubic", found: mode)
  }
}

@Sendable private func mapResize(_ node: ONNXNode) throws -> [Value] {
  let x = try node.input(0)
  let modes: [String: Op.Resize.Rounding] = [
    "round_prefer_floor": .roundPreferFloor, "round_prefer_ceil": .roundPreferCeil, "floor": .floor, "ceil": .ceil,
  ]
  let nearest = try node.string("nearest_mode", default: "round_prefer_floor")
  guard let rounding = modes[nearest] else {
    throw node.unsupported("nearest_mode", expected: modes.keys.sorted().joined(separator: ", "), found: nearest)
  }
  let places: [String: Op.Resize.Coordinates] = [
    "half_pixel": .halfPixel, "pytorch_half_pixel": .pytorchHalfPixel, "asymmetric": .asymmetric,
    "align_corners": .alignCorners,
  ]
  let place = try node.string("coordinate_transformation_mode", default: "half_pixel")
  guard let coordinates = places[place] else {
    throw node.unsupported(
      "coordinate_transformation_mode", expected: places.keys.sorted().joined(separator: ", "), found: place)
  }
  let axes = try node.ints("axes")?.map { try node.axis($0, rank: x.rank) } ?? Array(0..<x.rank)
  let stated = try node.string("mode", default: "nearest")
  let isAntialiased = try node.int("antialias", default: 0) != 0 && stated != "nearest"
  let filter = stated == "cubic" || isAntialiased ? try ResizeFilter(node, isAntialiased: isAntialiased) : nil
  let mode = try resizeMode(node, filter == nil ? stated : "linear", rounding: rounding)
  // One of scales and sizes; the other is left out, or empty.
  if let operand = node.optionalInput(2) {
    let scales = try node.constant(operand, "scales").numbers("scales")
    if !scales.isEmpty { return [try resize(node, axes: axes, .scales(scales), mode, coordinates, filter)] }
  }
  let wanted = try node.sizes(node.input(3), "sizes")
  guard wanted.count == axes.count else {
    throw node.invalid("sizes", expected: "\(axes.count) numbers", found: wanted)
  }
  // A size that is known only when the graph runs must be that of x, which is said by −1 from here on.
  var sizes = try zip(wanted, axes).map { size, axis -> Int in
    if let number = size.size { return number }
    guard size == x.shape[axis] else {
      throw node.unsupported("sizes", expected: "\(x.shape[axis]) for axis \(axis)", found: size)
    }
    return -1
  }
  let policy = try node.string("keep_aspect_ratio_policy", default: "stretch")
  if policy != "stretch" {
    guard sizes.count == axes.count, policy == "not_larger" || policy == "not_smaller" else {
      throw node.invalid("keep_aspect_ratio_policy", expected: "stretch, not_larger or not_smaller", found: policy)
    }
    let lengths = try axes.map { axis -> Double in
      guard let size = x.shape[axis].size else { throw node.unsupported("x", expected: "fixed sizes", found: x.type) }
      return Double(size)
    }
    let ratios = zip(sizes, lengths).map { Double($0) / $1 }
    let ratio = (policy == "not_larger" ? ratios.min() : ratios.max()) ?? 1
    let results = lengths.map { ($0 * ratio).rounded() }
    guard results.allSatisfy({ $0 > 0 && $0 < 0x1p31 }) else {
      throw node.invalid("sizes", expected: "numbers that give sensible sizes", found: sizes)
    }
    sizes = results.map { Int($0) }
  }
  return [try resize(node, axes: axes, .sizes(sizes), mode, coordinates, filter)]
}

/// Resizes along the axes behind the channels; nothing may change along others.
private func resize(
  _ node: ONNXNode, axes: [Int], _ target: Op.Resize.Target, _ mode: Op.Resize.Mode,
  _ coordinates: Op.Resize.Coordinates, _ filter: ResizeFilter? = nil
) throws -> Value {
  let x = try node.input(0)
  let spatial = max(x.rank - 2, 0)
  func spread<Number>(_ numbers: [Number], unchanged: (Int) throws -> Number) throws -> [Number] {
    guard numbers.count == axes.count else {
      throw node.invalid("resize", expected: "\(axes.count) sizes or scales", found: numbers)
    }
    return try (0..<x.rank).map { axis in try axes.firstIndex(of: axis).map { numbers[$0] } ?? unchanged(axis) }
  }
  func refuse(_ numbers: Any) -> OctetError {
    node.unsupported("resize", expected: "one or two axes behind the channels, others as they are", found: numbers)
  }
  guard (1...2).contains(spatial) else { throw refuse(x.type) }
  let inner: Op.Resize.Target
  switch target {
  case .scales(let scales):
    let all = try spread(scales) { _ in 1 }
    guard all[..<2].allSatisfy({ $0 == 1 }) else { throw refuse(all) }
    inner = .scales(Array(all[2...]))
  case .sizes(let sizes):
    let all = try spread(sizes) { x.shape[$0].size ?? -1 }
    // Of a size that is not known, the same is asked for as a size that is not known.
    guard (0..<2).allSatisfy({ all[$0] == x.shape[$0].size ?? -1 }) else { throw refuse(all) }
    inner = .sizes(Array(all[2...]))
  }
  let op = Op.Resize(inner, mode: mode, coordinates: coordinates)
  return try filter?.applied(to: x, op, node) ?? node.apply(.resize(op), x)
}
