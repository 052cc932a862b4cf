public import OctetCore
public import OctetGraph

extension Graph {
  /// Gives every linear layer whose weight will be quantized the statistics that GPTQ needs, beside the graph.
  ///
  /// Convolutions stay in float: ``quantizeWeights(_:)-(WeightQuantizationMap)`` on the result rounds what GPTQ has left.
  ///
  /// - Throws: `OctetError`: `invalidArgument` for a type or group size that weights cannot have or a dampening below 0;
  ///   `unknownName` if a pattern of the map matches nothing; `notANumber` for a weight with a NaN or an infinity.
  public func prepareGPTQ(_ map: WeightQuantizationMap, _ options: GPTQ = GPTQ()) throws -> PreparedGPTQ {
    try PreparedGPTQ(removingDropout(), map, options)
  }

  /// The same in one way for all layers.
  public func prepareGPTQ(_ quantization: WeightQuantization, _ options: GPTQ = GPTQ()) throws -> PreparedGPTQ {
    try prepareGPTQ(WeightQuantizationMap(quantization), options)
  }
}

/// A float graph on the way to weights quantized by GPTQ: calibrate, then convert.
///
/// Calibration keeps one matrix [k, k] for each value that enters linear layers of k inputs (query, key and value
/// projections share theirs), and nothing else.
public final class PreparedGPTQ {
  public let graph: Graph
  /// May be changed between calibration and ``convert(progress:)``, which can be called again.
  public var options: GPTQ
  private let plan: WeightPlan
  private var hessians: [String: Hessian] = [:]

  init(_ graph: Graph, _ map: WeightQuantizationMap, _ options: GPTQ) throws {
    self.graph = graph
    self.options = options
    plan = try WeightPlan(graph, map) {
      $0.op.kind == .linear ? nil : "GPTQ is for linear layers; quantizeWeights rounds the others"
    }
    try checkOptions()
    for layer in plan.layers {
      let inputs = try plan.finiteWeight(layer).shape[1]
      for value in layer.inputs { hessians[value] = Hessian(size: inputs) }
    }
  }

  /// Shows the layers representative inputs, one batch after another; none is kept.
  ///
  /// - Throws: `OctetError`: `notObserved` if there is no batch, `notANumber` if an input of a layer is NaN or infinite
  ///   (naming it), whatever a replay throws for inputs that do not fit.
  public func calibrate(_ batches: some Sequence<Tensor>) throws { try calibrate(batches) { [$0] } }

  /// The same for graphs with several inputs: batches by the name of the input.
  public func calibrate(_ batches: some Sequence<[String: Tensor]>) throws {
    try calibrate(batches) { try graph.inputs(of: $0) }
  }

  private func calibrate<Batch>(_ batches: some Sequence<Batch>, _ inputs: (Batch) throws -> [Tensor]) throws {
    var isEmpty = true
    for batch in batches {
      isEmpty = false
      _ = try graph.replay(inputs(batch), tap: observe)
    }
    guard !isEmpty else {
      throw OctetError(.notObserved, "calibration", expected: "at least one batch", found: "none")
    }
  }

  private func observe(_ value: String, _ tensor: Tensor) throws -> Tensor {
    try hessians[value]?.add(tensor)
    return tensor
  }

  /// The graph with the weights of linear layers stored as integers behind a DequantizeLinear; activations stay in float.
  ///
  /// - Parameter progress: told every time when some columns are done.
  /// - Returns: the graph, and a report that accounts for every node.
  /// - Throws: `OctetError` that names the layer: `notObserved` if it has seen no inputs, or only zeros; `unsupported` if
  ///   its Hessian is not positive definite in spite of the dampening.
  public func convert(
    progress: ((GPTQ.Progress) -> Void)? = nil
  ) throws -> (graph: Graph, report: ConversionReport) {
    try checkOptions()
    for layer in plan.layers {
      for value in layer.inputs where hessians[value]!.count == 0 {
        throw OctetError(.notObserved, layer.name, expected: "inputs seen in calibration", found: "none")
      }
    }
    var completed = 0
    let total = plan.layers.reduce(0) { $0 + $1.columns(in: graph) }
    // Layers with the same inputs share the factorization; they mostly stand side by side.
    var last: (inputs: Set<String>, order: ColumnOrder)?
    let weights = try plan.layers.map { layer in
      let weight = try plan.finiteWeight(layer)
      if last?.inputs != layer.inputs { last = (layer.inputs, try order(for: layer)) }
      let result = try naming(layer.weight) {
        try gptq(weight, layer.quantization, last!.order) { columns in
          completed += columns
          progress?(GPTQ.Progress(layer: layer.name, completed: completed, total: total))
        }
      }
      return result
    }
    return try plan.replacingWeights(with: weights)
  }

  private func order(for layer: WeightPlan.Layer) throws -> ColumnOrder {
    let values = layer.inputs.sorted()
    var hessian = hessians[values[0]]!
    for value in values.dropFirst() { hessian.add(hessians[value]!) }
    return try ColumnOrder(hessian, options, name: layer.name)
  }

  private func checkOptions() throws {
    guard options.dampening >= 0, options.dampening.isFinite else {
      throw OctetError(
        .invalidArgument, "GPTQ", expected: "a dampening of 0 or more", found: "\(options.dampening)")
    }
  }
}

extension WeightPlan.Layer {
  fileprivate func columns(in graph: Graph) -> Int { graph.parameters[weight]!.value.shape[1] }
}
