import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Networks that people use, against ONNX Runtime.
@Suite struct NetworkTests {
  static let names = ["digits_cnn", "fmnist_cnn", "ppocr_mobile_v2_cls", "silero_vad_16k_sequence"]

  private func model(_ name: String) throws -> ONNXModel {
    // The images of the text network have sizes that the file does not say.
    try ONNXModel(
      contentsOf: "\(packageRoot)/Examples/Data/\(name).onnx",
      dimensions: name.hasPrefix("ppocr") ? ["x.2": 48, "x.3": 192] : [:])
  }

  @Test(arguments: names) func givesWhatONNXRuntimeGives(_ name: String) throws {
    let graph = try model(name).graph
    let vectors = try #require(VectorCase.load("onnx_networks").first { $0.name == name })
    let inputs = try graph.inputs.map { try vectors.tensor("input/\($0.name)") }
    let fused = try graph.fused()
    let results = try [
      graph.replay(inputs), Session(Plan(graph)).run(inputs), Session(Plan(fused)).run(inputs), fused.replay(inputs),
    ]
    for outputs in results {
      #expect(outputs.count == graph.outputs.count)
      for (output, tensor) in zip(graph.outputs, outputs) {
        let expected = try vectors.tensor("output/\(output.name)")
        #expect(try discrepancy(tensor, expected, absolute: 1e-4, relative: 0) == nil, "\(output.name)")
      }
    }
  }

  @Test func namesAndFormAreTheFiles() throws {
    let model = try model("fmnist_cnn")
    #expect(model.metadata.opsets == ["": 13])
    #expect(model.metadata.producer.hasPrefix("pytorch"))
    let graph = model.graph
    #expect(graph.inputs.map(\.name) == ["x"] && graph.outputs.map(\.name) == ["logits"])
    #expect(graph.inputs[0].type == TensorType(.float32, [.symbolic("N"), 1, 28, 28]))
    #expect(graph.nodes.first?.name == "/f/f.0/Conv" && graph.nodes.last?.name == "/l2/Gemm")
    #expect(graph.nodes.map(\.op.kind).filter { $0 == .batchNormalization }.count == 3)
    #expect(graph.parameters.keys.contains("f.0.weight") && graph.parameters.keys.contains("l2.bias"))
    #expect(graph.parameters["l1.weight"]?.value.shape == [64, 3136])
    // The engine runs all of it, and the batch stays open.
    #expect(graph.types[graph.outputs[0].value] == TensorType(.float32, [.symbolic("N"), 10]))
  }

  /// What padding and slices of constants come to is computed while reading.
  @Test func shapeArithmeticIsFolded() throws {
    let graph = try model("silero_vad_16k_sequence").graph
    let kinds = Set(graph.nodes.map(\.op.kind))
    #expect(kinds.isDisjoint(with: [.concat, .cast, .pow]))
    #expect(graph.types["speech_probs"] == TensorType(.float32, [.symbolic("sequence_length")]))
  }

  @Test func unknownDimensionsAreNamed() throws {
    let path = "\(packageRoot)/Examples/Data/ppocr_mobile_v2_cls.onnx"
    let unknown = octetError { try ONNXModel(contentsOf: path, dimensions: ["height": 48]) }
    #expect(unknown?.code == .unknownName && unknown?.expected.contains("x.2") == true)
  }
}
