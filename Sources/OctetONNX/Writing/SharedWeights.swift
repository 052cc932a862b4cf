import OctetCore
import OctetGraph

extension Graph {
  /// The same graph, but int8 weights that several nodes share are uint8 with the zero point 128.
  ///
  /// ONNX Runtime makes such weights itself where it is asked for exact sums on a CPU whose byte products saturate
  /// (`session.x64quantprecision`), one for each use under a name that only one can have.
  func withUnsignedSharedWeights() throws -> Graph {
    var graph = self
    let consumers = consumers
    for name in parameters.keys.sorted() where parameters[name]!.value.dtype == .int8 {
      let users = consumers[name] ?? []
      guard !isOutput(name), users.allSatisfy({ nodes[$0].dequantizesInt8 }) else { continue }
      guard users.flatMap({ consumers[nodes[$0].outputs[0]] ?? [] }).count > 1 else { continue }
      let integers = parameters[name]!.value
      let bytes = try integers.scalars(as: Int8.self).map { UInt8(bitPattern: $0) ^ 128 }
      graph.parameters[name] = Parameter(try Tensor(bytes, shape: integers.shape), isTrainable: false)
      for user in users {
        graph.nodes[user].op = .dequantizeLinear(Op.DequantizeLinear(try nodes[user].unsignedParameters()))
      }
    }
    return try graph.validated()
  }
}

extension Node {
  fileprivate var dequantizesInt8: Bool {
    if case .dequantizeLinear(let op) = op { op.parameters.dtype == .int8 } else { false }
  }

  /// How uint8 stands for what the node dequantizes from int8.
  fileprivate func unsignedParameters() throws -> QuantizationParameters {
    guard case .dequantizeLinear(let op) = op else { preconditionFailure("a node that dequantizes") }
    let old = op.parameters
    return try QuantizationParameters(
      scales: old.scales, zeroPoints: old.zeroPoints.map { $0 + 128 }, dtype: .uint8,
      range: old.range.lowerBound + 128...old.range.upperBound + 128, axis: old.axis, blockSize: old.blockSize)
  }
}
