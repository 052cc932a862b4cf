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

  /// The packed weight [n, k] of a product of rows, if it is in integers that the kernels take.
  func integerWeights(_ value: String, bias: Tensor?) throws -> ConvolutionWeights? {
    guard case .dequantizedConstant(let weight, let parameters) = views[value]!,
      parameters.integerWeightObstacle(shape: weight.shape) == nil
    else { return nil }
    return try ConvolutionWeights(
      weight: asConvolution(weight, .rowMajor), scales: parameters.scales, bias: bias, Op.Convolution(),
      allowsDepthwise: false)
  }

  mutating func lowerRecurrent(_ node: Node, _ payload: Op.Recurrent) throws {
    typealias Place = Op.Recurrent.Place
    func value(_ place: Int) -> String? { place < node.inputs.count ? node.inputs[place] : nil }
    let places = [Place.biasInput, Place.biasState, Place.weightInput, Place.weightState, Place.projection]
    let constants = try places.map { try constant(value($0)) }
    let isKnown = zip(places, constants).allSatisfy { value($0) == nil || $1 != nil }
    guard isKnown, try constant(value(Place.x)) == nil,
      [Place.state, Place.cell].allSatisfy({ value($0).map { graph.parameters[$0] == nil } ?? true })
    else { return try lowerReference(node) }

    // In integers if all weights are, and activations are to be quantized; in float if none are.
    func weights(_ place: Int, _ real: Tensor?, bias: Tensor?) throws -> ConvolutionWeights? {
      guard let name = value(place), let real else { return nil }
      if payload.activations != nil { return try integerWeights(name, bias: bias) }
      return try ConvolutionWeights(weight: asConvolution(real, .rowMajor), bias: bias, Op.Convolution())
    }
    guard let input = try weights(Place.weightInput, constants[2], bias: constants[0]),
      let state = try weights(Place.weightState, constants[3], bias: constants[1])
    else { return try lowerReference(node) }
    let projection = try weights(Place.projection, constants[4], bias: nil)
    if value(Place.projection) != nil, projection == nil { return try lowerReference(node) }

    func slot(_ place: Int) throws -> Int? { try value(place).map { try realSlot($0, .rowMajor, node.name) } }
    let x = try realSlot(value(Place.x)!, .rowMajor, node.name)
    let (start, startCell) = (try slot(Place.state), try slot(Place.cell))
    let outputs = node.outputs.map { newSlot($0, .float32, .rowMajor) }
    steps.append(
      RecurrentStep(
        name: node.name, attributes: payload, x: x, start: start, startCell: startCell, outputs: outputs,
        weightInput: input, weightState: state, projection: projection))
    if payload.activations != nil { integerNodes.append(node.name) }
    for (value, slot) in zip(node.outputs, outputs) { views[value] = .float(slot) }
  }
}
