import Foundation
import OctetCore
import OctetEngine
import OctetGraph
import OctetNN
import OctetONNX
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// Writes int8 files, and what Octet gives for them, for scripts/test-interop, which runs them in ONNX Runtime. The
/// folder is in the environment variable OCTET_INTEROP.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["OCTET_INTEROP"] != nil))
struct InteroperationFiles {
  private let folder = ProcessInfo.processInfo.environment["OCTET_INTEROP"] ?? ""

  private func write(_ tensor: Tensor, _ name: String) throws {
    try tensor.withUnsafeScalars(as: Float.self) {
      try Data(buffer: $0).write(to: URL(filePath: "\(folder)/\(name).f32"))
    }
  }

  @Test(arguments: ["fmnist_cnn", "digits_cnn"]) func networksOfImages(_ name: String) throws {
    let example = try Example(name)
    let float = try example.graph.fused()
    let graphs = try [
      "static": example.quantized(), "dynamic": float.quantizeDynamic().graph,
      "int4": float.quantizeWeights(WeightQuantization(dtype: .int4, groupSize: 32)).graph,
    ]
    try write(example.inputs[0], name)
    for (kind, graph) in graphs {
      try graph.saveONNX(to: "\(folder)/\(name)-\(kind).onnx")
      try write(Session(Plan(graph)).run(example.inputs)[0], "\(name)-\(kind)-engine")
      try write(graph.replay(example.inputs)[0], "\(name)-\(kind)")
    }
  }

  /// Every operation and scheme once, for ONNX's checker.
  @Test func smallNetworks() throws {
    for (index, network) in Network.all.enumerated() {
      for (kind, graph) in try [("float", network.graph()), ("int8", network.converted().graph)] {
        // What ONNX cannot say is the business of other tests.
        guard let bytes = try? graph.onnxBytes(documentation: network.name) else { continue }
        try Data(bytes).write(to: URL(filePath: "\(folder)/small-\(index)-\(kind).onnx"))
      }
    }
  }

  /// Both directions of layers, quantized in every way.
  @Test(arguments: Op.DynamicQuantize.Granularity.allCases)
  func recurrentLayers(_ granularity: Op.DynamicQuantize.Granularity) throws {
    var generator = SeededGenerator(seed: 8)
    for (name, module) in [
      ("lstm", LSTM(20, 33, bidirectional: true) as Module), ("gru", GRU(20, 33, bidirectional: true)),
    ] {
      try module.initialize(seed: 3)
      let graph = try module.trace(TensorType(.float32, [.symbolic("t"), .symbolic("n"), 20]))
        .quantizeDynamic(activations: Op.DynamicQuantize(granularity)).graph
      let path = "recurrent-\(name)-\(granularity.rawValue)"
      let x = try Tensor.random([9, 3, 20], in: -2...2, using: &generator)
      try graph.saveONNX(to: "\(folder)/\(path).onnx")
      try write(x, "\(path).x")
      try write(graph.replay([x])[0], path)
    }
  }

  @Test func recurrentWeights() throws {
    let name = "silero_vad_16k_sequence"
    let example = try Example(name)
    let bytes = try example.graph.quantizeDynamic([.lstm]).graph.onnxBytes()
    try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)-dynamic.onnx"))
    for (input, tensor) in zip(example.graph.inputs, example.inputs) { try write(tensor, "\(name)-\(input.name)") }
    try write(ONNXModel(bytes: bytes).graph.replay(example.inputs)[0], "\(name)-dynamic")
  }
}
