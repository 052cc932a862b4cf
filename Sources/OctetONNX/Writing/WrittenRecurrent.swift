import OctetCore
import OctetGraph

extension NodeWriter {
  /// One direction of ONNX's LSTM or GRU. Its gates stand in another order (i, o, f, g; z, r, n), its operands have
  /// an axis for the directions.
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
    let weights = [try weight(Place.weightInput, order), try weight(Place.weightState, order)]
    let bias = try bothBiases(order)
    let state = try optional(Place.state)
    let cell = try op.kind == .lstm ? optional(Place.cell) : ""
    var attributes = [
      Attribute.int("hidden_size", hidden), Attribute.string("direction", op.isReversed ? "reverse" : "forward"),
    ]
    if op.kind == .gru { attributes.append(Attribute.int("linear_before_reset", 1)) }
    let results = emit(
      op.kind == .lstm ? "LSTM" : "GRU", [try input(Place.x)] + weights + [bias, "", state, cell], attributes,
      outputs: node.outputs.count)
    return try results.enumerated().map { index, result in
      guard isUsed(index) else { return "" }
      return emit("Squeeze", [result, try integers([index == 0 ? 1 : 0], "axis")])
    }
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
    let old = weight.parameters
    let parameters =
      old.isPerTensor
      ? old
      : try QuantizationParameters(
        scales: order.map { old.scales[$0] }, zeroPoints: order.map { old.zeroPoints[$0] }, dtype: old.dtype,
        range: old.range, axis: 1)
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
