extension Module {
  /// This module for inputs of these types, traced, fused and quantized dynamically:
  ///
  ///     let session = Session(try Plan(network.quantizeDynamic(TensorType(.float32, [.symbolic("n"), 32])).graph))
  ///
  /// - Parameters:
  ///   - types: as in ``Module/trace(_:inputNames:outputNames:)-([TensorType],_,_)``.
  ///   - kinds: which operations, as in ``Graph/quantizeDynamic(_:weight:activations:except:)``.
  ///   - activations: per tensor, as ONNX and PyTorch; or per row.
  /// - Throws: as the three of them.
  public final func quantizeDynamic(
    _ types: TensorType..., kinds: Set<Op.Kind> = [.linear, .lstm, .gru],
    activations: Op.DynamicQuantize = Op.DynamicQuantize()
  ) throws -> (graph: Graph, report: ConversionReport) {
    try trace(types).fused().quantizeDynamic(kinds, activations: activations)
  }
}
