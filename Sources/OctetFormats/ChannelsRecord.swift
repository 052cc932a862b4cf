import OctetCore

/// Quantization parameters by channel or block in a saved graph: numbers as tensors of the file, four bytes each.
struct ChannelsRecord: Codable {
  let axis: Int
  let blockSize: Int?
  /// The name of a float32 tensor.
  let scales: String
  /// The name of an int32 tensor; `nil`: all zero.
  let zeroPoints: String?

  /// `nil` if the operation has no such parameters. Otherwise they are taken out of it and stored.
  init?(takenFrom op: inout Op, of node: String, storingIn tensors: inout [String: Tensor]) throws {
    guard let parameters = op.quantizationParameters, let axis = parameters.axis else { return nil }
    self.axis = axis
    blockSize = parameters.blockSize
    func store(_ tensor: Tensor, _ suffix: String) -> String {
      var name = "\(node).\(suffix)"
      while tensors[name] != nil { name += "_" }
      tensors[name] = tensor
      return name
    }
    let count = parameters.scales.count
    scales = store(try Tensor(parameters.scales, shape: [count]), "scales")
    zeroPoints =
      parameters.hasZeroZeroPoints
      ? nil : store(try Tensor(parameters.zeroPoints.map { Int32($0) }, shape: [count]), "zero_points")
    op = op.with(
      try QuantizationParameters(
        scale: parameters.scales[0], zeroPoint: parameters.zeroPoints[0], dtype: parameters.dtype,
        range: parameters.range))
  }

  /// The operation with the parameters that were taken out of it.
  func op(_ op: Op, _ tensors: [String: Tensor]) throws -> Op {
    guard let first = op.quantizationParameters else {
      throw OctetError(.invalidFile, "channels", expected: "an operation that quantizes", found: op.kind.rawValue)
    }
    func stored<T: TensorScalar>(_ name: String, as type: T.Type) throws -> [T] {
      guard let tensor = tensors[name] else {
        throw OctetError(.invalidFile, name, expected: "a tensor of the file", found: "none")
      }
      return try naming(name) { try tensor.scalars(as: type) }
    }
    let scales = try stored(self.scales, as: Float.self)
    let zeroPoints =
      try zeroPoints.map { try stored($0, as: Int32.self).map(Int.init) } ?? [Int](repeating: 0, count: scales.count)
    return op.with(
      try QuantizationParameters(
        scales: scales, zeroPoints: zeroPoints, dtype: first.dtype, range: first.range, axis: axis,
        blockSize: blockSize))
  }
}

extension Op {
  fileprivate var quantizationParameters: QuantizationParameters? {
    if case .quantizeLinear(let payload) = self { return payload.parameters }
    if case .dequantizeLinear(let payload) = self { return payload.parameters }
    return nil
  }

  fileprivate func with(_ parameters: QuantizationParameters) -> Op {
    if case .quantizeLinear = self { return .quantizeLinear(QuantizeLinear(parameters)) }
    return .dequantizeLinear(DequantizeLinear(parameters))
  }
}
