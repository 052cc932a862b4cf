import Foundation
import Octet
import OctetONNX
import TestSupport
import Testing

/// Losses of `octet qat`, and models that are not one image in and classes out.
@Suite("octet qat: losses and models")
struct QATModelTests {
  private func score(_ figures: [String: Any], _ name: String) throws -> (loss: Double, accuracy: Double?) {
    let score = try #require(figures[name] as? [String: Any])
    return (try #require(score["loss"] as? Double), score["accuracy"] as? Double)
  }

  /// A network with parameters from a seed, saved.
  private func model(
    _ network: Module, _ types: TensorType..., outputs: [String]? = nil, as name: String, seed: UInt64 = 1,
    in files: ModelFiles
  ) throws -> (path: String, graph: Graph) {
    try network.initialize(seed: seed)
    let graph = try network.trace(types, outputNames: outputs)
    try graph.saveONNX(to: files.path(name))
    return (files.path(name), graph)
  }

  private func square(_ a: [Float], _ b: [Float]) -> Double {
    zip(a, b).reduce(0) { $0 + pow(Double($1.0) - Double($1.1), 2) } / Double(a.count)
  }

  private func noise(_ shape: [Int], _ range: ClosedRange<Float>) throws -> Tensor {
    var generator = SeededGenerator(seed: 1)
    return try .random(shape, in: range, using: &generator)
  }

  private let rows = TensorType(.float32, [.symbolic("n"), 4])

  // MARK: - Losses

  /// Squared differences from what the output should be, here a half more than it is; labels of one output may be a list.
  @Test func squaredDifferences() throws {
    try ModelFiles.use { files in
      let (path, graph) = try model(Sequential(Linear(4, 16), ReLU(), Linear(16, 1)), rows, as: "m.onnx", in: files)
      let x = try Tensor.random([96, 4], seed: 1)
      let wanted = try graph.replay([x])[0].floats.map { $0 + 0.5 }
      let data = try files.put(["x": x, "y": Tensor(wanted, shape: [96])], "data.npz")
      let figures = try Octet.json(
        "qat", path, "--data", data, "--labels", "y", "--loss", "mse", "--epochs", "40", "--batch", "16",
        "--learning-rate", "0.01", "--output", files.path("q.onnx"), "--json")
      #expect(figures["loss"] as? String == "mse")
      let (float, trained) = (try score(figures, "float"), try score(figures, "trained"))
      #expect(abs(float.loss - 0.25) < 1e-5 && float.accuracy == nil)
      #expect(trained.loss < 0.05)
      // The file is what was judged.
      let found = try Session(Plan(Graph(onnx: files.path("q.onnx"))))(x).floats
      #expect(abs(square(found, wanted) - trained.loss) < 0.01)
      // Of two outputs it is not said which.
      let two = try model(Both(), rows, outputs: ["a", "b"], as: "two.onnx", in: files).path
      let refused = try Octet.run(
        "qat", two, "--data", data, "--labels", "y", "--loss", "mse", "--output", files.path("r.onnx"))
      #expect(refused.code == 1 && refused.errors.contains("one float output, for --loss mse"))
    }
  }

  /// Probabilities of student and teacher are softened by a temperature of 4.
  @Test func temperatureOfDistillation() throws {
    try ModelFiles.use { files in
      func classifier() -> Module { Sequential(Linear(4, 6), Softmax(axis: 1)) }
      let student = try model(classifier(), rows, as: "student.onnx", in: files)
      let teacher = try model(classifier(), rows, as: "teacher.onnx", seed: 2, in: files)
      let x = try noise([40, 4], -9...9)
      let figures = try Octet.json(
        "qat", student.path, "--teacher", teacher.path, "--data", files.put(["x": x], "data.npz"), "--epochs", "1",
        "--batch", "16", "--output", files.path("q.onnx"), "--json")
      // Logits are the logarithms of probabilities, but for a number for each sample that does not matter.
      let (own, others) = (try student.graph.replay([x])[0].floats, try teacher.graph.replay([x])[0].floats)
      func soft(_ row: Int, _ probabilities: [Float]) -> [Double] {
        let powers = (0..<6).map { pow(Double(probabilities[row * 6 + $0]), 1.0 / 4) }
        return powers.map { $0 / powers.reduce(0, +) }
      }
      let divergence = (0..<40).reduce(0.0) { sum, row in
        sum + zip(soft(row, others), soft(row, own)).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
      }
      let expected = 16 * divergence / 40
      let float = try score(figures, "float")
      #expect(abs(float.loss - expected) < 1e-3 * expected, "\(float.loss) instead of \(expected)")
    }
  }

  /// The statistics that a model comes with stay, unless normalization goes by the batch for some epochs.
  @Test func batchNormalization() throws {
    try ModelFiles.use { files in
      let network = Sequential(
        Conv2d(1, 4, kernelSize: 3, bias: false), BatchNorm2d(4), ReLU(), Flatten(), Linear(16, 3))
      let image = TensorType(.float32, [.symbolic("n"), 1, 4, 4])
      let (path, _) = try model(network, image, as: "m.onnx", in: files)
      // Images five times as large as those that the model knows.
      let x = try noise([120, 1, 4, 4], -3...7)
      network.isTraining = true
      for _ in 0..<60 { _ = try network(x) }
      network.isTraining = false
      let data = try files.put(["x": x, "y": network(x)], "data.npz")
      func loss(_ epochs: Int) throws -> (trained: Double, calibrated: Double) {
        let figures = try Octet.json(
          "qat", path, "--data", data, "--labels", "y", "--loss", "mse", "--batch", "12", "--epochs", "5",
          "--batch-norm-epochs", "\(epochs)", "--learning-rate", "1e-9", "--output", files.path("q.onnx"), "--json")
        return try (score(figures, "trained").loss, score(figures, "calibrated").loss)
      }
      let (kept, followed) = (try loss(0), try loss(5))
      #expect(kept.calibrated == followed.calibrated)
      #expect(abs(kept.trained - kept.calibrated) < 0.1 * kept.calibrated)
      #expect(followed.trained < 0.1 * followed.calibrated, "\(followed)")
    }
  }

  // MARK: - Models

  private final class Both: Module {
    let body = Linear(4, 8), first = Linear(8, 3), second = Linear(8, 5)
    override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = try relu(body(inputs[0]!))
      return [try first(x), try second(x)]
    }
  }

  /// All outputs count, each against its own size.
  @Test func severalOutputs() throws {
    try ModelFiles.use { files in
      let (path, graph) = try model(Both(), rows, outputs: ["a", "b"], as: "m.onnx", in: files)
      let x = try noise([96, 4], -2...2)
      let data = try files.put(["x": x], "data.npz")
      let wanted = try graph.replay([x]).map { try $0.floats }
      let figures = try Octet.json(
        "qat", path, "--data", data, "--bits", "4", "--epochs", "60", "--batch", "96", "--learning-rate", "0.003",
        "--output", files.path("q.onnx"), "--json")
      let (calibrated, trained) = try (score(figures, "calibrated").loss, score(figures, "trained"))
      #expect(trained.accuracy == nil && trained.loss <= calibrated)
      // Noise divided by signal of each output, and what the command says that the sum is.
      let found = try Session(Plan(Graph(onnx: files.path("q.onnx")))).run([x])
      let ratios = try zip(found, wanted).map { found, wanted in
        square(try found.floats, wanted) / square(wanted, [Float](repeating: 0, count: wanted.count))
      }
      #expect(abs(trained.loss - ratios.reduce(0, +)) < 0.1 * trained.loss, "\(ratios)")
    }
  }

  private final class Words: Module {
    let table = Embedding(10, 6), fc1 = Linear(18, 3)
    override func forward(_ x: Tensor) throws -> Tensor { try fc1(table(x).flatten(from: 1)) }
  }

  /// Indices of 32 bits reach the network as such.
  @Test func indices() throws {
    try ModelFiles.use { files in
      let type = TensorType(.int32, [.symbolic("n"), 3])
      let (path, graph) = try model(Words(), type, as: "m.onnx", in: files)
      let ids = try Tensor((0..<180).map { (i: Int) -> Int32 in Int32((i * 7 + i / 9) % 10) }, shape: [60, 3])
      let labels = try graph.replay([ids])[0].argmax(axis: 1, keepDimensions: false)
      let data = try files.put(["x": ids, "y": labels], "data.npz")
      let figures = try Octet.json(
        "qat", path, "--data", data, "--labels", "y", "--epochs", "2", "--batch", "20", "--output",
        files.path("q.onnx"), "--json")
      #expect(try score(figures, "float").accuracy == 1)
      let found = try Session(Plan(Graph(onnx: files.path("q.onnx"))))(ids)
      let right = try zip(
        found.argmax(axis: 1, keepDimensions: false).scalars(as: Int64.self), labels.scalars(as: Int64.self)
      ).count { $0 == $1 }
      #expect(try abs(Double(right) / 60 - (score(figures, "trained").accuracy ?? 0)) < 0.04)
    }
  }

  /// A model for eight samples at a time learns from eights; what is left over is not looked at.
  @Test func batchesOfOneSize() throws {
    try ModelFiles.use { files in
      let (path, graph) = try model(
        Sequential(Linear(4, 8), ReLU(), Linear(8, 3)), TensorType(.float32, [8, 4]), as: "m.onnx", in: files)
      var x = try Tensor.random([20, 4], seed: 1).floats
      let right = try Tensor(x, shape: [20, 4])
      let labels = try (0..<2).flatMap { part -> [Int64] in
        try graph.replay([right[part * 8..<part * 8 + 8]])[0].argmax(axis: 1, keepDimensions: false)
          .scalars(as: Int64.self)
      }
      for i in 64..<80 { x[i] = 1000 }
      let data = try files.put(
        ["x": Tensor(x, shape: [20, 4]), "y": Tensor(labels + [0, 1, 2, 0], shape: [20])], "data.npz")
      let arguments = [
        "qat", path, "--data", data, "--labels", "y", "--epochs", "3", "--output", files.path("q.onnx"), "--json",
      ]
      let figures = try Octet.json(arguments + ["--batch", "8"])
      #expect(figures["steps"] as? Int == 6)
      #expect(try score(figures, "float").accuracy == 1)
      #expect(try Graph(onnx: files.path("q.onnx")).inputs[0].type.shape == [8, 4])
      let refused = try Octet.run(arguments + ["--batch", "10"])
      #expect(refused.code == 2 && refused.errors.contains("--batch takes 8"), "\(refused.errors)")
    }
  }

  /// What went wrong after the epoch that is kept is said too.
  @Test func warningsOfLaterEpochs() throws {
    try ModelFiles.use { files in
      let network = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
      let (path, graph) = try model(network, rows, as: "m.onnx", in: files)
      let x = try Tensor.random([64, 4], seed: 1)
      let labels = try graph.replay([x])[0].argmax(axis: 1, keepDimensions: false)
      let data = try files.put(["x": x, "y": labels], "data.npz")
      let figures = try Octet.json(
        "qat", path, "--data", data, "--labels", "y", "--epochs", "6", "--batch", "16", "--learning-rate", "5",
        "--output", files.path("q.onnx"), "--json")
      let best = figures["best_epoch"] as? Int ?? 0
      #expect(best <= 3, "nothing is better than what it began with")
      // (Observers are switched off after the third.)
      let warnings = try #require(figures["warnings"] as? [String])
      #expect(warnings.contains { $0.contains("switched off while its scale still moved") }, "\(figures)")
    }
  }
}
