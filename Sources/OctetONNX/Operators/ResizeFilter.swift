import OctetCore

/// Resizing by weights over more than two neighbours (cubic, or widened against aliasing): along each axis a product with a
/// matrix, which has to be known.
struct ResizeFilter {
  private let isCubic: Bool
  private let isAntialiased: Bool
  /// ONNX's `cubic_coeff_a`.
  private let sharpness: Double
  private let excludesOutside: Bool

  init(_ node: ONNXNode, isAntialiased: Bool) throws {
    isCubic = try node.string("mode", default: "nearest") == "cubic"
    self.isAntialiased = isAntialiased
    sharpness = Double(try node.float("cubic_coeff_a", default: -0.75))
    excludesOutside = try node.int("exclude_outside", default: 0) != 0
  }

  func applied(to x: Value, _ op: Op.Resize, _ node: ONNXNode) throws -> Value {
    let resized = try op.outputTypes([x.type])[0].shape
    var result = x
    for axis in 2..<x.rank {
      let stated: Double? = if case .scales(let scales) = op.target { Double(scales[axis - 2]) } else { nil }
      // (With a scale of its own, places move even where the length stays.)
      if resized[axis] == x.shape[axis], stated ?? 1 == 1 { continue }
      guard let from = x.shape[axis].size, let to = resized[axis].size else {
        throw node.unsupported("x", expected: "fixed sizes for this filter", found: x.type)
      }
      _ = try node.listed(from, to)
      let scale = stated ?? Double(to) / Double(from)
      let rows = weights(from: from, to: to, scale: scale, op.coordinates)
      if axis == x.rank - 1 {
        let columns = try Tensor((0..<from * to).map { rows[$0 % to * from + $0 / to] }, shape: [from, to])
        result = try node.apply(.matmul(Op.MatMul()), result, node.constant(columns, "weights"))
      } else {
        let matrix = try Tensor(rows, shape: [to, from])
        result = try node.apply(.matmul(Op.MatMul()), node.constant(matrix, "weights"), result)
      }
    }
    return result
  }

  /// A row of weights for each element of the result.
  private func weights(from: Int, to: Int, scale: Double, _ coordinates: Op.Resize.Coordinates) -> [Float] {
    // A filter that is widened when it shrinks.
    let width = isAntialiased ? min(scale, 1) : 1
    let reach = (isCubic ? 2 : 1) / width
    return (0..<to).flatMap { index -> [Float] in
      let i = Double(index)
      let position =
        switch coordinates {
        case .halfPixel: (i + 0.5) / scale - 0.5
        case .pytorchHalfPixel: to > 1 ? (i + 0.5) / scale - 0.5 : 0
        case .asymmetric: i / scale
        case .alignCorners: to > 1 ? i * Double(from - 1) / Double(to - 1) : 0
        }
      var row = [Double](repeating: 0, count: from)
      for place in Int((position - reach).rounded(.up))...Int((position + reach).rounded(.down)) {
        let weight = kernel((Double(place) - position) * width)
        if (0..<from).contains(place) {
          row[place] += weight
        } else if !excludesOutside {
          row[min(max(place, 0), from - 1)] += weight
        }
      }
      // Weights of a widened filter do not add up to 1 by themselves.
      let sum = excludesOutside || isAntialiased ? row.reduce(0, +) : 1
      return row.map { Float($0 / (sum == 0 ? 1 : sum)) }
    }
  }

  private func kernel(_ distance: Double) -> Double {
    let x = abs(distance)
    guard isCubic else { return max(0, 1 - x) }
    let a = sharpness
    if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
  }
}
