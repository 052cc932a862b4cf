import OctetCore
import OctetGraph

// Functions of numbers, of rows and of matrices, and what selects rows.
extension Lowering {
  /// A step with one operand whose result has a scale of its own.
  ///
  /// - Parameter layout: the layout that it works on; `nil`: whatever the operand has.
  mutating func lowerComputation(
    _ node: Node, of operands: [String], layout: Layout?, _ step: ([Int], Int, Bool) throws -> any Step
  ) throws {
    let value = node.outputs[0]
    guard try operands.allSatisfy({ try constant($0) == nil && graph.types[$0]!.dtype == .float32 }) else {
      return try lowerReference(node)
    }
    let integers = operands.compactMap { integerSlot($0) }
    if integers.count == operands.count, let result = quantizedResult(of: node) {
      let aligned = integers.map { slot in layout.map { inLayout(slot, $0, node.name) } ?? slot }
      let to = newSlot(value, .uint8, slots[aligned[0]].layout, result.quantization)
      steps.append(try step(aligned, to, true))
      integerNodes.append(node.name)
      define(value, to, result.value)
    } else {
      let reals = try operands.map { try realSlot($0, layout, node.name) }
      let to = newSlot(value, .float32, slots[reals[0]].layout)
      steps.append(try step(reals, to, false))
      views[value] = .float(to)
    }
  }

  mutating func lowerFunction(_ node: Node, of operand: String, _ function: ElementFunction) throws {
    try lowerComputation(node, of: [operand], layout: nil) { inputs, output, isInteger in
      if isInteger { return TableStep(name: node.name, inputs: inputs, output: output, function: function) }
      return FunctionStep(name: node.name, inputs: inputs, output: output, function: function)
    }
  }

  mutating func lowerPRelu(_ node: Node, _ prelu: Op.PRelu) throws {
    let x = node.inputs[0]!
    guard let slope = try constant(node.inputs[1]) else { return try lowerReference(node) }
    let slopes = try slope.scalars(as: Float.self)
    if slopes.count == 1 { return try lowerFunction(node, of: x, .unary(.leakyRelu(alpha: slopes[0]))) }
    guard prelu.axis == 1 || prelu.axis == 1 - rank(x), !slopes.isEmpty else { return try lowerReference(node) }
    try lowerComputation(node, of: [x], layout: rank(x) > 2 ? .nhwc : .rowMajor) {
      PReluStep(name: node.name, inputs: $0, output: $1, slopes: slopes, isInteger: $2)
    }
  }

  mutating func lowerSoftmax(_ node: Node, _ softmax: Op.Softmax) throws {
    let x = node.inputs[0]!
    guard softmax.axis == -1 || softmax.axis == rank(x) - 1 else { return try lowerReference(node) }
    try lowerComputation(node, of: [x], layout: .rowMajor) {
      RowStep(
        name: node.name, inputs: $0, output: $1, function: .softmax(isLogarithm: softmax.isLogarithm), isInteger: $2)
    }
  }

  mutating func lowerNormalize(_ node: Node, _ normalize: Op.Normalize) throws {
    let operands = try (1...2).map { index -> [Float]?? in
      guard index < node.inputs.count, let name = node.inputs[index] else { return .some(nil) }
      return try constant(name).map { try $0.scalars(as: Float.self) }
    }
    guard let scale = operands[0], let bias = operands[1] else { return try lowerReference(node) }
    try lowerComputation(node, of: [node.inputs[0]!], layout: .rowMajor) {
      RowStep(
        name: node.name, inputs: $0, output: $1, function: .normalize(normalize, scale: scale, bias: bias),
        isInteger: $2)
    }
  }

  mutating func lowerMatMul(_ node: Node) throws {
    let operands = [node.inputs[0]!, node.inputs[1]!]
    guard operands.allSatisfy({ rank($0) >= 2 }) else { return try lowerReference(node) }
    try lowerComputation(node, of: operands, layout: .rowMajor) {
      MatMulStep(name: node.name, inputs: $0, output: $1, isInteger: $2)
    }
  }

  mutating func lowerTransposedConvolution(_ node: Node, _ attributes: Op.ConvTranspose) throws {
    let bias = node.inputs.count > 2 ? node.inputs[2] : nil
    let biasValue = try constant(bias)
    guard let weightName = node.inputs[1], let floatWeight = try constant(weightName), bias == nil || biasValue != nil,
      elementCount(of: floatWeight.shape) > 0,
      // The kernel has weights for every place modulo the stride.
      attributes.stride.height * attributes.stride.width <= 1 << 12
    else { return try lowerReference(node) }
    var weight = floatWeight
    var scales: [Float]?
    if case .dequantizedConstant(let integers, let parameters)? = views[weightName], parameters.dtype == .int8,
      parameters.hasZeroZeroPoints, parameters.blockSize == nil, [nil, 1].contains(parameters.axis),
      integerSlot(node.inputs[0]) != nil, quantizedResult(of: node) != nil
    {
      (weight, scales) = (integers, parameters.scales)
    }
    let weights = try TransposedWeights(weight: weight, scales: scales, bias: biasValue, attributes)
    guard scales != nil || integerSlot(node.inputs[0]) == nil else {
      // Integers meet float weights: real numbers from here on.
      let input = try realSlot(node.inputs[0]!, .nhwc, node.name)
      let to = newSlot(node.outputs[0], .float32, .nhwc)
      steps.append(
        TransposedConvolutionStep(
          name: node.name, inputs: [input], output: to, weights: weights, attributes: attributes))
      views[node.outputs[0]] = .float(to)
      return
    }
    try lowerComputation(node, of: [node.inputs[0]!], layout: .nhwc) { inputs, output, _ in
      TransposedConvolutionStep(
        name: node.name, inputs: inputs, output: output, weights: weights, attributes: attributes)
    }
  }

  // MARK: - Selections

  /// Where the results of slices may stay in NHWC; other views need the order of the shape.
  mutating func lowerStrided(_ node: Node, _ view: StridedStep.View) throws {
    let keepsNHWC = if case .slice = view { layout(of: node.inputs[0]!) == .nhwc } else { false }
    try lowerSelection(node, layout: keepsNHWC ? .nhwc : .rowMajor) { inputs, output, _ in
      StridedStep(name: node.name, inputs: inputs, output: output, view: view)
    }
  }

  /// One slice for each piece. In integers if all pieces are.
  mutating func lowerSplit(_ node: Node, _ split: Op.Split) throws {
    let x = node.inputs[0]!
    guard try constant(x) == nil, graph.types[x]!.dtype == .float32 else { return try lowerReference(node) }
    let layout: Layout = self.layout(of: x) == .nhwc ? .nhwc : .rowMajor
    let results = node.outputs.indices.map { quantizedResult(of: node, $0) }
    let needed = node.outputs.indices.filter { consumers[node.outputs[$0]] != nil || graph.isOutput(node.outputs[$0]) }
    let isInteger = integerSlot(x) != nil && needed.allSatisfy { results[$0] != nil }
    let from = try isInteger ? inLayout(integerSlot(x)!, layout, node.name) : realSlot(x, layout, node.name)
    var start = 0
    for (index, size) in split.sizes.enumerated() {
      defer { start += size }
      guard needed.contains(index) else { continue }
      let (value, result) = (node.outputs[index], results[index])
      var source = from
      if isInteger, slots[from].quantization != result!.quantization {
        source = requantized(from, result!.quantization, node.name)
      }
      let to = newSlot(value, isInteger ? .uint8 : .float32, layout, isInteger ? result!.quantization : nil)
      let slice = Op.Slice(starts: [start], ends: [start + size], axes: [split.axis])
      steps.append(StridedStep(name: node.name, inputs: [source], output: to, view: .slice(slice)))
      define(value, to, isInteger ? result!.value : nil)
    }
    if isInteger { integerNodes.append(node.name) }
  }

  mutating func lowerGather(_ node: Node, _ gather: Op.Gather) throws {
    let (x, value) = (node.inputs[0]!, node.outputs[0])
    let axis = gather.axis < 0 ? gather.axis + rank(x) : gather.axis
    let indices: GatherStep.Indices
    if let tensor = try constant(node.inputs[1]) {
      indices = .constant(
        tensor.dtype == .int32
          ? try tensor.scalars(as: Int32.self).map(Int.init) : try tensor.scalars(as: Int64.self).map(Int.init))
    } else {
      indices = .slot(try realSlot(node.inputs[1]!, .rowMajor, node.name))
    }
    func step(_ source: GatherStep.Source, _ shape: [Int], _ output: Int) -> GatherStep {
      GatherStep(name: node.name, source: source, indices: indices, output: output, tableShape: shape, axis: axis)
    }
    guard let table = try constant(x) else {
      return try lowerSelection(node, layout: .rowMajor) { inputs, output, _ in step(.slot(inputs[0]), [], output) }
    }
    if case .slot = indices {} else { return try lowerReference(node) }
    guard graph.types[x]!.dtype == .float32 else { return try lowerReference(node) }
    if axis == 0, case .dequantizedConstant(let integers, let parameters)? = views[x],
      parameters.integerWeightObstacle(shape: integers.shape) == nil, let result = quantizedResult(of: node)
    {
      let bytes = try integers.scalars(as: Int8.self).map { UInt8(bitPattern: $0) ^ 128 }
      let to = newSlot(value, .uint8, .rowMajor, result.quantization)
      steps.append(step(.quantizedTable(bytes, zero: 128, scales: parameters.scales), table.shape, to))
      integerNodes.append(node.name)
      define(value, to, result.value)
    } else {
      let to = newSlot(value, .float32, .rowMajor)
      steps.append(step(.table(table), table.shape, to))
      views[value] = .float(to)
    }
  }
}
