import Foundation
import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import OctetQuantization
import Testing

/// Writes int8 files, and what Octet gives for them, for scripts/test-interop, which runs them in ONNX Runtime. The folder
/// is in the environment variable OCTET_INTEROP.
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
      try write(Session(Plan(graph)).run(example.inputs)[0], "\(name)-\(kind)")
    }
  }

  @Test func recurrentWeights() throws {
    let graph = try Example("silero_vad_16k_sequence").graph.quantizeDynamic([.lstm]).graph
    try graph.saveONNX(to: "\(folder)/silero_vad_16k_sequence-dynamic.onnx")
  }
}
