import Foundation
import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import OctetQuantization
import TestNetworks
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

  /// The file computes in float with the integer weights, and so does what is read from it.
  @Test func recurrentWeights() throws {
    let name = "silero_vad_16k_sequence"
    let example = try Example(name)
    let bytes = try example.graph.quantizeDynamic([.lstm]).graph.onnxBytes()
    try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)-dynamic.onnx"))
    for (input, tensor) in zip(example.graph.inputs, example.inputs) { try write(tensor, "\(name)-\(input.name)") }
    try write(ONNXModel(bytes: bytes).graph.replay(example.inputs)[0], "\(name)-dynamic")
  }
}
