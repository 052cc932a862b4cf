import OctetCore
import OctetGraph

// What is quantized while it runs.
extension Lowering {
  mutating func lowerDynamicQuantize(_ node: Node, _ payload: Op.DynamicQuantize) throws {
    let (from, value) = (node.inputs[0]!, node.outputs[0])
    if try constant(from) != nil { return try lowerReference(node) }
    let slot = try realSlot(from, .rowMajor, node.name)
    let to = newSlot(value, .uint8, .rowMajor, dynamic: payload)
    steps.append(DynamicQuantizeStep(name: node.name, inputs: [slot], output: to))
    views[value] = .dynamic(to)
  }

  /// The packed weight [n, k] of a product of rows, or some of its rows, if it is in integers that the kernels take.
  func integerWeights(_ value: String, bias: Tensor?, rows: Range<Int>? = nil) throws -> ConvolutionWeights? {
    guard case .dequantizedConstant(let weight, let parameters) = views[value]!,
      parameters.integerWeightObstacle(shape: weight.shape) == nil
    else { return nil }
    let scales = parameters.isPerTensor ? parameters.scales : Array(parameters.scales[rows ?? 0..<weight.shape[0]])
    return try ConvolutionWeights(
      weight: asConvolution(weight.rows(rows), .rowMajor), scales: scales, bias: bias?.rows(rows), Op.Convolution(),
      allowsDepthwise: false)
  }

  mutating func lowerRecurrent(_ node: Node, _ payload: Op.Recurrent) throws {
    typealias Place = Op.Recurrent.Place
    func value(_ place: Int) -> String? { place < node.inputs.count ? node.inputs[place] : nil }
    let places = [Place.biasInput, Place.biasState, Place.weightInput, Place.weightState, Place.projection]
    let constants = try places.map { try constant(value($0)) }
    let isKnown = zip(places, constants).allSatisfy { value($0) == nil || $1 != nil }
    guard isKnown, try constant(value(Place.x)) == nil else { return try lowerReference(node) }

    // In integers if all weights are, and activations are to be quantized; in float if none are.
    func weights(_ place: Int, _ real: Tensor?, bias: Tensor?, rows: Range<Int>? = nil) throws -> ConvolutionWeights? {
      guard let name = value(place), let real else { return nil }
      if payload.activations != nil { return try integerWeights(name, bias: bias, rows: rows) }
      return try ConvolutionWeights(
        weight: asConvolution(real.rows(rows), .rowMajor), bias: bias?.rows(rows), Op.Convolution())
    }
    let hidden = graph.types[value(Place.weightInput)!]!.shape[0].size! / payload.kind.gates
    let separate = payload.separateRows(hidden: hidden)
    guard let input = try weights(Place.weightInput, constants[2], bias: constants[0]),
      let state = try weights(Place.weightState, constants[3], bias: constants[1], rows: separate?.gates)
    else { return try lowerReference(node) }
    let projection = try weights(Place.projection, constants[4], bias: nil)
    if value(Place.projection) != nil, projection == nil { return try lowerReference(node) }
    let fresh = try separate.flatMap {
      try weights(Place.weightState, constants[3], bias: constants[1], rows: $0.fresh)
    }

    func slot(_ place: Int) throws -> Int? {
      guard let value = value(place) else { return nil }
      guard let tensor = try constant(value) else { return try realSlot(value, .rowMajor, node.name) }
      let slot = newSlot(value, tensor.dtype, .rowMajor)
      steps.append(ConstantStep(name: node.name, tensor: tensor, output: slot))
      return slot
    }
    let x = try realSlot(value(Place.x)!, .rowMajor, node.name)
    let (start, startCell, lengths) = (try slot(Place.state), try slot(Place.cell), try slot(Place.lengths))
    let outputs = node.outputs.map { newSlot($0, .float32, .rowMajor) }
    steps.append(
      RecurrentStep(
        name: node.name, attributes: payload, x: x, start: start, startCell: startCell, lengths: lengths,
        outputs: outputs, weightInput: input, weightState: state, weightFresh: fresh, projection: projection))
    if payload.activations != nil { integerNodes.append(node.name) }
    for (value, slot) in zip(node.outputs, outputs) { views[value] = .float(slot) }
  }
}

extension Tensor {
  /// Some of the rows; `nil`: all of them.
  fileprivate func rows(_ rows: Range<Int>?) throws -> Tensor {
    try rows.map { try slice(axis: 0, from: $0.lowerBound, to: $0.upperBound) } ?? self
  }
}
