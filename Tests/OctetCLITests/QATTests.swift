import Foundation
import Octet
import OctetONNX
import TestSupport
import Testing

@Suite("octet qat")
struct QATTests {
  private let digits = ModelFiles.example("digits_cnn")

  /// Handwritten digits, from one number on.
  private func data(_ range: Range<Int>) throws -> [String: Tensor] {
    let file = try NpzFile(contentsOf: "\(packageRoot)/Examples/Data/digits.npz").tensors
    let images = try #require(file["images"])[range].scalars(as: UInt8.self).map { Float($0) / 16 }
    let labels = try #require(file["labels"])[range].scalars(as: UInt8.self).map(Int64.init)
    return [
      "x": try Tensor(images, shape: [range.count, 1, 8, 8]), "y": try Tensor(labels, shape: [range.count]),
    ]
  }

  private func score(_ figures: [String: Any], _ name: String) -> (loss: Double, accuracy: Double?) {
    let score = figures[name] as! [String: Any]
    return (score["loss"] as! Double, score["accuracy"] as? Double)
  }

  /// What is lost by calibration comes back, and the file is as good as was said.
  @Test func labelsBringFourBitsBack() throws {
    try ModelFiles.use { files in
      let training = try files.put(data(0..<1000), "train.npz")
      let validation = try files.put(data(1297..<1797), "test.npz")
      let output = files.path("q.onnx")
      let figures = try Octet.json(
        "qat", digits, "--data", training, "--labels", "y", "--validation", validation, "--bits", "4", "--epochs", "3",
        "--batch", "50", "--output", output, "--json")
      #expect(figures["loss"] as? String == "cross-entropy")
      #expect(figures["steps"] as? Int == 60)
      #expect((figures["epochs"] as? [Any])?.count == 3)
      #expect(figures["quantized"] as? Int == 7)
      let (float, calibrated, trained) = (
        score(figures, "float"), score(figures, "calibrated"), score(figures, "trained")
      )
      #expect(trained.loss < calibrated.loss)
      #expect(trained.accuracy! >= float.accuracy! - 0.005)
      #expect(figures["best_epoch"] is Int)
      #expect(Double(figures["bytes_after"] as! Int) < 0.36 * Double(figures["bytes_before"] as! Int))
      // The file is what was judged, in integers.
      let graph = try Graph(onnx: output)
      let test = try data(1297..<1797)
      let logits = try Session(Plan(graph))(test["x"]!)
      let found = try logits.argmax(axis: 1, keepDimensions: false).scalars(as: Int64.self)
      let right = try zip(found, test["y"]!.scalars(as: Int64.self)).count { $0 == $1 }
      #expect(abs(Double(right) / 500 - trained.accuracy!) <= 0.004)
      // Of 16 integers.
      let weights = graph.parameters.filter { $0.value.value.dtype == .int8 && $0.value.value.rank > 1 }
      #expect(weights.count == 4)
      for (name, weight) in weights {
        #expect(try weight.value.scalars(as: Int8.self).allSatisfy { (-8...7).contains($0) }, "\(name)")
      }
      #expect(try files.names == ["q.onnx", "test.npz", "train.npz"])
    }
  }

  /// Without labels the network learns from what it says itself in float.
  @Test func distillation() throws {
    try ModelFiles.use { files in
      var samples = try data(0..<200)
      samples["y"] = nil
      let training = try files.put(samples, "train.npz")
      let arguments = [
        "qat", digits, "--data", training, "--qconfig", "qnnpack", "--bits", "4", "--epochs", "3", "--batch", "20",
      ]
      let figures = try Octet.json(arguments + ["--output", files.path("q.onnx"), "--json"])
      #expect(figures["loss"] as? String == "distill")
      let (float, calibrated, trained) = (
        score(figures, "float"), score(figures, "calibrated"), score(figures, "trained")
      )
      #expect(float.accuracy == 1 && abs(float.loss) < 1e-6)
      #expect(trained.loss < 0.5 * calibrated.loss)
      // Scales that learn; another teacher, which is the same; for people.
      let result = try Octet.run(
        arguments + [
          "--learned-scales", "--teacher", digits, "--threads", "2", "--output", files.path("p.safetensors"),
        ])
      #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
      #expect(result.output.contains("qat: 7 of 7 nodes quantized"))
      #expect(result.output.contains("calibrated"))
      #expect(!result.output.contains("█"), "plots are for terminals")
    }
  }

  /// Steps that are too long make it worse again: the best epoch, or what there was before, is what is kept.
  @Test(arguments: ["0.003", "3"]) func theBestIsKept(_ rate: String) throws {
    try ModelFiles.use { files in
      let figures = try Octet.json(
        "qat", digits, "--data", files.put(data(0..<150), "train.npz"), "--labels", "y", "--epochs", "6", "--batch",
        "50",
        "--validation", files.put(data(1297..<1497), "test.npz"), "--learning-rate", rate, "--output",
        files.path("q.safetensors"), "--json")
      let (calibrated, trained) = (score(figures, "calibrated"), score(figures, "trained"))
      let epochs = (figures["epochs"] as! [[String: Any]]).map { score($0, "judged") }
      if let best = figures["best_epoch"] as? Int {
        #expect(trained == epochs[best - 1])
      } else {
        #expect(trained == calibrated)
      }
      #expect(epochs.allSatisfy { $0.accuracy! <= trained.accuracy! })
      #expect(trained.accuracy! >= calibrated.accuracy!)
    }
  }

  @Test func whatWasStoppedGoesOn() throws {
    try ModelFiles.use { files in
      let training = try files.put(data(0..<100), "train.npz")
      func train(_ epochs: Int, _ output: String, _ more: String...) throws -> [String: Any] {
        try Octet.json(
          [
            "qat", digits, "--data", training, "--labels", "y", "--epochs", "\(epochs)", "--output", files.path(output),
            "--json",
          ]
            + more)
      }
      let straight = try train(4, "a.safetensors")
      let folder = files.path("checkpoints")
      let stopped = try train(4, "b.safetensors", "--checkpoint", folder)
      #expect(FileManager.default.fileExists(atPath: "\(folder)/checkpoint.safetensors"))
      let again = try train(4, "c.safetensors", "--checkpoint", folder)
      for name in ["a", "b", "c"].map({ files.path("\($0).safetensors") }) {
        #expect(
          try Data(contentsOf: URL(filePath: name)) == Data(contentsOf: URL(filePath: files.path("a.safetensors"))))
      }
      try Data("nothing".utf8).write(to: URL(filePath: "\(folder)/checkpoint.safetensors"))
      let damaged = try Octet.run(
        "qat", digits, "--data", training, "--labels", "y", "--output", files.path("d.safetensors"), "--checkpoint",
        folder)
      #expect(damaged.code == 1 && damaged.errors.contains("checkpoint.safetensors"))
      #expect((straight["epochs"] as! [[String: Any]]).count == 4)
      #expect((stopped["epochs"] as! NSArray) == (again["epochs"] as! NSArray))
    }
  }

  @Test func mistakes() throws {
    try ModelFiles.use { files in
      let training = try files.put(data(0..<40), "train.npz")
      let output = files.path("q.onnx")
      func errors(_ code: Int32, data: String? = nil, _ arguments: String...) throws -> String {
        let result = try Octet.run(
          ["qat", digits, "--data", data ?? training, "--output", output, "--epochs", "1"] + arguments)
        #expect(result.code == code, "\(arguments): \(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: output))
        return result.errors
      }
      #expect(try errors(2, "--bits", "5").contains("8 or 4"))
      #expect(try errors(2, "--loss", "cross-entropy").contains("--labels"))
      #expect(try errors(2, "--loss", "distill", "--labels", "y").contains("--labels"))
      #expect(try errors(2, "--labels", "y", "--teacher", digits).contains("--teacher"))
      #expect(try errors(2, "--learning-rate", "0").contains("--learning-rate"))
      #expect(try errors(1, "--labels", "labels").contains("such as"))
      #expect(try errors(1, "--qconfig", "fbgem").contains("fbgemm"))
      #expect(try errors(1, "--skip", "nothing*").contains("nothing*"))
      #expect(try errors(1, data: files.path("none.npz")).contains("none.npz"))
      #expect(try errors(1, data: files.put(["z": Tensor(zeros: [3, 1, 8, 8])], "other.npz")).contains("x"))
      #expect(try errors(1, data: files.put(["x": Tensor(zeros: [3, 1, 9, 8])], "size.npz")).contains("[N, 1, 8, 8]"))
      let nan = try Tensor(repeating: Float.nan, shape: [3, 1, 8, 8])
      #expect(try errors(1, data: files.put(["x": nan], "nan.npz")).contains("NaN"))
      let bytes = try Tensor([UInt8](repeating: 1, count: 192), shape: [3, 1, 8, 8])
      #expect(try errors(1, data: files.put(["x": bytes], "bytes.npz")).contains("float32"))
      var wrong = try data(0..<40)
      wrong["y"] = try Tensor([Int64](repeating: 10, count: 40), shape: [40])
      #expect(try errors(1, data: files.put(wrong, "classes.npz"), "--labels", "y").contains("0..<10"))
      wrong["y"] = try Tensor(zeros: [40])
      #expect(try errors(1, data: files.put(wrong, "real.npz"), "--labels", "y").contains("integers"))
      #expect(try Octet.run("qat", digits, "--data", training, "--output", training).code == 2)
      let other = ModelFiles.example("silero_vad_16k_sequence")
      #expect(try Octet.run("qat", other, "--data", training, "--output", output).code == 1)
      let quantized = try files.quantizedDigits()
      #expect(try Octet.run("qat", quantized, "--data", training, "--output", output).errors.contains("float model"))
    }
  }
}
