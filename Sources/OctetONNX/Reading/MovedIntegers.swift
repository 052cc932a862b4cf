import OctetCore

// Quantizers that keep activations in integers move those about as they are: MaxPool, Reshape, Concat of uint8 between
// QLinearConv and QLinearConv. Here everything quantized is kept as dequantize → operation → quantize, and so is that: what
// only moves or selects gives the same integers either way.
extension GraphBuilder {
  /// How integers were quantized, if the graph makes them by quantizing with one scale.
  func quantization(of integers: Value) -> QuantizationParameters? {
    guard let maker = maker(of: integers.name), case .quantizeLinear(let op) = maker.op, op.parameters.isPerTensor
    else {
      return nil
    }
    return op.parameters
  }

  /// The parameters of the integers that an operation moves; `nil` if it moves none, or not all with the same.
  private func quantization(ofMoved operands: [Value?], by op: Op) -> QuantizationParameters? {
    guard op.moves else { return nil }
    let integers = operands.compactMap { $0 }.filter { isQuantized($0.dtype) }
    guard let parameters = integers.lazy.compactMap(quantization).first else { return nil }
    // What is known may stand for anything.
    let agree = integers.allSatisfy { value in
      value.tensor == nil ? quantization(of: value) == parameters : value.dtype == parameters.dtype
    }
    return agree ? parameters : nil
  }

  private func isQuantized(_ dtype: DType) -> Bool { dtype.quantizedRange != nil }

  /// The results of an operation that moves integers, by way of real numbers; `nil` if it is none.
  func moved(_ op: Op, _ operands: [Value?], named base: String) throws -> [Value]? {
    guard let parameters = quantization(ofMoved: operands, by: op) else { return nil }
    let real = try operands.map { operand in
      guard let operand, isQuantized(operand.dtype) else { return operand }
      return try emit(.dequantizeLinear(Op.DequantizeLinear(parameters)), [operand], named: base)[0]
    }
    return try emit(op, real, named: base).map { result in
      try emit(.quantizeLinear(Op.QuantizeLinear(parameters)), [result], named: base)[0]
    }
  }
}

extension Op {
  /// Whether the elements of the result are elements of the operands. (Resizing between elements rounds to integers.)
  fileprivate var moves: Bool {
    switch self {
    case .reshape, .flatten, .squeeze, .unsqueeze, .transpose, .slice, .split, .gather, .expand, .concat, .where,
      .resize:
      true
    default: false
    }
  }
}
