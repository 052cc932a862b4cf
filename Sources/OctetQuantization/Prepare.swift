import OctetCore
public import OctetGraph

extension Graph {
  /// Gives every value that will be quantized a site with an observer, beside the graph.
  ///
  /// Fuse first: ``fused(residuals:)`` leaves fewer values to quantize. Operations that only move or select values (pooling,
  /// concatenation, reshaping, ReLU on its own …) share one site between operands and result. Dropout is left out.
  ///
  /// - Throws: `OctetError`: `unknownName` if a pattern of the map matches nothing; `invalidArgument` if a QConfig
  ///   lacks the weight observer that a node needs; `notANumber` for a weight with a NaN.
  public func prepare(_ map: QConfigMap) throws -> PreparedGraph {
    if hasDropout { return try removingDropout().prepare(map) }
    try map.check(against: self)
    var assignments: [String: PreparedGraph.Assignment] = [:]
    var groups = ValueGroups()
    var templates: [(value: String, observer: any Observer)] = []
    var fixed: [String: QuantizationParameters] = [:]
    var madeInFloat: Set<String> = []
    var sharing: [Node] = []
    let alive = Set(try removingDeadNodes().nodes.map(\.name))
    let consumers = consumers
    // Results of ReLUs and clips behind sums: what is rounded is theirs, and the sum is not.
    var rectified: [String: any Observer] = [:]

    for node in nodes {
      defer {
        if case .float? = assignments[node.name] { madeInFloat.formUnion(node.outputs) }
      }
      guard alive.contains(node.name) else {
        assignments[node.name] = .float("no output needs it")
        continue
      }
      let config = map.config(for: node)
      guard let activation = config.activation else {
        assignments[node.name] = .float(
          config.isFloat ? "its QConfig is float" : "its QConfig has no activation observer")
        continue
      }
      switch IntegerForm(of: node, in: self) {
      case .none(let reason):
        assignments[node.name] = .float(reason)
      case .shares where rectified[node.outputs[0]] != nil:
        templates.append((node.outputs[0], rectified[node.outputs[0]]!))
        assignments[node.name] = .integer(weight: nil)
      case .shares:
        sharing.append(node)
        if node.activationInputs.allSatisfy(madeInFloat.contains) { madeInFloat.formUnion(node.outputs) }
        for value in node.activationInputs + node.outputs { groups.join(value, node.outputs[0]) }
        assignments[node.name] = .integer(weight: nil)
      case .computes(let range):
        let weightPlace = node.weightPlace
        let operands = node.quantizedInputs(in: self)
        // A function alone is no reason to leave the real numbers.
        if weightPlace == nil, operands.count == 1, madeInFloat.contains(operands[0]) {
          assignments[node.name] = .float("its operand is made in float")
          continue
        }
        if let weightPlace {
          guard let weight = config.weight else {
            throw OctetError(
              .invalidArgument, node.name, expected: "a QConfig with a weight observer",
              found: "an activation observer alone")
          }
          let name = node.inputs[weightPlace.operand]!
          let (_, obstacle) = try naming(name) {
            try weight.weightParameters(for: parameters[name]!.value, axis: weightPlace.axis)
          }
          if let obstacle {
            assignments[node.name] = .float(obstacle)
            continue
          }
        }
        if let range { fixed[node.outputs[0]] = try range.parameters(activation.integerType()) }
        var values = operands + node.outputs
        if let rectifier = node.rectifier(in: self, consumers), map.config(for: rectifier).activation != nil {
          rectified[rectifier.outputs[0]] = activation
          values.removeLast()
        }
        for value in values { templates.append((value, activation)) }
        let isWithConstant = node.constantOperand(in: self) != nil
        let constant = isWithConstant ? MinMaxObserver(dtype: try activation.integerType()) : nil
        assignments[node.name] = .integer(weight: weightPlace == nil ? constant : config.weight)
      }
    }

    // A group is quantized if a node that computes in integers reads or makes one of its values.
    var live: [(observer: any Observer, values: [String])] = []
    var indexOfGroup: [String: Int] = [:]
    for (value, observer) in templates {
      let group = groups.representative(of: value)
      if indexOfGroup[group] == nil {
        indexOfGroup[group] = live.count
        live.append((observer, []))
      }
    }
    for value in inputs.map(\.name) + nodes.flatMap(\.outputs) {
      if let index = indexOfGroup[groups.representative(of: value)] { live[index].values.append(value) }
    }
    // What is only moved has the range that it had before.
    let moved = Set(sharing.flatMap(\.outputs))
    for index in live.indices {
      let sources = Set(live[index].values.filter { !moved.contains($0) }.map { fixed[$0] })
      if sources.count == 1, let parameters = sources.first ?? nil {
        live[index].observer = FixedQParamsObserver(parameters)
      }
    }
    let sites = Sites(live, in: self)
    for node in sharing where sites.index(ofValue: node.outputs[0]) == nil {
      assignments[node.name] = .float("nothing beside it is quantized")
    }
    return PreparedGraph(graph: self, sites: sites, assignments: assignments)
  }
}

extension Observer {
  /// The type of the integers that this template quantizes to.
  func integerType() throws -> DType { try parameters(for: Tensor([Float(0), 1], shape: [2])).dtype }
}

/// Sets of values that share a site.
private struct ValueGroups {
  private var parents: [String: String] = [:]

  func representative(of value: String) -> String {
    var value = value
    while let parent = parents[value] { value = parent }
    return value
  }

  mutating func join(_ a: String, _ b: String) {
    let (first, second) = (representative(of: a), representative(of: b))
    if first != second { parents[second] = first }
  }
}
