public import OctetCore
public import OctetGraph

/// What a parameter of a graph is like.
public struct ParameterSummary: Sendable {
  public let name: String
  public let type: TensorType
  /// The smallest and the largest element as it is stored; `nil` if there is none, or of float16.
  public let range: ClosedRange<Double>?
  /// How a `dequantizeLinear` reads it, if one does.
  public let quantization: QuantizationParameters?
  /// The nodes that use it: those behind `dequantizeLinear`, in order.
  public let users: [String]
}

extension Graph {
  /// Every parameter, in the order in which nodes use them.
  public func parameterSummaries() -> [ParameterSummary] {
    let consumers = consumers
    var seen: Set<String> = []
    let names = nodes.flatMap { $0.inputs.compactMap { $0 } }.filter {
      parameters[$0] != nil && seen.insert($0).inserted
    }
    return (names + parameters.keys.filter { !seen.contains($0) }.sorted()).map { name in
      var quantization: QuantizationParameters?
      let users = (consumers[name] ?? []).flatMap { index -> [Int] in
        guard case .dequantizeLinear(let payload) = nodes[index].op else { return [index] }
        quantization = payload.parameters
        return nodes[index].outputs.flatMap { consumers[$0] ?? [] }
      }
      let value = parameters[name]!.value
      return ParameterSummary(
        name: name, type: value.type, range: storedRange(of: value), quantization: quantization,
        users: users.map { nodes[$0].name })
    }
  }
}

/// The smallest and the largest number that a tensor holds, NaN left out.
private func storedRange(of tensor: Tensor) -> ClosedRange<Double>? {
  func range<Element: TensorScalar>(_ number: (Element) -> Double) -> ClosedRange<Double>? {
    try? tensor.withUnsafeScalars(as: Element.self) { elements in
      var (low, high) = (Double.infinity, -Double.infinity)
      for element in elements {
        let x = number(element)
        // False for NaN.
        if x < low { low = x }
        if x > high { high = x }
      }
      return low <= high ? low...high : nil
    }
  }
  func nibbles(_ number: (UInt8) -> Double) -> ClosedRange<Double>? {
    let count = elementCount(of: tensor.shape)
    return tensor.withUnsafeBytes { bytes in
      // Two to a byte, the first one low.
      let numbers = (0..<count).map { number($0 % 2 == 0 ? bytes[$0 / 2] & 15 : bytes[$0 / 2] >> 4) }
      return numbers.min().map { $0...numbers.max()! }
    }
  }
  switch tensor.dtype {
  case .float32: return range { (x: Float) in Double(x) }
  case .int64: return range { (x: Int64) in Double(x) }
  case .int32: return range { (x: Int32) in Double(x) }
  case .int16: return range { (x: Int16) in Double(x) }
  case .uint16: return range { (x: UInt16) in Double(x) }
  case .int8: return range { (x: Int8) in Double(x) }
  case .uint8: return range { (x: UInt8) in Double(x) }
  case .bool: return range { (x: Bool) in x ? 1 : 0 }
  case .uint4: return nibbles { Double($0) }
  case .int4: return nibbles { Double($0 < 8 ? Int($0) : Int($0) - 16) }
  case .float16: return nil
  }
}
