import OctetCore
import OctetGraph

/// How a network computes that trains for integers: a replay of its graph in which values and weights are rounded, and batch
/// normalization is part of the weights.
final class TrainedGraph {
  /// As it trains: but for batch normalization and dropout, nothing is left to fuse.
  let graph: Graph
  /// What rounds the weight of a node, by the node's name.
  let weights: [String: FakeQuantize]
  var isTraining = false
  /// Batch normalization whose statistics stay as they are.
  var frozen: Set<String> = []
  var draws = DropoutDraws()
  /// Passes in which gradients were asked for though nothing was training.
  private(set) var passesOutsideTraining = 0
  /// Passes in training.
  private(set) var passes = 0

  private let residuals: Bool
  /// The batch normalization that becomes part of a node, by the node's name.
  private let normalizations: [String: Normalization]
  /// The names of those.
  private let folded: Set<String>
  /// Values that are some of the numbers of others which are rounded already.
  private let selected: Set<String>
  /// Values that share a site with what dropout made them of. It makes numbers larger than they will be: their site does not
  /// go by them.
  private let enlarged: Set<String>
  /// Nodes that stay in float. What inputs and other such nodes make they read unrounded, as they will when it is converted.
  private let inFloat: Set<String>
  /// The values that are read so, or are outputs.
  private let kept: Set<String>

  /// - Parameters:
  ///   - graph: in which batch normalization has nodes of its own.
  ///   - fused: the same with it folded. Nodes that compute the same have the same name.
  ///   - sites: of values, which have the same names in both.
  ///   - inFloat: the nodes that stay in float.
  ///   - weights: what rounds the weight of a node, by the node's name.
  ///   - residuals: how `graph` was fused.
  init(
    _ graph: Graph, as fused: Graph, _ sites: Sites, inFloat: Set<String>, weights: [String: FakeQuantize],
    residuals: Bool
  ) {
    self.graph = graph
    self.weights = weights
    self.residuals = residuals
    let remaining = Set(fused.nodes.map(\.name))
    let producers = graph.producers
    var normalizations: [String: Normalization] = [:]
    for node in graph.nodes where !remaining.contains(node.name) {
      guard case .batchNormalization(let payload) = node.op, let producer = producers[node.inputs[0]!] else { continue }
      normalizations[graph.nodes[producer].name] = Normalization(node, payload, in: graph)
    }
    self.normalizations = normalizations
    folded = Set(normalizations.values.map(\.name))
    let undropped = graph.undropped
    var (selected, enlarged) = (Set<String>(), Set(undropped.keys))
    for node in graph.nodes {
      guard let site = sites.index(ofValue: node.outputs[0]) else { continue }
      let sharing = node.activationInputs.filter { sites.index(ofValue: undropped[$0] ?? $0) == site }
      if sharing.contains(where: enlarged.contains) { enlarged.formUnion(node.outputs) }
      if node.selectsNumbers, sharing.count == node.activationInputs.count { selected.formUnion(node.outputs) }
    }
    (self.selected, self.enlarged) = (selected, enlarged)
    self.inFloat = inFloat
    let madeInFloat = Set(
      graph.inputs.map(\.name) + fused.nodes.filter { inFloat.contains($0.name) }.flatMap(\.outputs))
    let read = graph.nodes.filter { inFloat.contains($0.name) }.flatMap { $0.inputs.compactMap { $0 } }
    kept = madeInFloat.intersection((read + graph.outputs.map(\.value)).map { undropped[$0] ?? $0 })
  }

  /// All batch normalization, folded or not.
  var normalizationNames: [String] { graph.nodes.filter { $0.op.kind == .batchNormalization }.map(\.name) }

  /// The graph with everything fused, as parameters are now.
  func fused() throws -> Graph { try graph.fused(residuals: residuals) }

  /// The results, rounded as they will be in integers.
  func callAsFunction(_ inputs: [Tensor], _ sites: Sites, tap: Graph.Tap?) throws -> [Tensor] {
    // What a layer's weight was multiplied by, until its result is normalized: the running variance may move between.
    var factors: [String: Tensor] = [:]
    // What float operations read as it was made.
    var unrounded: [String: Tensor] = [:]
    if isTraining {
      passes += 1
      draws.pass &+= 1
    } else if parameters.contains(where: { $0.value.origin != nil }) {
      passesOutsideTraining += 1
    }
    let results = try graph.replay(inputs) { [self] value, tensor in
      var tensor = tensor
      if let site = sites.index(ofValue: value) {
        let fake = sites[site].fakeQuantize!
        if isTraining, !enlarged.contains(value) { try fake.observe(tensor) }
        if kept.contains(value) { unrounded[value] = tensor }
        if !selected.contains(value), !(isTraining && enlarged.contains(value)) {
          tensor = try roundedIfObserved(tensor, fake)
        }
      }
      return try tap?(value, tensor) ?? tensor
    } evaluating: { node, operands in
      if case .dropout(let payload) = node.op {
        let drop = try dropping(by: payload, node.outputs[0], operands[0]!.shape)
        if let real = unrounded[node.inputs[0]!] { unrounded[node.outputs[0]] = try drop(real) }
        return [try drop(operands[0]!)]
      }
      if folded.contains(node.name) {
        guard isFollowing(node.name) else { return [operands[0]!] }
        return [try normalize(operands[0]!, of: node.inputs[0]!) { factors.removeValue(forKey: $0)! }]
      }
      let operands =
        !inFloat.contains(node.name)
        ? operands
        : zip(node.inputs, operands).map { name, operand in
          name.flatMap { unrounded[$0] } ?? operand
        }
      if case .batchNormalization(let payload) = node.op, isFollowing(node.name) {
        return [try Normalization(node, payload, in: graph).normalizeByBatch(operands[0]!, folded: nil)]
      }
      return try apply(node.op, rounded(node, operands) { factors[node.name] = $0 })
    }
    return zip(graph.outputs, results).map { output, result in unrounded[output.value] ?? result }
  }

  /// What dropout does to values of this shape now.
  private func dropping(
    by dropout: Op.Dropout, _ result: String, _ shape: [Int]
  ) throws -> (_ x: Tensor) throws -> Tensor {
    guard isTraining else { return { $0 } }
    let mask = try dropout.mask(shape, from: draws.generator(of: dropoutPlaces[result]!))
    return { try $0 * mask }
  }

  /// Whether this batch normalization goes by the batch.
  private func isFollowing(_ name: String) -> Bool { isTraining && !frozen.contains(name) }

  /// The operands with the weight that is rounded, and with batch normalization as a part of it.
  private func rounded(
    _ node: Node, _ operands: [Tensor?], keeping keep: (_ factor: Tensor) -> Void
  ) throws -> [Tensor?] {
    var operands = operands
    let normalization = normalizations[node.name]
    let fake = weights[node.name]
    guard fake != nil || normalization != nil else { return operands }
    let place = node.roundedOperand(in: graph)
    if let normalization {
      let isFollowing = isFollowing(normalization.name)
      let factor = try normalization.factor(isDividedBy: isFollowing)
      if isFollowing { keep(factor) }
      operands[place] = try node.weight(operands[place]!, times: factor)
      let bias = isFollowing ? nil : try normalization.bias(operands.count > 2 ? operands[2] : nil, factor)
      operands = Array(operands[0..<2]) + [bias]
    }
    if let fake { operands[place] = try rounded(operands[place]!, of: node, fake, observing: isTraining) }
    return operands
  }

  /// A weight rounded to its scales, which go by outputs.
  func rounded(_ weight: Tensor, of node: Node, _ fake: FakeQuantize, observing: Bool) throws -> Tensor {
    let weight = try node.outputsFirst(weight)
    if observing { try fake.observe(weight) }
    return try node.outputsFirst(roundedIfObserved(weight, fake))
  }

  /// - Throws: `OctetError` (`notObserved`) if that has no scale yet: rounding would destroy everything.
  private func roundedIfObserved(_ x: Tensor, _ fake: FakeQuantize) throws -> Tensor {
    guard fake.observations > 0 || !fake.isFakeQuantizeEnabled || fake.observer is FixedQParamsObserver else {
      throw OctetError(
        .notObserved, "fake quantization",
        expected: "values seen before, in training with the observer on, or in calibration",
        found: "none")
    }
    return try fake.rounded(x)
  }

  /// Shows the observers of weights what those are now, with frozen normalization.
  func observeWeights() throws {
    for node in graph.nodes {
      guard let fake = weights[node.name] else { continue }
      let weight = graph.parameters[node.inputs[node.roundedOperand(in: graph)]!]!.value
      let factor = try normalizations[node.name]?.factor(isDividedBy: false)
      try naming(node.name) { try fake.observe(node.outputsFirst(node.weight(weight, times: factor))) }
    }
  }

  private func normalize(_ y: Tensor, of value: String, by factor: (_ node: String) -> Tensor) throws -> Tensor {
    let producer = graph.nodes[graph.producers[value]!]
    let bias = producer.inputs.count > 2 ? producer.inputs[2].map { graph.parameters[$0]!.value } : nil
    let normalization = normalizations[producer.name]!
    return try normalization.normalizeByBatch(y, folded: (factor: factor(producer.name), bias: bias))
  }

  /// The parameters that training changes: those of layers, but neither statistics nor single numbers that belong to the
  /// formula of a network.
  var parameters: [Parameter] {
    var seen: Set<ObjectIdentifier> = []
    return namedTrainable.map(\.parameter).filter { seen.insert(ObjectIdentifier($0)).inserted }
  }

  /// Dropout by its result, counted.
  private lazy var dropoutPlaces: [String: Int] = {
    let results = graph.nodes.filter { $0.op.kind == .dropout }.map { $0.outputs[0] }
    return Dictionary(uniqueKeysWithValues: zip(results, results.indices))
  }()

  private lazy var namedTrainable: [(name: String, parameter: Parameter)] = {
    var names: [String] = []
    for node in graph.nodes {
      let isNormalization = node.op.kind == .batchNormalization
      for (place, name) in node.inputs.enumerated() {
        guard let name, let parameter = graph.parameters[name], parameter.isTrainable else { continue }
        let type = parameter.value.type
        let isNumber = if case .binary = node.op { type.elementCount == 1 } else { false }
        if type.dtype == .float32, !isNumber, !(isNormalization && place > 2) { names.append(name) }
      }
    }
    return names.map { ($0, graph.parameters[$0]!) }
  }()
}

/// Where the random numbers of dropout stand: they follow from the seed, the pass and the place in the graph.
struct DropoutDraws: Codable {
  var seed: UInt64 = 0
  /// Passes in training since then.
  var pass: UInt64 = 0

  func generator(of place: Int) -> SplitMix64 { SplitMix64(seed: seed, pass, UInt64(place)) }
}

extension TensorType {
  fileprivate var elementCount: Int? { fixedShape.map { $0.reduce(1, *) } }
}

extension Node {
  /// The operand that is stored as integers: the weight, or the constant of a sum, difference or product.
  func roundedOperand(in graph: Graph) -> Int { weightPlace?.operand ?? constantOperand(in: graph)! }

  /// Whether results are some of the operands' numbers, as they are.
  fileprivate var selectsNumbers: Bool {
    switch op {
    case .unary(.relu), .concat, .reshape, .flatten, .squeeze, .unsqueeze, .transpose, .expand, .slice, .split: true
    case .pool(let pool): pool.kind == .max
    default: false
    }
  }

  /// The weight of a layer with outputs along the first axis; and turned back, which is the same.
  fileprivate func outputsFirst(_ weight: Tensor) throws -> Tensor {
    weightPlace?.axis == 1 ? try weight.transpose([1, 0] + Array(2..<weight.rank)) : weight
  }

  /// The weight of a layer with the numbers for each output channel multiplied by a factor, if there is one.
  fileprivate func weight(_ weight: Tensor, times factor: Tensor?) throws -> Tensor {
    guard let factor else { return weight }
    guard case .convTranspose(let payload) = op else {
      return try weight * factor.reshape([-1] + [Int](repeating: 1, count: weight.rank - 1))
    }
    // [inputs, outputs / groups, ...]: each group of inputs has outputs of its own.
    let shape = weight.shape
    let grouped = [payload.groups, shape[0] / payload.groups] + shape.dropFirst()
    let perChannel = [payload.groups, 1, shape[1]] + [Int](repeating: 1, count: shape.count - 2)
    return try (weight.reshape(grouped) * factor.reshape(perChannel)).reshape(shape)
  }
}
