import OctetCore
public import OctetGraph

extension Graph {
  /// Gives every value and weight that will be quantized a ``FakeQuantize``, beside the graph, so that the network trains as
  /// it will run in integers. (torch.ao.quantization.prepare_qat.)
  ///
  ///     let prepared = try graph.prepareQAT(QConfigMap(.defaultQAT(for: .octet)))
  ///     prepared.isTraining = true
  ///     let optimizer = try SGD([ParameterGroup(prepared.trainableParameters)], learningRate: 1e-3)
  ///     let (loss, gradients) = try valueAndGradients(of: optimizer.parameters) { try crossEntropy(prepared(x), labels) }
  ///     try optimizer.step(gradients)
  ///     // … then
  ///     prepared.isTraining = false
  ///     let (integers, report) = try prepared.convert()
  ///
  /// The graph need not be fused: this does it. Batch normalization behind a convolution or linear layer trains on,
  ///
  ///     f = γ / √(running variance + ε),  y = BN(conv(x, FQ(W · f)) / f + b)
  ///
  /// (Krishnamoorthi, 2018, "Quantizing deep convolutional networks for efficient inference"), and becomes part of weight and
  /// bias when it is frozen, and at ``PreparedGraph/convert()``. Running statistics move toward those of a batch by a tenth.
  /// Normalization with something behind it that would be folded too (a product by channel, another normalization) is folded
  /// at once and does not train. Recurrent layers train in float.
  ///
  /// Dropout drops from values that are rounded already, while ``PreparedGraph/isTraining`` is set. Where a layer and what
  /// becomes part of it (batch normalization, a sum with what is skipped) stand on both sides of it, there is nothing to drop
  /// from: there it is left out.
  ///
  /// - Parameters:
  ///   - map: as for ``prepare(_:)``; ``QConfig/defaultQAT(for:)`` has observers that follow a network as it changes.
  ///   - learning: whether scales are what observers find, or learn themselves once those are off.
  ///   - residuals: as for ``fused(residuals:)``; not for files that other programs are to run.
  /// - Throws: as ``prepare(_:)``.
  public func prepareQAT(
    _ map: QConfigMap, learning: FakeQuantize.Learning = .observed, residuals: Bool = true
  ) throws -> PreparedGraph {
    let withDropout = hasDropout ? try keepingDropout(between: fused(residuals: residuals)) : self
    let source = try withDropout.fused(residuals: residuals, forTraining: true)
    let fused = try source.fused(residuals: residuals)
    let prepared = try fused.prepare(map)
    let inFloat = prepared.assignments.filter { if case .float = $0.value { true } else { false } }.keys
    var weights: [String: FakeQuantize] = [:]
    for case (let node, .integer(let weight?)) in prepared.assignments {
      weights[node] = FakeQuantize(weight, learning: learning)
    }
    let sites = prepared.sites.map { site in
      // Ranges that are known beforehand do not learn.
      let learning = site.observer is FixedQParamsObserver ? .observed : learning
      return Site(site.observer, values: site.values, fakeQuantize: FakeQuantize(site.observer, learning: learning))
    }
    return PreparedGraph(
      graph: fused, sites: prepared.sites.replaced(by: sites), assignments: prepared.assignments,
      trained: TrainedGraph(
        source, as: fused, prepared.sites, inFloat: Set(inFloat), weights: weights, residuals: residuals))
  }
}
