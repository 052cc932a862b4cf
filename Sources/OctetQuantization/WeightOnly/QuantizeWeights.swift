import OctetCore
public import OctetGraph

extension Graph {
  /// This graph with the weights of linear and convolution layers stored as integers, rounded to nearest; activations
  /// stay in float. Needs no data.
  ///
  /// A weight [outputs, inputs] becomes integers behind a DequantizeLinear with one scale for each output (axis 0) or
  /// for each group of inputs (axis 1 in blocks). Convolutions take scales for channels only.
  ///
  /// - Returns: the graph, and a report that accounts for every node.
  /// - Throws: `OctetError`: `invalidArgument` for a type or group size that weights cannot have; `unknownName` if a
  ///   pattern of the map matches nothing; `notANumber` for a weight with a NaN or an infinity.
  public func quantizeWeights(_ map: WeightQuantizationMap) throws -> (graph: Graph, report: ConversionReport) {
    let plan = try WeightPlan(removingDropout(), map)
    return try plan.replacingWeights(
      with: plan.layers.map { layer in
        let weight = try plan.finiteWeight(layer)
        return try naming(layer.weight) {
          let parameters = try layer.quantization.parameters(for: weight)
          return (try quantize(weight, parameters), parameters)
        }
      })
  }

  /// The same in one way for all layers.
  public func quantizeWeights(_ quantization: WeightQuantization) throws -> (graph: Graph, report: ConversionReport) {
    try quantizeWeights(WeightQuantizationMap(quantization))
  }
}
