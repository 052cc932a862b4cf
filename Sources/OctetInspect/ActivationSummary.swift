public import OctetCore
public import OctetGraph

/// A place in a graph where an activation becomes integers.
public struct ActivationSummary: Sendable {
  /// The real value, and the node or input that makes it.
  public let value: String
  public let maker: String
  /// Scale and zero point; `nil` if they are found while the graph runs.
  public let quantization: QuantizationParameters?

  /// The real numbers that the integers can stand for, per tensor.
  public var range: ClosedRange<Float>? {
    guard let quantization, quantization.isPerTensor else { return nil }
    let (scale, zero) = (quantization.scales[0], quantization.zeroPoints[0])
    return scale * Float(quantization.range.lowerBound - zero)...scale * Float(quantization.range.upperBound - zero)
  }
}

extension Graph {
  /// Every place where an activation becomes integers, in order.
  public func activationSummaries() -> [ActivationSummary] {
    let producers = producers
    return nodes.compactMap { node in
      guard let value = node.inputs.first ?? nil, parameters[value] == nil else { return nil }
      let maker = producers[value].map { nodes[$0].name } ?? "input \(value)"
      switch node.op {
      case .quantizeLinear(let payload):
        return ActivationSummary(value: value, maker: maker, quantization: payload.parameters)
      case .dynamicQuantize: return ActivationSummary(value: value, maker: maker, quantization: nil)
      case .recurrent(let payload) where payload.activations != nil:
        return ActivationSummary(value: value, maker: maker, quantization: nil)
      default: return nil
      }
    }
  }
}
