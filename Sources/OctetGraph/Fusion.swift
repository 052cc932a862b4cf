public import OctetCore

extension Graph {
  /// This graph with every Conv+BN, ConvTranspose+BN, Linear+BN, each of them + ReLU (ReLU6 and clips likewise) and
  /// Conv+Add[+ReLU] chain as one node each.
  ///
  /// A fused node keeps the name of its convolution or linear layer and lists all modules it comes from. Batch
  /// normalization with fixed statistics is folded into weight and bias (`W' = W·γ/√(σ² + ε)`,
  /// `b' = (b − μ)·γ/√(σ² + ε) + β`), whose values are new parameters from then on. So are constants for each channel
  /// that are added or multiplied. Functions that are spelled out (`x · sigmoid(x)`, `x · min(max(x + 3, 0), 6) / 6`,
  /// `x · (1 + erf(x / √2)) / 2`) become the one that they are. Dropout is left out.
  ///
  /// - Parameter residuals: whether the sum of a convolution and another value becomes part of the convolution. In
  ///   integers that is one rounding less; but only Octet has such an operation. Left apart, sum and operands are
  ///   quantized each, as other programs do it: files for ONNX Runtime want that.
  public func fused(residuals: Bool = true) throws -> Graph {
    try fused(residuals: residuals, forTraining: false)
  }

  /// The same; for training, dropout stays, and batch normalization that a network may still train is a node of its own.
  /// Fusing the result leaves out the one and folds the other.
  package func fused(residuals: Bool, forTraining: Bool) throws -> Graph {
    // What no output needs must not keep a chain apart.
    var graph = try (forTraining ? self : removingDropout()).removingDeadNodes().fusingFunctions()
    // One pass in order suffices: what a node takes in stands behind it. After each fusion, look at the same node again.
    var index = 0
    var consumers = graph.consumers
    while index < graph.nodes.count {
      let next = graph.nodes[index].outputs.first.flatMap { consumers[$0]?.first }
      do {
        guard let next else { throw Obstacle(reason: "nothing uses \(graph.nodes[index].name)") }
        if forTraining, try graph.canTrainNormalization(next, behind: index) {
          throw Obstacle(reason: "\(graph.nodes[next].name) trains")
        }
        // A residual moves the node to where the addition stood: it is met again there.
        graph = try graph.fusing(index, with: next, residuals: residuals)
        consumers = graph.consumers
      } catch is Obstacle {
        index += 1
      }
    }
    return try graph.removingDeadNodes()
  }

  /// This graph with chosen chains fused, as PyTorch's `fuse_modules`: each list names, in order, modules (or nodes)
  /// that become one, such as `["f.0", "f.1", "f.2"]`. Dropout is left out first.
  ///
  /// - Throws: `OctetError`: `unknownName` for a name that no node has; `unsupported` for a chain that cannot fuse, saying
  ///   why.
  public func fused(_ names: [[String]]) throws -> Graph {
    var graph = try removingDropout()
    for chain in names {
      guard let first = chain.first, chain.count > 1 else {
        throw OctetError(.invalidArgument, "fused", expected: "lists of two or more names", found: "\(chain)")
      }
      let head = try graph.index(of: first)
      let name = graph.nodes[head].name
      for part in chain.dropFirst() {
        let next = try graph.index(of: part)
        let current = graph.nodes.firstIndex { $0.name == name }!
        do {
          graph = try graph.fusing(current, with: next)
        } catch let obstacle as Obstacle {
          throw OctetError(
            .unsupported, "fused(\(chain.joined(separator: ", ")))", expected: "\(part) to fuse into \(name)",
            found: obstacle.reason)
        }
      }
    }
    return try graph.removingDeadNodes()
  }

  private func index(of name: String) throws -> Int {
    guard let index = nodes.firstIndex(where: { $0.isNamed(name) }) else {
      let known = nodes.map { $0.modules.first ?? $0.name }
      throw OctetError(
        .unknownName, "fused", expected: "a module or node such as \(nearNames(to: name, in: Set(known)))", found: name)
    }
    return index
  }

  /// Why two nodes cannot be one.
  private struct Obstacle: Error {
    let reason: String
  }

  /// This graph with node `second` merged into node `first`; throws an `Obstacle` if that cannot be.
  private func fusing(_ first: Int, with second: Int, residuals: Bool = true) throws -> Graph {
    let (head, tail) = (nodes[first], nodes[second])
    func no(_ reason: String) -> Obstacle { Obstacle(reason: reason) }

    guard [.conv, .convTranspose, .linear].contains(head.op.kind) else {
      throw no("\(head.name) is \(head.op.kind.rawValue), neither a convolution nor a linear layer")
    }
    let value = head.outputs[0]
    guard tail.inputs.contains(value) else { throw no("\(tail.name) does not use the result of \(head.name)") }
    guard consumers[value] == [second], !isOutput(value) else {
      throw no("the result of \(head.name) is used elsewhere too")
    }

    switch (head.op, tail.op) {
    case (_, .batchNormalization(let normalization)):
      guard head.op.activation == nil, !head.hasResidual else {
        throw no("\(head.name) is followed by an activation or addition before \(tail.name)")
      }
      return try folding(normalization, first, second)
    case (_, .unary(.relu)):
      return try attaching(.relu, first, second)
    case (_, .clip(let clip)):
      return try attaching(.clip(minimum: clip.minimum, maximum: clip.maximum), first, second)
    case (_, .binary(let function)):
      if let affine = try affine(function, first, second) { return try folding(affine, first, second) }
      if head.op.kind == .conv, function == .add, residuals { return try addingResidual(first, second) }
    default: break
    }
    throw no("\(head.op.kind.rawValue) and \(tail.op.kind.rawValue) have no fused form")
  }

  /// Whether a node is batch normalization that can become part of node `first`, and nothing behind it can too: it would
  /// become part of what the normalization is folded to.
  private func canTrainNormalization(_ second: Int, behind first: Int) throws -> Bool {
    guard nodes[second].op.kind == .batchNormalization, let folded = try? fusing(first, with: second) else {
      return false
    }
    let name = nodes[first].name
    guard let place = folded.nodes.firstIndex(where: { $0.name == name }),
      let users = folded.consumers[folded.nodes[place].outputs[0]], users.count == 1
    else { return true }
    switch folded.nodes[users[0]].op {
    case .binary(let function): return try folded.affine(function, place, users[0]) == nil
    case .batchNormalization: return (try? folded.fusing(place, with: users[0])) == nil
    default: return true
    }
  }

  private func attaching(_ activation: Activation, _ first: Int, _ second: Int) throws -> Graph {
    var graph = self
    guard nodes[first].op.activation == nil else {
      throw Obstacle(reason: "\(nodes[first].name) has an activation already")
    }
    graph.nodes[first].op.activation = activation
    return try graph.merging(second, into: first, at: first)
  }

  private func addingResidual(_ first: Int, _ second: Int) throws -> Graph {
    let (head, tail) = (nodes[first], nodes[second])
    let value = head.outputs[0]
    guard head.op.activation == nil, !head.hasResidual else {
      throw Obstacle(reason: "\(head.name) has an activation or a residual already")
    }
    guard let residual = tail.inputs.first(where: { $0 != value }) ?? nil,
      types[residual] == types[value], parameters[residual] == nil
    else {
      throw Obstacle(reason: "the other operand of \(tail.name) is not another value of the same shape")
    }
    var graph = self
    graph.nodes[first].inputs = head.inputs + [String?](repeating: nil, count: 3 - head.inputs.count) + [residual]
    return try graph.merging(second, into: first, at: second)
  }

  /// A factor and an offset for each output channel.
  private typealias Affine = (multiplier: [Float], offset: [Float])

  private func folding(_ normalization: Op.BatchNormalization, _ first: Int, _ second: Int) throws -> Graph {
    let (head, tail) = (nodes[first], nodes[second])
    let operands = (head.inputs.dropFirst() + tail.inputs.dropFirst()).compactMap { $0 }
    guard tail.inputs[0] == head.outputs[0], operands.allSatisfy({ parameters[$0] != nil }) else {
      throw Obstacle(reason: "weights or statistics of \(head.name) and \(tail.name) are computed, not parameters")
    }
    guard head.op.kind != .linear || types[head.outputs[0]]?.rank == 2 else {
      throw Obstacle(reason: "\(tail.name) normalizes an axis other than the last one of \(head.name)")
    }
    let statistics = tail.inputs.dropFirst().map { parameters[$0!]!.value }
    let affine = try Op.BatchNormalization.affine(
      scale: statistics[0], bias: statistics[1], mean: statistics[2], variance: statistics[3],
      epsilon: normalization.epsilon)
    return try folding(affine, first, second)
  }

  /// What a sum, difference, product or quotient with a constant does to each channel of a convolution or linear layer;
  /// `nil` if it is no such thing.
  private func affine(_ function: Op.Binary, _ first: Int, _ second: Int) throws -> Affine? {
    let (head, tail) = (nodes[first], nodes[second])
    let value = head.outputs[0]
    guard head.op.activation == nil, !head.hasResidual, let result = types[value], types[tail.outputs[0]] == result,
      let place = tail.inputs.firstIndex(where: { $0 != value }), let operand = tail.inputs[place],
      let constant = parameters[operand]?.value, constant.dtype == .float32
    else { return nil }
    let axis = head.op.kind == .linear ? result.rank - 1 : 1
    let shape = [Int](repeating: 1, count: result.rank - constant.rank) + constant.shape
    let count = elementCount(of: constant.shape)
    guard let channels = result.shape[axis].size, count == 1 || count == channels,
      shape.indices.allSatisfy({ $0 == axis || shape[$0] == 1 })
    else { return nil }
    var numbers = try constant.scalars(as: Float.self)
    if count == 1 { numbers = [Float](repeating: numbers[0], count: channels) }
    let (ones, zeros) = ([Float](repeating: 1, count: channels), [Float](repeating: 0, count: channels))
    let affine: Affine
    switch function {
    case .add: affine = (ones, numbers)
    case .sub where place == 1: affine = (ones, numbers.map { -$0 })
    case .sub: affine = (ones.map { -$0 }, numbers)
    case .mul: affine = (numbers, zeros)
    case .div where place == 1: affine = (numbers.map { 1 / $0 }, zeros)
    case .div, .pow, .minimum, .maximum: return nil
    }
    guard (affine.multiplier + affine.offset).allSatisfy(\.isFinite) else { return nil }
    // Weights that are quantized already, and biases that are computed, cannot be changed.
    let mustKnow = affine.multiplier == ones ? head.inputs.dropFirst(2) : head.inputs.dropFirst()
    return mustKnow.allSatisfy { $0 == nil || parameters[$0!] != nil } ? affine : nil
  }

  private func folding(_ affine: Affine, _ first: Int, _ second: Int) throws -> Graph {
    let head = nodes[first]
    var graph = self
    let (multiplier, offset) = affine
    let weightName = head.inputs[1]!
    let biasOperand = head.inputs.count > 2 ? head.inputs[2] : nil
    let oldBias = try biasOperand.map { try parameters[$0]!.value.scalars(as: Float.self) }
    let bias = multiplier.indices.map { (oldBias?[$0] ?? 0) * multiplier[$0] + offset[$0] }
    graph.nodes[first].inputs = [
      head.inputs[0],
      multiplier.allSatisfy { $0 == 1 } ? weightName : try graph.scaleWeight(of: head, by: multiplier),
      graph.setParameter(
        biasOperand ?? biasName(beside: weightName), try Tensor(bias, shape: [bias.count]), for: head.name),
    ]
    return try graph.merging(second, into: first, at: first)
  }

  /// Multiplies the weights of each output channel, and returns the name of the new parameter.
  private mutating func scaleWeight(of head: Node, by multiplier: [Float]) throws -> String {
    let name = head.inputs[1]!
    var weight = parameters[name]!.value
    let shape = weight.shape
    try weight.withUnsafeMutableScalars(as: Float.self) { weight in
      if case .convTranspose(let payload) = head.op {
        // [inputs, outputs / groups, ...]: each group of inputs has outputs of its own.
        let taps = shape[2...].reduce(1, *)
        for i in weight.indices {
          let (input, output) = (i / taps / shape[1], i / taps % shape[1])
          weight[i] *= multiplier[input / (shape[0] / payload.groups) * shape[1] + output]
        }
      } else {
        let row = weight.count / max(multiplier.count, 1)
        for i in weight.indices { weight[i] *= multiplier[i / row] }
      }
    }
    return setParameter(name, weight, for: head.name)
  }

  private func biasName(beside weight: String) -> String {
    weight.hasSuffix("weight") ? weight.dropLast("weight".count) + "bias" : weight + ".bias"
  }

  /// Gives a parameter a new value under its name, or under a new one if another node needs the old value.
  private mutating func setParameter(_ name: String, _ value: Tensor, for user: String) -> String {
    let others = nodes.contains { $0.name != user && $0.inputs.contains(name) } || isOutput(name)
    let isNew = parameters[name] == nil && types[name] != nil
    let name = others || isNew ? unusedName(name) : name
    parameters[name] = Parameter(value)
    return name
  }

  /// This graph without node `second`, whose work node `first` has taken over, and with the latter at `position`.
  private func merging(_ second: Int, into first: Int, at position: Int) throws -> Graph {
    var graph = self
    var node = nodes[first]
    node.outputs = nodes[second].outputs
    node.modules += nodes[second].modules.filter { !node.modules.contains($0) }
    if node.modules.isEmpty || nodes[second].modules.isEmpty { node.modules += [nodes[second].name] }
    graph.nodes[position] = node
    graph.nodes.remove(at: position == first ? second : first)
    return try graph.validated()
  }
}

extension Op {
  /// The activation fused into a convolution or linear layer.
  public internal(set) var activation: Activation? {
    get {
      switch self {
      case .conv(let payload): payload.activation
      case .convTranspose(let payload): payload.activation
      case .linear(let payload): payload.activation
      default: nil
      }
    }
    set {
      switch self {
      case .conv(var payload):
        payload.activation = newValue
        self = .conv(payload)
      case .convTranspose(var payload):
        payload.activation = newValue
        self = .convTranspose(payload)
      case .linear(var payload):
        payload.activation = newValue
        self = .linear(payload)
      default: preconditionFailure("\(kind) has no fused activation")
      }
    }
  }
}

extension Node {
  var hasResidual: Bool { op.kind == .conv && inputs.count > 3 && inputs[3] != nil }
}
