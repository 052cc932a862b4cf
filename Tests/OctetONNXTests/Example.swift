import OctetCore
import OctetGraph
import OctetONNX
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// One of the float networks in Examples/Data, and inputs for it.
struct Example {
  let graph: Graph
  let inputs: [Tensor]

  init(_ name: String) throws {
    let graph = try ONNXModel(
      contentsOf: "\(packageRoot)/Examples/Data/\(name).onnx",
      dimensions: name.hasPrefix("ppocr") ? ["x.2": 48, "x.3": 192] : [:]
    ).graph
    let vectors = try #require(VectorCase.load("onnx_networks").first { $0.name == name })
    self.graph = graph
    inputs = try graph.inputs.map { try vectors.tensor("input/\($0.name)") }
  }

  /// In QDQ form, calibrated on the inputs.
  func quantized() throws -> Graph {
    let prepared = try graph.fused().prepare(QConfigMap(.minMax))
    try prepared.calibrate([Dictionary(uniqueKeysWithValues: zip(graph.inputs.map(\.name), inputs))])
    return try prepared.convert().graph
  }
}
