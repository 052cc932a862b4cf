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

  /// A matrix out of some [matrices, rows, columns] that are dequantized from a constant, with its rows in this order, as
  /// one that is dequantized too; `nil` if they are anything else, or if their scales lie otherwise.
  func quantizedRows(of value: Value, matrix: Int, _ rows: [Int], named name: String) throws -> Value? {
    guard value.rank == 3, let (op, stored) = dequantizer(of: value), matrix < stored.shape[0],
      rows.allSatisfy({ $0 < stored.shape[1] }), stored.dtype.bitWidth >= 8, op.parameters.blockSize == nil,
      op.parameters.isPerTensor || [1, -2].contains(op.parameters.axis)
    else { return nil }
    let indices = try Tensor(rows.map { Int64($0) }, shape: [rows.count])
    let slice = try apply(.slice(Op.Slice(starts: [matrix], ends: [matrix + 1], axes: [0])), [stored])[0]
    let integers = try apply(.gather(Op.Gather()), [apply(.squeeze(Op.Squeeze([0])), [slice])[0], indices])[0]
    return try emit(
      .dequantizeLinear(Op.DequantizeLinear(op.parameters.selecting(rows, axis: 0))), [constant(integers, named: name)],
      named: "\(name)/dequantizeLinear")[0]
  }

  /// The transpose of a matrix that is dequantized from a constant, as one that is dequantized too.
  func swappingQuantizedAxes(of value: Value, named name: String) throws -> Value? {
    guard value.rank == 2, let (op, stored) = dequantizer(of: value) else { return nil }
    let (integers, parameters) = try op.parameters.transposed(stored)
    let swapped = constant(integers, named: name)
    return try emit(.dequantizeLinear(Op.DequantizeLinear(parameters)), [swapped], named: "\(name)/dequantizeLinear")[0]
  }
}
