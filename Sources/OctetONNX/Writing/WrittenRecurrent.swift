import OctetCore
import OctetGraph

extension NodeWriter {
  /// One direction of ONNX's LSTM or GRU. Its gates stand in another order (i, o, f, g; z, r, n), its operands have
  /// an axis for the directions.
  ///
  /// A layer that quantizes its operands while it runs becomes ONNX Runtime's DynamicQuantizeLSTM where that means the
  /// same, and an LSTM or GRU with an entry that says so otherwise.
  func recurrent(_ op: Op.Recurrent) throws -> [String] {
    typealias Place = Op.Recurrent.Place
    guard value(Place.projection) == nil || op.kind == .gru else {
      throw unsupported("projection", expected: "none", found: "one")
    }
    guard let rows = type(Place.weightInput).shape[0].size else {
      throw unsupported("weight", expected: "a fixed shape", found: type(Place.weightInput))
    }
    let hidden = rows / op.kind.gates
    let gates = op.kind == .lstm ? [0, 3, 1, 2] : [1, 0, 2]
    let order = gates.flatMap { gate in gate * hidden..<(gate + 1) * hidden }
    func optional(_ place: Int) throws -> String {
      guard value(place) != nil else { return "" }
      return helper("Unsqueeze", [try input(place), try integers([0], "axis")])
    }
    var attributes = [
      Attribute.int("hidden_size", hidden), Attribute.string("direction", op.isReversed ? "reverse" : "forward"),
    ]
    if op.kind == .gru { attributes.append(Attribute.flag("linear_before_reset", op.linearBeforeReset)) }
    let results: [String]
    if let weights = dynamicWeights(op) {
      let parts = try weights.map { try transposed($0, order) }
      let operands = [try bothBiases(order), try lengths(), try optional(Place.state), try optional(Place.cell), ""]
      results = emit(
        "DynamicQuantizeLSTM", [try input(Place.x)] + parts.map(\.integers) + operands + parts.flatMap(\.parameters),
        attributes, outputs: node.outputs.count, domain: "com.microsoft")
    } else {
      let weights = [try weight(Place.weightInput, order), try weight(Place.weightState, order)]
      let bias = try bothBiases(order)
      let states = [try optional(Place.state), try op.kind == .lstm ? optional(Place.cell) : ""]
      results = emit(
        op.kind == .lstm ? "LSTM" : "GRU", [try input(Place.x)] + weights + [bias, try lengths()] + states, attributes,
        outputs: node.outputs.count,
        metadata: op.activations.map { [Op.DynamicQuantize.fileKey: $0.fileForm] } ?? [:])
    }
    return try results.enumerated().map { index, result in
      guard isUsed(index) else { return "" }
      return emit("Squeeze", [result, try integers([index == 0 ? 1 : 0], "axis")])
    }
  }

  /// How long each sequence is, in int32.
  private func lengths() throws -> String {
    guard value(Op.Recurrent.Place.lengths) != nil else { return "" }
    let lengths = try input(Op.Recurrent.Place.lengths)
    guard type(Op.Recurrent.Place.lengths).dtype == .int64 else { return lengths }
    return helper("Cast", [lengths], [Attribute.int("to", ElementType.int32.rawValue)])
  }

  /// The weights of the input and of the state, if DynamicQuantizeLSTM takes them: bytes around 0.
  private func dynamicWeights(_ op: Op.Recurrent) -> [GraphWriter.QuantizedWeight]? {
    typealias Place = Op.Recurrent.Place
    guard op.kind == .lstm, op.activations == Op.DynamicQuantize() else { return nil }
    let weights = [Place.weightInput, Place.weightState].compactMap { writer.quantizedWeight(value($0)!) }
    let areBytes = weights.allSatisfy { weight in
      weight.parameters.dtype == .int8 && weight.parameters.hasZeroZeroPoints && weight.parameters.blockSize == nil
        && (weight.parameters.isPerTensor || [0, -2].contains(weight.parameters.axis))
    }
    return weights.count == 2 && areBytes ? weights : nil
  }

  /// A weight as DynamicQuantizeLSTM has it: [1, columns, rows], with a scale for the direction or for each row.
  private func transposed(
    _ weight: GraphWriter.QuantizedWeight, _ order: [Int]
  ) throws -> (integers: String, parameters: [String]) {
    let rows = try reordered(weight.integers, order, isMatrix: true)
    let integers = try apply(.transpose(Op.Transpose([0, 2, 1])), [rows])[0]
    let scales = try weight.parameters.selecting(order, axis: 2).scales
    let shape = weight.parameters.isPerTensor ? [1] : [1, scales.count]
    return (
      try writer.constant(integers, named: "\(weight.name)_W"),
      [
        try writer.constant(Tensor(scales, shape: shape), named: "\(weight.name)_scale"),
        try writer.constant(
          Tensor([Int8](repeating: 0, count: scales.count), shape: shape), named: "\(weight.name)_zero_point"),
      ]
    )
  }

  /// A weight with its rows in ONNX's order, and an axis of size 1 before them.
  private func weight(_ place: Int, _ order: [Int]) throws -> String {
    let name = value(place)!
    if let weight = parameter(place) {
      return try writer.constant(reordered(weight, order, isMatrix: true), named: "\(name)_W")
    }
    guard let weight = writer.quantizedWeight(name), weight.parameters.blockSize == nil,
      weight.parameters.dtype.bitWidth >= 8, weight.parameters.axis.map({ $0 == 0 || $0 == -2 }) ?? true
    else {
      let rows = helper("Gather", [try input(place), try integers(order, "order")])
      return helper("Unsqueeze", [rows, try integers([0], "axis")])
    }
    let parameters = try weight.parameters.selecting(order, axis: 1)
    let stored = try writer.constant(reordered(weight.integers, order, isMatrix: true), named: "\(weight.name)_W")
    return try NodeWriter(node: writer.producer(of: name)!, writer: writer)
      .dequantized(stored, parameters, shape: [1] + type(place).shape, named: weight.name)
  }

  /// The biases of the input and of the state one after another; zeros for one that is missing.
  private func bothBiases(_ order: [Int]) throws -> String {
    typealias Place = Op.Recurrent.Place
    let places = [Place.biasInput, Place.biasState]
    guard places.contains(where: { value($0) != nil }) else { return "" }
    if places.allSatisfy({ value($0) == nil || parameter($0) != nil }) {
      let parts = try places.map { place in
        try parameter(place).map { try reordered($0, order, isMatrix: false) } ?? Tensor(zeros: [order.count])
      }
      let both = try apply(.concat(Op.Concat(axis: 0)), parts)[0]
      return try writer.constant(
        apply(.unsqueeze(Op.Unsqueeze([0])), [both])[0], named: "\(value(Place.biasInput) ?? node.name)_B")
    }
    let parts = try places.map { place in
      guard value(place) != nil else {
        return try constant([Float](repeating: 0, count: order.count), shape: [order.count], "bias")
      }
      return helper("Gather", [try input(place), try integers(order, "order")])
    }
    return helper("Unsqueeze", [helper("Concat", parts, [Attribute.int("axis", 0)]), try integers([0], "axis")])
  }

  private func reordered(_ tensor: Tensor, _ order: [Int], isMatrix: Bool) throws -> Tensor {
    let indices = try Tensor(order.map { Int64($0) }, shape: [order.count])
    let rows = try apply(.gather(Op.Gather()), [tensor, indices])[0]
    return isMatrix ? try apply(.unsqueeze(Op.Unsqueeze([0])), [rows])[0] : rows
  }
}
