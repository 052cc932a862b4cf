/// How integers stand for real numbers: `real = scale · (q − zeroPoint)`.
///
/// Per tensor there is one scale; per channel there is one for every index of `axis`; per block one for every
/// `blockSize` consecutive indices along `axis`, for each position of the other axes.
public struct QuantizationParameters: Hashable, Sendable, Codable {
  /// Real units per step, all above zero.
  public let scales: [Float]
  /// The integer that stands for real 0, one for each scale.
  public let zeroPoints: [Int]
  /// The type of the integers.
  public let dtype: DType
  /// The smallest and the largest integer in use.
  public let range: ClosedRange<Int>
  /// The axis along which scales differ; `nil`: one scale for the whole tensor.
  public let axis: Int?
  /// The number of consecutive indices along `axis` that share a scale; `nil`: each index has its own.
  public let blockSize: Int?

  /// - Throws: `OctetError` (`invalidArgument`) unless there is one finite positive scale and one zero point within the
  ///   range for each channel, and the range is one of `dtype`.
  public init(
    scales: [Float], zeroPoints: [Int], dtype: DType, range: ClosedRange<Int>? = nil, axis: Int? = nil,
    blockSize: Int? = nil
  ) throws {
    func invalid(_ expected: String, _ found: String) -> OctetError {
      OctetError(.invalidArgument, "quantization parameters", expected: expected, found: found)
    }
    guard let whole = dtype.quantizedRange else { throw invalid("an integer type of 4, 8 or 16 bits", dtype.rawValue) }
    let range = range ?? whole
    guard whole.contains(range.lowerBound), whole.contains(range.upperBound), range.lowerBound < range.upperBound else {
      throw invalid("a range within \(whole)", "\(range)")
    }
    guard !scales.isEmpty, scales.count == zeroPoints.count, axis != nil || scales.count == 1 else {
      throw invalid(
        axis == nil ? "one scale and one zero point" : "as many scales as zero points",
        "\(scales.count) scales, \(zeroPoints.count) zero points")
    }
    if let scale = scales.first(where: { !($0 > 0 && $0.isFinite) }) {
      throw invalid("finite scales above 0", "\(scale)")
    }
    if let zero = zeroPoints.first(where: { !range.contains($0) }) {
      throw invalid("zero points within \(range)", "\(zero)")
    }
    if let blockSize, blockSize < 1 || axis == nil {
      throw invalid("blocks of 1 or more along an axis", "\(blockSize)")
    }
    self.scales = scales
    self.zeroPoints = zeroPoints
    self.dtype = dtype
    self.range = range
    self.axis = axis
    self.blockSize = blockSize
  }

  public init(scale: Float, zeroPoint: Int, dtype: DType, range: ClosedRange<Int>? = nil) throws {
    try self.init(scales: [scale], zeroPoints: [zeroPoint], dtype: dtype, range: range)
  }

  // Decoding checks what the initializer checks, so that a damaged file cannot make impossible parameters.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let bounds = try values.decode([Int].self, forKey: .range)
    guard bounds.count == 2, bounds[0] <= bounds[1] else {
      throw OctetError(.invalidArgument, "range", expected: "two ascending numbers", found: "\(bounds)")
    }
    try self.init(
      scales: values.decode([Float].self, forKey: .scales), zeroPoints: values.decode([Int].self, forKey: .zeroPoints),
      dtype: values.decode(DType.self, forKey: .dtype), range: bounds[0]...bounds[1],
      axis: values.decodeIfPresent(Int.self, forKey: .axis),
      blockSize: values.decodeIfPresent(Int.self, forKey: .blockSize))
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(scales, forKey: .scales)
    try values.encode(zeroPoints, forKey: .zeroPoints)
    try values.encode(dtype, forKey: .dtype)
    try values.encode([range.lowerBound, range.upperBound], forKey: .range)
    try values.encodeIfPresent(axis, forKey: .axis)
    try values.encodeIfPresent(blockSize, forKey: .blockSize)
  }

  private enum CodingKeys: CodingKey {
    case scales, zeroPoints, dtype, range, axis, blockSize
  }

  public var isPerTensor: Bool { axis == nil }

  /// Whether all zero points are 0, as symmetric signed parameters have it.
  public var hasZeroZeroPoints: Bool { zeroPoints.allSatisfy { $0 == 0 } }

  /// The parameters of these channels, in this order, as they stand along `axis` of another tensor. One scale for a whole
  /// tensor stays that; there are no blocks.
  package func selecting(_ channels: [Int], axis: Int) throws -> QuantizationParameters {
    precondition(blockSize == nil, "blocks have no channels of their own")
    if isPerTensor { return self }
    return try QuantizationParameters(
      scales: channels.map { scales[$0] }, zeroPoints: channels.map { zeroPoints[$0] }, dtype: dtype, range: range,
      axis: axis)
  }

  /// Checks that a tensor of this shape can be quantized with these parameters.
  func check(_ type: TensorType) throws {
    guard let axis else { return }
    let counted = try type.axis(axis)
    guard let shape = type.fixedShape else {
      guard blockSize == nil, type.shape[counted].size == scales.count else {
        throw OctetError(
          .shapeMismatch, "scales", expected: "one for each index of axis \(axis) of \(type)", found: "\(scales.count)")
      }
      return
    }
    let expected =
      blockSize.map { elementCount(of: shape) / max(shape[counted], 1) * blockCount(of: shape[counted], size: $0) }
      ?? shape[counted]
    guard expected == scales.count else {
      throw OctetError(
        .shapeMismatch, "scales", expected: "\(expected) for axis \(axis) of \(type)", found: "\(scales.count)")
    }
  }

  // ⌈length / size⌉, for any size.
  private func blockCount(of length: Int, size: Int) -> Int { length == 0 ? 0 : (length - 1) / size + 1 }

  /// Calls `body` for each stretch of consecutive elements that share a scale: (range of elements, index of the scale).
  package func forEachRun(of shape: [Int], _ body: (Range<Int>, Int) -> Void) {
    let count = elementCount(of: shape)
    guard count > 0 else { return }
    guard let axis else { return body(0..<count, 0) }
    let counted = axis < 0 ? axis + shape.count : axis
    let inner = elementCount(of: Array(shape[(counted + 1)...]))
    let size = shape[counted]
    guard let blockSize else {
      for row in 0..<count / inner { body(row * inner..<(row + 1) * inner, row % size) }
      return
    }
    // Scales have the tensor's shape with `axis` counted in blocks.
    let blocks = blockCount(of: size, size: blockSize)
    if inner == 1 {
      for outer in 0..<count / size {
        for block in 0..<blocks {
          let end = min((block + 1) * blockSize, size)
          body(outer * size + block * blockSize..<outer * size + end, outer * blocks + block)
        }
      }
      return
    }
    for row in 0..<count / inner {
      let (outer, index) = (row / size, row % size)
      for column in 0..<inner {
        let element = row * inner + column
        body(element..<element + 1, (outer * blocks + index / blockSize) * inner + column)
      }
    }
  }
}

extension QuantizationParameters: CustomStringConvertible {
  public var description: String {
    let type = "\(dtype.rawValue) \(range.lowerBound)…\(range.upperBound)"
    if axis == nil { return "scale \(scales[0]), zero point \(zeroPoints[0]), \(type)" }
    let kind = blockSize.map { "blocks of \($0) along axis \(axis!)" } ?? "\(scales.count) channels of axis \(axis!)"
    return "scales \(scales.min()!)…\(scales.max()!), \(kind), \(type)"
  }
}
