import OctetCore
import OctetGraph

extension GraphBuilder {
  /// The node that dequantizes a constant into this value, if there is one.
  private func dequantizer(of value: Value) -> (op: Op.DequantizeLinear, stored: Tensor)? {
    guard let maker = maker(of: value.name), case .dequantizeLinear(let op) = maker.op, let name = maker.inputs[0],
      let stored = parameter(name)
    else { return nil }
    return (op, stored)
  }

  func isDequantizedConstant(_ value: Value) -> Bool { dequantizer(of: value) != nil }

  /// The transpose of a matrix that is dequantized from a constant, as one that is dequantized too.
  func swappingQuantizedAxes(of value: Value, named name: String) throws -> Value? {
    guard value.rank == 2, let (op, stored) = dequantizer(of: value), op.parameters.blockSize == nil,
      stored.dtype.bitWidth >= 8
    else { return nil }
    let old = op.parameters
    let parameters = try QuantizationParameters(
      scales: old.scales, zeroPoints: old.zeroPoints, dtype: old.dtype, range: old.range,
      axis: old.axis.map { 1 - ($0 < 0 ? $0 + 2 : $0) })
    let swapped = try constant(apply(.transpose(Op.Transpose([1, 0])), [stored])[0], named: name)
    return try emit(.dequantizeLinear(Op.DequantizeLinear(parameters)), [swapped], named: "\(name)/dequantizeLinear")[0]
  }
}
