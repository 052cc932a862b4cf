import Foundation
import Networks
import Octet
import TestNetworks
import TestSupport
import Testing

/// The networks of Examples/Networks: each loads PyTorch's parameters, traces, prints, is quantized, saved, loaded, run.
@Suite struct NetworksTests {
  struct Example: Sendable, CustomStringConvertible {
    enum Way: Sendable { case statically, dynamically }

    let description: String
    /// The shape of an input without the batch axis.
    let shape: [Int]
    let way: Way
    let make: @Sendable () -> Module

    /// Words for the tagger, otherwise numbers as calibration and use have them.
    func input(batch: Int, seed: UInt64) throws -> Tensor {
      var generator = SeededGenerator(seed: seed)
      if description == "lstm_tagger" {
        let words = (0..<batch * shape[0]).map { _ in Int64.random(in: 0..<20, using: &generator) }
        return try Tensor(words, shape: [batch] + shape)
      }
      return try Tensor.random([batch] + shape, in: -2...2, using: &generator)
    }

    func graph(_ module: Module) throws -> Graph { try traced(module).fused() }

    func traced(_ module: Module) throws -> Graph {
      let dtype: DType = description == "lstm_tagger" ? .int64 : .float32
      return try module.trace(TensorType(dtype, [.symbolic("n")] + shape.map(Dimension.fixed)))
    }

    func quantized(_ graph: Graph) throws -> (graph: Graph, report: ConversionReport) {
      switch way {
      case .dynamically: return try graph.quantizeDynamic()
      case .statically:
        let prepared = try graph.prepare(QConfigMap(.default))
        try prepared.calibrate((0..<4).map { try input(batch: 8, seed: 100 + UInt64($0)) })
        return try prepared.convert()
      }
    }
  }

  static let examples = [
    Example(description: "mnist_cnn", shape: [1, 8, 8], way: .statically) {
      MNISTCNN(size: 8, channels: (4, 6), hidden: 16, classes: 10)
    },
    Example(description: "resnet18", shape: [3, 32, 40], way: .statically) { ResNet18(width: 4, classes: 6) },
    Example(description: "mobilenet_v2", shape: [3, 24, 20], way: .statically) {
      MobileNetV2(
        first: 8, stages: [.init(1, 8, 1, 1), .init(6, 12, 2, 2), .init(6, 16, 2, 1)], last: 40, classes: 6)
    },
    Example(description: "unet", shape: [3, 8, 12], way: .statically) { UNet(width: 4) },
    Example(description: "lstm_tagger", shape: [7], way: .dynamically) {
      LSTMTagger(vocabulary: 20, embeddingSize: 8, hiddenSize: 12, tags: 5)
    },
    Example(description: "transformer_encoder", shape: [5, 16], way: .dynamically) {
      TransformerEncoder(layers: 2, modelDim: 16, heads: 2, feedforwardDim: 40)
    },
  ]

  static let vectors = (try? VectorCase.load("networks")) ?? []

  private func loaded(_ example: Example) throws -> (module: Module, x: Tensor, y: Tensor) {
    let test = try #require(Self.vectors.first { $0.name == example.description })
    let module = example.make()
    try module.load(test.tensors(below: "state/"))
    return (module, try test.tensor("x"), try test.tensor("y"))
  }

  @Test(arguments: examples)
  func computesWhatPyTorchComputes(_ example: Example) throws {
    let (module, x, y) = try loaded(example)
    let graph = try example.graph(module)
    #expect("\(graph.tabular())".split(separator: "\n").count > graph.nodes.count)
    for result in [try module(x), try graph.replay([x])[0], try Session(Plan(graph), threads: 2)(x)] {
      #expect(try discrepancy(result, y, absolute: 2e-5, relative: 2e-5) == nil)
    }
  }

  /// Default settings, data like that of calibration: at least 20 dB between float and int8.
  @Test(arguments: examples)
  func staysCloseInIntegers(_ example: Example) throws {
    let graph = try example.graph(loaded(example).module)
    let (quantized, report) = try example.quantized(graph)
    #expect(report.entries.map(\.node) == graph.nodes.map(\.name))
    let x = try example.input(batch: 16, seed: 1)
    let (expected, found) = (try graph.replay([x])[0].floats, try Session(Plan(quantized))(x).floats)
    let ratio = signalToNoise(expected, found)
    #expect(ratio >= 20, "\(ratio) dB")
    // Not by staying in float: of what is quantized dynamically every layer, of the others most nodes.
    #expect(ratio < 80, "\(ratio) dB")
    switch example.way {
    case .statically: #expect(report.quantized.count * 2 >= report.entries.count, "\(report)")
    case .dynamically: #expect(report.kept.allSatisfy { ![.linear, .lstm].contains($0.kind) }, "\(report)")
    }
  }

  /// Trained for integers, every operation runs as it was trained.
  @Test(arguments: examples)
  func trainsForIntegers(_ example: Example) throws {
    let prepared = try example.traced(loaded(example).module).prepareQAT(QConfigMap(.defaultQAT(for: .octet)))
    try prepared.train(on: (0..<3).map { [try example.input(batch: 8, seed: 100 + $0)] })
    let operations = try TrainedOperation.all(of: prepared, [example.input(batch: 4, seed: 1)])
    #expect(operations.count > 1)
    for operation in operations { #expect(operation.isAsTrained, "\(operation)") }
  }

  /// Tables and weights of convolutions become small, and compute in float.
  @Test func tablesAndConvolutionsMayBeQuantizedToo() throws {
    for (name, kind) in [("lstm_tagger", Op.Kind.gather), ("unet", .conv), ("unet", .convTranspose)] {
      let example = try #require(Self.examples.first { $0.description == name })
      let module = try loaded(example).module
      let graph = try example.graph(module)
      let (quantized, report) = try graph.quantizeDynamic([kind])
      #expect(!report.quantized.isEmpty && report.quantized.allSatisfy { $0.kind == kind })
      let x = try example.input(batch: 4, seed: 3)
      let (expected, found) = (try graph.replay([x])[0].floats, try Session(Plan(quantized))(x).floats)
      #expect((30..<80).contains(signalToNoise(expected, found)), "\(signalToNoise(expected, found)) dB")
    }
  }

  @Test func oneLine() throws {
    let example = try #require(Self.examples.first { $0.description == "transformer_encoder" })
    let module = try loaded(example).module
    let x = try example.input(batch: 2, seed: 4)
    let short = try module.quantizeDynamic(TensorType(.float32, [.symbolic("n")] + example.shape.map(Dimension.fixed)))
    let long = try example.quantized(example.graph(module))
    #expect(
      try discrepancy(Session(Plan(short.graph))(x), Session(Plan(long.graph))(x), absolute: 0, relative: 0) == nil)
  }

  @Test(arguments: examples)
  func isSavedAndLoaded(_ example: Example) throws {
    let graph = try example.quantized(example.graph(loaded(example).module)).graph
    let x = try example.input(batch: 3, seed: 2)
    let expected = try Session(Plan(graph))(x)
    try inTemporaryFile { path in
      try graph.save(to: path)
      #expect(try discrepancy(Session(Plan(Graph(contentsOf: path)))(x), expected, absolute: 0, relative: 0) == nil)
    }
  }
}

/// 10 · log₁₀(Σ x² / Σ (x − y)²)
func signalToNoise(_ x: [Float], _ y: [Float]) -> Double {
  let signal = x.reduce(0) { $0 + Double($1) * Double($1) }
  let noise = zip(x, y).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
  return 10 * log10(signal / noise)
}
