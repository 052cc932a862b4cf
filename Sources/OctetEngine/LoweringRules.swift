import OctetCore
import OctetGraph

// How each kind of node becomes a step.
extension Lowering {
  mutating func lowerLinear(_ node: Node, _ activation: Activation?) throws {
    guard try !lowerWeightOnly(node, activation) else { return }
    try lowerConvolution(node, Op.Convolution(activation: activation), isLinear: true)
  }

  /// A linear layer whose weight alone is quantized, or quantized in a way that no integer step takes.
  ///
  /// - Returns: whether it is one.
  private mutating func lowerWeightOnly(_ node: Node, _ activation: Activation?) throws -> Bool {
    let bias = node.inputs.count > 2 ? node.inputs[2] : nil
    let biasValue = try constant(bias)
    guard let weightName = node.inputs[1], case .dequantizedConstant(let weight, let parameters) = views[weightName]!,
      // Its operand is rounded once more: not one that has been quantized already, if that can be helped.
      parameters.blockSize != nil || parameters.dtype.bitWidth < 8 || !isQuantized(node.inputs[0]!),
      parameters.weightOnlyObstacle(shape: weight.shape) == nil,
      bias == nil || biasValue != nil,
      !isInIntegers(node.inputs[0]!) || parameters.integerWeightObstacle(shape: weight.shape) != nil,
      try constant(node.inputs[0]) == nil
    else { return false }
    let from = try realSlot(node.inputs[0]!, .rowMajor, node.name)
    let to = newSlot(node.outputs[0], .float32, .rowMajor)
    let weights = WeightOnlyWeights(weight, parameters, bias: biasValue)
    steps.append(WeightOnlyStep(name: node.name, inputs: [from], output: to, weights: weights, activation: activation))
    weightOnlyNodes.append(node.name)
    views[node.outputs[0]] = .float(to)
    return true
  }

  /// Whether an activation has been quantized by the graph, whatever engine there is for its integers.
  private func isQuantized(_ value: String) -> Bool {
    switch producers[value].map({ graph.nodes[$0].op.kind }) {
    case .dequantizeLinear, .dynamicQuantize: true
    default: false
    }
  }

  /// Whether an activation is there in integers, with a scale that is known or found while running.
  private func isInIntegers(_ value: String) -> Bool {
    if case .dynamic? = views[value] { true } else { integerSlot(value) != nil }
  }

  mutating func lowerConvolution(_ node: Node, _ attributes: Op.Convolution, isLinear: Bool) throws {
    let value = node.outputs[0]
    let residual = !isLinear && node.inputs.count > 3 ? node.inputs[3] : nil
    let bias = node.inputs.count > 2 ? node.inputs[2] : nil
    let biasValue = try constant(bias)
    guard let weightName = node.inputs[1], isConstant(weightName), bias == nil || biasValue != nil,
      graph.types[weightName]!.fixedShape.map({ !$0.contains(0) }) == true, !isConstant(node.inputs[0]),
      !isConstant(residual)
    else { return try lowerReference(node) }
    if isLinear, case .dynamic(let quantized)? = views[node.inputs[0]!],
      let weights = try integerWeights(weightName, bias: biasValue)
    {
      let to = newSlot(value, .float32, .rowMajor)
      steps.append(
        DynamicLinearStep(
          name: node.name, inputs: [quantized], output: to, weights: weights, activation: attributes.activation))
      integerNodes.append(node.name)
      views[value] = .float(to)
      return
    }
    let result = quantizedResult(of: node)

    if let input = integerSlot(node.inputs[0]), residual == nil || integerSlot(residual) != nil,
      case .dequantizedConstant(let weight, let parameters) = views[weightName]!,
      parameters.integerWeightObstacle(shape: weight.shape) == nil
    {
      integerNodes.append(node.name)
      let layout = isLinear ? linearLayout(input) : .nhwc
      let from = inLayout(input, layout, node.name)
      let residualSlot = residual.flatMap(integerSlot).map { inLayout($0, .nhwc, node.name) }
      let to = newSlot(value, result == nil ? .float32 : .uint8, isLinear ? .rowMajor : .nhwc, result?.quantization)
      let weights = try ConvolutionWeights(
        weight: isLinear ? try asConvolution(weight, layout) : weight, scales: parameters.scales,
        bias: biasValue, attributes, allowsDepthwise: result != nil)
      steps.append(
        ConvolutionStep(
          name: node.name, inputs: [from] + (residualSlot.map { [$0] } ?? []), output: to, weights: weights,
          attributes: attributes, isLinear: isLinear))
      define(value, to, result?.value)
      return
    }
    let input = try realSlot(node.inputs[0]!, nil, node.name)
    let layout = isLinear ? linearLayout(input) : .nhwc
    let from = inLayout(input, layout, node.name)
    let residualSlot = try residual.map { try realSlot($0, .nhwc, node.name) }
    let to = newSlot(value, .float32, isLinear ? .rowMajor : .nhwc)
    let floatWeight = try constant(weightName)!
    let weights = try ConvolutionWeights(
      weight: isLinear ? try asConvolution(floatWeight, layout) : floatWeight, bias: biasValue, attributes)
    steps.append(
      ConvolutionStep(
        name: node.name, inputs: [from] + (residualSlot.map { [$0] } ?? []), output: to, weights: weights,
        attributes: attributes, isLinear: isLinear))
    views[value] = .float(to)
  }

  /// A linear layer takes rows of a flattened image as they lie; its weights are permuted instead.
  func linearLayout(_ slot: Int) -> Layout {
    if case .flattened = slots[slot].layout { slots[slot].layout } else { .rowMajor }
  }

  /// The weight [n, k] of a linear layer as that of a 1×1 convolution, its columns in the order of `layout`.
  func asConvolution(_ weight: Tensor, _ layout: Layout) throws -> Tensor {
    let (n, k) = (weight.shape[0], weight.shape[1])
    guard case .flattened(let channels, let pixels) = layout else { return weight.reinterpreted(as: [n, k, 1, 1]) }
    return try weight.reshape([n, channels, pixels]).transpose([0, 2, 1]).reshape([n, k, 1, 1])
  }

  /// Operations that move or select values: results in integers keep the operands' scale.
  ///
  /// - Parameters:
  ///   - layout: the layout that the step works on; `nil`: NHWC for images, any for others.
  ///   - rescales: whether the step takes operands of another scale than the result's. Averages do, and must: what a mean is
  ///     quantized to may be too narrow for the values that it is of.
  mutating func lowerSelection(
    _ node: Node, layout fixedLayout: Layout? = nil, rescales: Bool = false, _ step: ([Int], Int, Bool) -> any Step
  ) throws {
    let value = node.outputs[0]
    let operands = (node.op.kind == .concat ? node.inputs : Array(node.inputs.prefix(1))).compactMap { $0 }
    guard try operands.allSatisfy({ try constant($0) == nil && graph.types[$0]!.dtype == .float32 }) else {
      return try lowerReference(node)
    }
    // A signal [n, c, l] lies as n · l · c only where a convolution has put it so.
    let isSignal = operands.allSatisfy { rank($0) == 3 } && operands.contains { self.layout(of: $0) == .nhwc }
    let isImage = fixedLayout == nil && (operands.allSatisfy { rank($0) == 4 } || isSignal)
    let layout: Layout? = fixedLayout ?? (isImage ? .nhwc : operands.count > 1 ? .rowMajor : nil)
    // A mean that drops its axes leaves [n, c] in the order of its shape.
    func resultLayout(_ input: Int) -> Layout {
      isImage && rank(value) != rank(operands[0]) ? .rowMajor : slots[input].layout
    }

    let integers = operands.compactMap { integerSlot($0) }
    if integers.count == operands.count, let result = quantizedResult(of: node) {
      let aligned = integers.map { slot -> Int in
        let inPlace = layout.map { inLayout(slot, $0, node.name) } ?? slot
        return rescales || slots[inPlace].quantization == result.quantization
          ? inPlace : requantized(inPlace, result.quantization, node.name)
      }
      let to = newSlot(value, .uint8, resultLayout(aligned[0]), result.quantization)
      steps.append(step(aligned, to, true))
      integerNodes.append(node.name)
      define(value, to, result.value)
    } else {
      let reals = try operands.map { try realSlot($0, layout, node.name) }
      let to = newSlot(value, .float32, resultLayout(reals[0]))
      steps.append(step(reals, to, false))
      views[value] = .float(to)
    }
  }

  /// How a value lies in memory, if it does.
  func layout(of value: String) -> Layout? {
    switch views[value]! {
    case .float(let slot), .quantized(let slot), .dequantized(let slot), .dynamic(let slot): slots[slot].layout
    case .constant, .dequantizedConstant: nil
    }
  }

  mutating func requantized(_ slot: Int, _ quantization: ActivationQuantization, _ name: String) -> Int {
    let new = newSlot(slots[slot].value, .uint8, slots[slot].layout, quantization)
    steps.append(ScaleStep(name: name, inputs: [slot], output: new, kind: .requantize))
    return new
  }

  mutating func lowerBinary(_ node: Node, _ kind: Op.Binary) throws {
    let value = node.outputs[0]
    var (a, b) = (node.inputs[0]!, node.inputs[1]!)
    guard graph.types[value]!.dtype == .float32 else { return try lowerReference(node) }
    for (constant, other, isFirst) in [(a, b, true), (b, a, false)] {
      if let scalar = try self.constant(constant), scalar.shape.allSatisfy({ $0 == 1 }),
        graph.types[other] == graph.types[value]
      {
        return try lowerFunction(node, of: other, .binary(kind, scalar.item(as: Float.self), isFirst: isFirst))
      }
    }
    if try lowerWithConstant(node, kind) { return }
    let (firstType, secondType) = (graph.types[a]!, graph.types[b]!)
    let isEven = firstType == secondType
    let isFirst = firstType == graph.types[value]
    if kind == .add || kind == .mul, try constant(a) == nil, try constant(b) == nil,
      isFirst || secondType == graph.types[value]
    {
      if BroadcastBinaryStep.pays(isFirst ? secondType : firstType, over: graph.types[value]!) {
        let operands = try (isFirst ? [a, b] : [b, a]).map { try realSlot($0, .rowMajor, node.name) }
        let to = newSlot(value, .float32, .rowMajor)
        steps.append(BroadcastBinaryStep(name: node.name, inputs: operands, output: to, kind: kind))
        views[value] = .float(to)
        return
      }
    }
    guard [.add, .sub, .mul].contains(kind), try constant(a) == nil, try constant(b) == nil,
      isEven || secondType.isChannels(of: firstType) || firstType.isChannels(of: secondType)
    else {
      return try lowerReference(node)
    }
    // Channels come second.
    let isSwapped = !isEven && firstType.isChannels(of: secondType)
    if isSwapped { swap(&a, &b) }
    let layout = rank(value) == 3 ? self.layout(of: a) ?? .rowMajor : preferredLayout(value)
    if let first = integerSlot(a), let second = integerSlot(b), let result = sumResult(of: node) {
      let operands = [inLayout(first, layout, node.name), inLayout(second, layout, node.name)]
      let to = newSlot(value, .uint8, layout, result.quantization)
      steps.append(
        BinaryStep(
          name: node.name, inputs: operands, output: to, kind: kind, isSwapped: isSwapped,
          activation: result.activation, isInteger: true))
      integerNodes.append(node.name)
      define(value, to, result.value)
    } else if kind == .sub {
      try lowerReference(node)
    } else {
      let operands = [try realSlot(a, layout, node.name), try realSlot(b, layout, node.name)]
      let to = newSlot(value, .float32, layout)
      steps.append(BinaryStep(name: node.name, inputs: operands, output: to, kind: kind, isInteger: false))
      views[value] = .float(to)
    }
  }

  /// What the result of a sum, difference or product is quantized with, and the ReLU or clip before that.
  private mutating func sumResult(
    of node: Node
  ) -> (value: String, quantization: ActivationQuantization, activation: Activation?)? {
    if let result = quantizedResult(of: node) { return (result.value, result.quantization, nil) }
    guard let result = rectifiedResult(of: node) else { return nil }
    absorbed.insert(result.rectifier.name)
    return (result.value, result.quantization, result.activation)
  }

  /// A sum, difference or product with a constant that is repeated.
  ///
  /// - Returns: whether it is one.
  private mutating func lowerWithConstant(_ node: Node, _ kind: Op.Binary) throws -> Bool {
    let value = node.outputs[0]
    guard [.add, .sub, .mul].contains(kind),
      let place = try node.inputs.firstIndex(where: { try constant($0) != nil }),
      let x = node.inputs[1 - place], try constant(x) == nil, let type = graph.types[x], type == graph.types[value],
      var tensor = try constant(node.inputs[place]), let repetition = tensor.type.repetition(over: type)
    else { return false }
    let isNHWC: Bool
    switch repetition {
    case .channels: isNHWC = true
    // Whole images lie in any order.
    case .trailing:
      isNHWC =
        layout(of: x) == .nhwc && type.rank == 4 && tensor.rank >= 3 && tensor.shape.suffix(3) != [1, 1, 1]
        && tensor.shape.suffix(3).elementsEqual(type.shape[1...].compactMap(\.size))
    }
    func ordered(_ tensor: Tensor) throws -> Tensor {
      guard isNHWC, repetition == .trailing else { return tensor }
      return try tensor.reshape(Array(tensor.shape.suffix(3))).transpose([1, 2, 0])
    }
    let layout: Layout = isNHWC ? .nhwc : .rowMajor
    if let slot = integerSlot(x), case .dequantizedConstant(let integers, let parameters)? = views[node.inputs[place]!],
      let quantization = ActivationQuantization(parameters), let result = sumResult(of: node)
    {
      let from = inLayout(slot, layout, node.name)
      let to = newSlot(value, .uint8, layout, result.quantization)
      let bytes = try quantization.storedBytes(ordered(integers))
      steps.append(
        ConstantBinaryStep(
          name: node.name, inputs: [from], output: to, constant: .integers(bytes, quantization), kind: kind,
          isFirst: place == 0, activation: result.activation))
      integerNodes.append(node.name)
      define(value, to, result.value)
      return true
    }
    var kind = kind
    if kind == .sub {
      guard place == 1 else { return false }
      tensor = try apply(.unary(.neg), [tensor])[0]
      kind = .add
    }
    let from = try realSlot(x, layout, node.name)
    let to = newSlot(value, .float32, layout)
    steps.append(
      ConstantBinaryStep(
        name: node.name, inputs: [from], output: to, constant: .floats(try ordered(tensor).scalars(as: Float.self)),
        kind: kind, isFirst: place == 0, activation: nil))
    views[value] = .float(to)
    return true
  }

  /// Reshaping moves nothing. An image that becomes rows keeps its NHWC order, for a linear layer to account for.
  mutating func lowerReshape(_ node: Node) throws {
    let (from, value) = (node.inputs[0]!, node.outputs[0])
    if try constant(from) != nil { return try lowerReference(node) }
    let shape = graph.types[from]!.shape
    let result = graph.types[value]!.shape
    func reshaped(_ lowering: inout Lowering, _ slot: Int) -> Int {
      let old = lowering.slots[slot]
      var source = slot
      var layout = Layout.rowMajor
      if old.layout == .nhwc, let sizes = TensorType(.float32, Array(shape[1...])).fixedShape, result.count == 2,
        result[0] == shape[0]
      {
        let (c, pixels) = (sizes[0], elementCount(of: Array(sizes[1...])))
        layout = c == 1 || pixels == 1 ? .rowMajor : .flattened(channels: c, pixels: pixels)
      } else {
        source = lowering.inLayout(slot, .rowMajor, node.name)
      }
      return lowering.newSlot(value, old.dtype, layout, old.quantization, sharing: lowering.slots[source].root)
    }
    if let slot = integerSlot(from), let quantized = quantizedResult(of: node) {
      var to = reshaped(&self, slot)
      if slots[to].quantization != quantized.quantization { to = requantized(to, quantized.quantization, node.name) }
      integerNodes.append(node.name)
      define(value, to, quantized.value)
    } else {
      views[value] = .float(reshaped(&self, try realSlot(from, nil, node.name)))
    }
  }

  mutating func lowerQuantize(_ node: Node, _ parameters: QuantizationParameters) throws {
    let (from, value) = (node.inputs[0]!, node.outputs[0])
    guard let quantization = ActivationQuantization(parameters), isReadAsReal(value), try constant(from) == nil else {
      return try lowerReference(node)
    }
    if let slot = integerSlot(from) {
      // Quantized once more: the same integers if the parameters are the same.
      views[value] = .quantized(
        slots[slot].quantization == quantization ? slot : requantized(slot, quantization, node.name))
      return
    }
    let slot = try realSlot(from, nil, node.name)
    let to = newSlot(value, .uint8, slots[slot].layout, quantization)
    steps.append(ScaleStep(name: node.name, inputs: [slot], output: to, kind: .quantize))
    views[value] = .quantized(to)
  }

  mutating func lowerDequantize(_ node: Node, _ parameters: QuantizationParameters) throws {
    let (from, value) = (node.inputs[0]!, node.outputs[0])
    switch views[from]! {
    case .quantized(let slot):
      guard let quantization = ActivationQuantization(parameters) else {
        preconditionFailure("integers that are not read as real")
      }
      // Under other parameters than they were quantized with: the same bytes stand for other numbers.
      let bytes =
        slots[slot].quantization == quantization
        ? slot : newSlot(from, .uint8, slots[slot].layout, quantization, sharing: slots[slot].root)
      views[value] = .dequantized(bytes)
    case .constant(let tensor):
      let (integers, parameters) = try parameters.withoutZeroPoints(tensor) ?? (tensor, parameters)
      views[value] = .dequantizedConstant(integers, parameters)
    case .float(let slot) where slots[slot].dtype == .uint8:
      guard let quantization = ActivationQuantization(parameters) else { return try lowerReference(node) }
      // Integers that the graph is given: the same bytes, now that their scale is known.
      let bytes = newSlot(from, .uint8, slots[slot].layout, quantization, sharing: slots[slot].root)
      views[value] = .dequantized(bytes)
    case .float, .dequantized, .dequantizedConstant, .dynamic:
      try lowerReference(node)
    }
  }

  mutating func lowerReference(_ node: Node) throws {
    let operands = try node.inputs.map { name -> ReferenceStep.Operand? in
      guard let name else { return nil }
      if let tensor = try constant(name) { return .constant(tensor) }
      return .slot(try realSlot(name, .rowMajor, node.name))
    }
    let slots = node.outputs.map { newSlot($0, graph.types[$0]!.dtype, .rowMajor) }
    steps.append(ReferenceStep(name: node.name, op: node.op, operands: operands, outputs: slots))
    for (value, slot) in zip(node.outputs, slots) { views[value] = .float(slot) }
  }

  /// Sets the view of a node's result, or of what it is quantized to.
  mutating func define(_ value: String, _ slot: Int, _ quantized: String?) {
    if let quantized { views[quantized] = .quantized(slot) } else { views[value] = .float(slot) }
  }
}
