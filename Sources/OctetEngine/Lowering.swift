import OctetCore
import OctetGraph

/// Turns a QDQ (or float) graph into steps: dequantize → operation → quantize becomes one integer step.
struct Lowering {
  /// How far a value of the graph has come.
  enum View {
    /// Real numbers in a slot.
    case float(Int)
    /// Integers in a slot: the result of a QuantizeLinear.
    case quantized(Int)
    /// The real numbers that integers in a slot stand for: nobody has computed them yet.
    case dequantized(Int)
    case constant(Tensor)
    /// Integers in a slot with parameters that are known only when they are there.
    case dynamic(Int)
    /// Integers of the file behind a DequantizeLinear.
    case dequantizedConstant(Tensor, QuantizationParameters)
  }

  /// Without its parameters: ``views`` has those that a node still needs.
  let graph: Graph
  let consumers: [String: [Int]]
  let producers: [String: Int]
  var slots: [Slot] = []
  var steps: [any Step] = []
  private(set) var inputs: [Int] = []
  private(set) var outputs: [Int] = []
  /// The nodes that work on integers, also where nothing has to be done for them (a reshape).
  var integerNodes: [String] = []
  /// The nodes that multiply float activations by weights as they were quantized.
  var weightOnlyNodes: [String] = []
  var views: [String: View] = [:]
  /// ReLUs and clips that are part of the step before them.
  var absorbed: Set<String> = []
  var converted: [Conversion: Int] = [:]

  /// A slot that says the same as another one in another form, made once.
  struct Conversion: Hashable {
    let slot: Int
    let layout: Layout
    let isFloat: Bool
  }

  init(_ source: consuming Graph) throws {
    var graph = try source.validated().removingDropout()
    _ = consume source
    for (name, parameter) in graph.parameters { views[name] = .constant(parameter.value) }
    graph.parameters = [:]
    self.graph = graph
    (consumers, producers) = (graph.consumers, graph.producers)
    for input in graph.inputs {
      let slot = newSlot(input.name, input.type.dtype, .rowMajor)
      inputs.append(slot)
      views[input.name] = .float(slot)
    }
    for (index, node) in graph.nodes.enumerated() {
      if views[node.outputs[0]] == nil {
        if absorbed.contains(node.name) {
          integerNodes.append(node.name)
        } else {
          try naming(node.name) { try lower(node) }
        }
      }
      forgetConstants(of: node, index)
    }
    for output in graph.outputs {
      if let tensor = try constant(output.value) {
        let slot = newSlot(output.value, tensor.dtype, .rowMajor)
        steps.append(ConstantStep(name: output.name, tensor: tensor, output: slot))
        outputs.append(slot)
        continue
      }
      var slot = try realSlot(output.value, .rowMajor, "output \(output.name)")
      let isTaken = inputs.contains(slots[slot].root) || outputs.contains { slots[$0].root == slots[slot].root }
      if isTaken || slots[slot].root != slot {
        let copy = newSlot(output.value, slots[slot].dtype, .rowMajor)
        steps.append(CopyStep(name: output.name, inputs: [slot], output: copy))
        slot = copy
      }
      outputs.append(slot)
    }
  }

  /// Lets go of the constants that no later node reads: packed weights take their place.
  private mutating func forgetConstants(of node: Node, _ index: Int) {
    for input in node.inputs.compactMap({ $0 }) where consumers[input]?.last == index && !graph.isOutput(input) {
      switch views[input] {
      case .constant, .dequantizedConstant: views[input] = nil
      case .float, .quantized, .dequantized, .dynamic, nil: break
      }
    }
  }

  // MARK: - Slots

  mutating func newSlot(
    _ value: String, _ dtype: DType, _ layout: Layout, _ quantization: ActivationQuantization? = nil,
    dynamic: Op.DynamicQuantize? = nil, sharing root: Int? = nil
  ) -> Int {
    slots.append(
      Slot(
        value: value, dtype: dtype, layout: layout, quantization: quantization, dynamic: dynamic,
        root: root ?? slots.count))
    return slots.count - 1
  }

  func rank(_ value: String) -> Int { graph.types[value]!.rank }

  /// The layout in which kernels want a value.
  func preferredLayout(_ value: String) -> Layout { rank(value) == 4 ? .nhwc : .rowMajor }

  /// The slot with the same elements in another order.
  mutating func inLayout(_ slot: Int, _ layout: Layout, _ name: String) -> Int {
    let old = slots[slot]
    guard old.layout != layout else { return slot }
    let key = Conversion(slot: slot, layout: layout, isFloat: old.dtype == .float32)
    if let known = converted[key] { return known }
    let channels: Int?
    switch (old.layout, layout) {
    case (.flattened(let count, _), .rowMajor), (.rowMajor, .flattened(let count, _)): channels = count
    default: channels = graph.types[old.value]!.shape[1].size
    }
    let shape = graph.types[old.value]!.shape
    // One channel, or one pixel, lies the same either way.
    let isTrivial = channels == 1 || shape.count > 2 && shape[2...].allSatisfy { $0 == 1 }
    let new = newSlot(old.value, old.dtype, layout, old.quantization, sharing: isTrivial ? old.root : nil)
    converted[key] = new
    if isTrivial { return new }
    steps.append(LayoutStep(name: name, inputs: [slot], output: new, channels: channels, toNHWC: layout != .rowMajor))
    return new
  }

  /// A slot with the real numbers of a value; `nil` as layout: whatever it has.
  mutating func realSlot(_ value: String, _ layout: Layout?, _ name: String) throws -> Int {
    switch views[value]! {
    case .float(let slot):
      return inLayout(slot, layout ?? slots[slot].layout, name)
    case .dequantized(let slot):
      let key = Conversion(slot: slot, layout: slots[slot].layout, isFloat: true)
      let real = converted[key] ?? newSlot(slots[slot].value, .float32, slots[slot].layout)
      if converted.updateValue(real, forKey: key) == nil {
        steps.append(ScaleStep(name: name, inputs: [slot], output: real, kind: .dequantize))
      }
      return inLayout(real, layout ?? slots[real].layout, name)
    case .dynamic(let slot):
      let key = Conversion(slot: slot, layout: .rowMajor, isFloat: true)
      let real = converted[key] ?? newSlot(slots[slot].value, .float32, .rowMajor)
      if converted.updateValue(real, forKey: key) == nil {
        steps.append(DynamicDequantizeStep(name: name, inputs: [slot], output: real))
      }
      return inLayout(real, layout ?? .rowMajor, name)
    case .quantized, .constant, .dequantizedConstant:
      throw OctetError(.unsupported, value, expected: "a float value that is computed", found: "a constant or integers")
    }
  }

  func constant(_ value: String?) throws -> Tensor? {
    guard let value else { return nil }
    switch views[value]! {
    case .constant(let tensor): return tensor
    case .dequantizedConstant(let tensor, let parameters): return try dequantize(tensor, parameters)
    case .float, .quantized, .dequantized, .dynamic: return nil
    }
  }

  /// Whether ``constant(_:)`` has a tensor, without making one of integers.
  func isConstant(_ value: String?) -> Bool {
    guard let value else { return false }
    switch views[value]! {
    case .constant, .dequantizedConstant: return true
    case .float, .quantized, .dequantized, .dynamic: return false
    }
  }

  func integerSlot(_ value: String?) -> Int? {
    if let value, case .dequantized(let slot)? = views[value] { slot } else { nil }
  }

  /// The parameters that a node's result is quantized with, if nothing else is done with it.
  func quantizedResult(
    of node: Node, _ output: Int = 0
  ) -> (value: String, quantization: ActivationQuantization)? {
    let value = node.outputs[output]
    guard !graph.isOutput(value), let users = consumers[value], users.count == 1,
      case .quantizeLinear(let payload) = graph.nodes[users[0]].op,
      let quantization = ActivationQuantization(payload.parameters), isReadAsReal(graph.nodes[users[0]].outputs[0])
    else { return nil }
    return (graph.nodes[users[0]].outputs[0], quantization)
  }

  /// The same for what a ReLU or clip makes of the result, if it alone reads it.
  func rectifiedResult(
    of node: Node
  ) -> (value: String, quantization: ActivationQuantization, activation: Activation, rectifier: Node)? {
    guard !graph.isOutput(node.outputs[0]), let users = consumers[node.outputs[0]], users.count == 1 else { return nil }
    let next = graph.nodes[users[0]]
    let activation: Activation
    switch next.op {
    case .unary(.relu): activation = .relu
    case .clip(let clip): activation = .clip(minimum: clip.minimum, maximum: clip.maximum)
    default: return nil
    }
    return quantizedResult(of: next).map { ($0.value, $0.quantization, activation, next) }
  }

  /// Whether integers go through DequantizeLinear wherever they are used, so that nobody sees how they are stored.
  func isReadAsReal(_ value: String) -> Bool {
    !graph.isOutput(value)
      && (consumers[value] ?? []).allSatisfy { user in
        guard case .dequantizeLinear(let payload) = graph.nodes[user].op else { return false }
        return ActivationQuantization(payload.parameters) != nil
      }
  }

  // MARK: - Nodes

  mutating func lower(_ node: Node) throws {
    switch node.op {
    case .conv(let attributes): try lowerConvolution(node, attributes, isLinear: false)
    case .linear(let payload): try lowerLinear(node, payload.activation)
    case .unary(.relu):
      try lowerSelection(node) { ClipStep(name: node.name, inputs: $0, output: $1, activation: .relu, isInteger: $2) }
    case .clip(let clip):
      let activation = Activation.clip(minimum: clip.minimum, maximum: clip.maximum)
      try lowerSelection(node) {
        ClipStep(name: node.name, inputs: $0, output: $1, activation: activation, isInteger: $2)
      }
    case .pool(let pool) where pool.clipsWindowsToPadding: try lowerReference(node)
    case .pool(let pool):
      let layout: Layout? = rank(node.inputs[0]!) == 3 ? .nhwc : nil
      try lowerSelection(node, layout: layout, rescales: pool.kind == .average) {
        PoolStep(name: node.name, inputs: $0, output: $1, window: .pool(pool), isInteger: $2)
      }
    case .adaptiveAveragePool(let pool):
      guard pool.hasEqualWindows(over: graph.types[node.inputs[0]!]!) else { return try lowerReference(node) }
      try lowerSelection(node, rescales: true) {
        PoolStep(name: node.name, inputs: $0, output: $1, window: .adaptive(pool.size), isInteger: $2)
      }
    case .reduce(let reduce):
      guard reduce.isImageMean(of: graph.types[node.inputs[0]!]!) else { return try lowerReference(node) }
      try lowerSelection(node, rescales: true) {
        PoolStep(name: node.name, inputs: $0, output: $1, window: .global, isInteger: $2)
      }
    case .concat(let concat):
      let axis = concat.axis < 0 ? concat.axis + rank(node.outputs[0]) : concat.axis
      try lowerSelection(node) { ConcatStep(name: node.name, inputs: $0, output: $1, axis: axis, isInteger: $2) }
    case .binary(let kind): try lowerBinary(node, kind)
    case .reshape, .flatten, .squeeze, .unsqueeze: try lowerReshape(node)
    case .quantizeLinear(let payload): try lowerQuantize(node, payload.parameters)
    case .dequantizeLinear(let payload): try lowerDequantize(node, payload.parameters)
    case .transpose(let transpose):
      let axes = transpose.permutation.map { $0 < 0 ? $0 + transpose.permutation.count : $0 }
      try lowerStrided(node, .transpose(axes))
    case .dynamicQuantize(let payload): try lowerDynamicQuantize(node, payload)
    case .recurrent(let payload): try lowerRecurrent(node, payload)
    case .convTranspose(let payload): try lowerTransposedConvolution(node, payload)
    case .unary(let function): try lowerFunction(node, of: node.inputs[0]!, .unary(function))
    case .prelu(let prelu): try lowerPRelu(node, prelu)
    case .matmul: try lowerMatMul(node)
    case .softmax(let softmax): try lowerSoftmax(node, softmax)
    case .normalize(let normalize): try lowerNormalize(node, normalize)
    case .slice(let slice): try lowerStrided(node, .slice(slice))
    case .split(let split): try lowerSplit(node, split)
    case .expand: try lowerStrided(node, .expand)
    case .gather(let gather): try lowerGather(node, gather)
    case .resize(let resize):
      try lowerSelection(node, layout: .nhwc) {
        ResizeStep(name: node.name, inputs: $0, output: $1, attributes: resize, isInteger: $2)
      }
    case .batchNormalization, .pad, .compare, .where, .cast, .positions, .argmax, .topK, .dropout, .custom:
      try lowerReference(node)
    }
  }
}
