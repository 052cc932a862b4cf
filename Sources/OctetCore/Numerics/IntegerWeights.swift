extension QuantizationParameters {
  /// Sums of more products than this may overflow 32 bits.
  package static let longestIntegerSum = 65_000
  /// The same where both factors are activations.
  package static let longestActivationSum = 16_384

  /// Why no integer kernel takes a weight of this shape [outputs, ...] with these parameters; `nil`: they do.
  ///
  /// What a conversion reports and what an engine does must agree, so both ask here.
  package func integerWeightObstacle(shape: [Int]) -> String? {
    guard dtype == .int8 else { return "its weight is \(dtype.rawValue), not int8" }
    guard hasZeroZeroPoints else { return "its weight has zero points other than 0" }
    guard blockSize == nil else { return "its weight has a scale for each block of \(blockSize!)" }
    guard axis == nil || axis == 0 || axis == -shape.count else {
      return "its weight has a scale for each index of axis \(axis!), not of axis 0"
    }
    guard !shape.contains(0) else { return "its weight is empty" }
    let depth = shape.dropFirst().reduce(1, *)
    return depth <= Self.longestIntegerSum ? nil : "it sums \(depth) products, more than \(Self.longestIntegerSum)"
  }

  /// Why no kernel multiplies float activations by a weight of this shape [n, k] as it was quantized with these
  /// parameters, so that it becomes float32; `nil`: they do.
  package func weightOnlyObstacle(shape: [Int]) -> String? {
    guard [.int8, .uint8, .int4, .uint4].contains(dtype) else { return "its weight is \(dtype.rawValue)" }
    guard shape.count == 2, !shape.contains(0) else { return "its weight is no matrix" }
    guard let axis else { return nil }
    let counted = axis < 0 ? axis + 2 : axis
    guard let blockSize else {
      return counted == 0 ? nil : "its weight has a scale for each index of axis \(axis), not of axis 0"
    }
    guard counted == 1 else { return "its weight has blocks along axis \(axis), not along axis 1" }
    return blockSize % 32 == 0 ? nil : "its weight has blocks of \(blockSize), not of a multiple of 32"
  }
}
