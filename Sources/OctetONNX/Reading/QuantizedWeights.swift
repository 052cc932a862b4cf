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
    guard value.rank == 2, let (op, stored) = dequantizer(of: value) else { return nil }
    let (integers, parameters) = try op.parameters.transposed(stored)
    let swapped = constant(integers, named: name)
    return try emit(.dequantizeLinear(Op.DequantizeLinear(parameters)), [swapped], named: "\(name)/dequantizeLinear")[0]
  }
}
