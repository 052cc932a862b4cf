import Foundation
import Networks
import Octet
import TestSupport
import Testing

/// The silero network on recorded speech, against the outputs of the float network (ONNX Runtime).
@Suite struct VoiceActivityTests {
  private static let data = "\(packageRoot)/Examples/Data"

  private func network() throws -> Graph {
    let module = VoiceActivity()
    try module.load(contentsOf: "\(Self.data)/silero_vad_16k.safetensors")
    let state = TensorType(.float32, [1, 1, 128])
    return try module.trace(
      TensorType(.float32, [.symbolic("steps"), 576]), state, state, inputNames: ["input", "h", "c"],
      outputNames: ["speech_probs", "hn", "cn"]
    ).fused()
  }

  private func run(_ graph: Graph) throws -> [String: Tensor] {
    let frames = try array("frames")
    let samples = try frames.scalars(as: Int16.self).map { Float($0) / 32768 }
    let start = try Tensor(zeros: [1, 1, 128])
    return try Session(Plan(graph)).run(["input": Tensor(samples, shape: frames.shape), "h": start, "c": start])
  }

  private func array(_ name: String) throws -> Tensor {
    try #require(NpzFile(contentsOf: "\(Self.data)/silero-frames.npz").tensors[name])
  }

  @Test func floatNetworkIsTheSame() throws {
    let results = try run(network())
    for (name, tolerance) in [("speech_probs", Float(2e-5)), ("hn", 1e-4), ("cn", 1e-4)] {
      #expect(try discrepancy(results[name]!, array(name), absolute: tolerance, relative: 1e-4) == nil, "\(name)")
    }
  }

  /// With one scale per channel of the LSTM's weights: the same side of 0.5 in every frame.
  @Test func dynamicNetworkHearsTheSame() throws {
    let (graph, report) = try network().quantizeDynamic([.lstm])
    #expect(report.quantized.map(\.kind) == [.lstm])
    let (found, real) = (try run(graph)["speech_probs"]!.floats, try array("speech_probs").floats)
    #expect(zip(found, real).allSatisfy { ($0 >= 0.5) == ($1 >= 0.5) })
    let errors = zip(found, real).map { abs($0 - $1) }
    #expect(errors.reduce(0, +) / Float(errors.count) < 0.002 && errors.max()! < 0.05)
    #expect(errors.max()! > 0.0001)
  }
}
