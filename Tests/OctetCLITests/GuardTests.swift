import Foundation
import Octet
import OctetONNX
import TestSupport
import Testing

/// Networks in which one part ruins the result when it is quantized.
@Suite("the guard of octet quantize")
struct GuardTests {
  /// One of its inputs is thousands of times as large as the others, and divided again by the first layer.
  private final class Huge: Module {
    let first = Linear(8, 16)
    let second = Linear(16, 16)
    let third = Linear(16, 4)

    override func forward(_ x: Tensor) throws -> Tensor { try third(relu(second(relu(first(x))))) }
  }

  /// Squares of a filtered signal before a logarithm.
  private final class Spectrum: Module {
    let filters = Conv1d(1, 8, kernelSize: 8, stride: 4)
    let features = Conv1d(8, 8, kernelSize: 3)
    let classes = Linear(8 * 13, 4)

    override func forward(_ x: Tensor) throws -> Tensor {
      let filtered = try filters(x)
      let power = try clip(filtered * filtered, minimum: 1e-6, maximum: 1e6)
      return try classes(relu(features(log(power))).flatten(from: 1))
    }
  }

  private func noise(_ count: Int, seed: UInt64) throws -> [Float] {
    try Tensor.random([count], seed: seed).scalars(as: Float.self)
  }

  private func huge(_ files: ModelFiles) throws -> (model: String, data: String) {
    let net = Huge()
    try net.initialize(seed: 3)
    let weight = try net.first.weight.value.scalars(as: Float.self).enumerated().map { $0 % 8 == 2 ? $1 / 4000 : $1 }
    net.first.weight.value = try Tensor(weight, shape: [16, 8])
    try net.trace(TensorType(.float32, [.symbolic("n"), 8])).saveONNX(to: files.path("huge.onnx"))
    let x = try noise(64 * 8, seed: 5).enumerated().map { $0 % 8 == 2 ? $1 * 4000 : $1 }
    return (files.path("huge.onnx"), try files.put(["x": Tensor(x, shape: [64, 8])], "huge.npz"))
  }

  private func figures(_ report: [String: Any]) throws -> (sqnr: Double, guard: [String: Any]?) {
    let figures = report["figures"] as! [String: Any]
    return (
      (figures["outputs"] as! [[String: Any]])[0]["sqnr_db"] as? Double ?? .infinity, figures["guard"] as? [String: Any]
    )
  }

  @Test(arguments: ["static", "dynamic"]) func aFirstLayerOverAHugeRange(mode: String) throws {
    try ModelFiles.use { files in
      let (model, data) = try huge(files)
      func quantize(_ arguments: String...) throws -> [String: Any] {
        try Octet.json(
          ["quantize", model, "--calibration", data, "--mode", mode, "--output", files.path("q.onnx"), "--json"]
            + arguments)
      }
      let plain = try quantize("--no-guard")
      let before = try figures(plain)
      #expect(before.sqnr < 15)
      #expect(before.guard == nil)
      let report = try quantize()
      let after = try figures(report)
      #expect(after.sqnr > 30)
      let said = try #require(after.guard)
      #expect((said["outputs_before"] as! [[String: Any]])[0]["sqnr_db"] as! Double == before.sqnr)
      let findings = said["findings"] as! [[String: Any]]
      #expect(findings[0]["value"] as? String == "x" && findings[0]["nodes"] as? [String] == ["first.linear"])
      #expect((findings[0]["sqnr_alone_db"] as! Double) < 10)
      // The layer is among those in float, the others are not.
      let kept = (report["kept"] as! [[String: Any]]).first { ($0["reason"] as! String).contains("guard") }
      #expect(kept?["nodes"] as? [String] == ["first.linear"])
      // The file that was written is the one that the figures are of.
      let graph = try Graph(onnx: files.path("q.onnx"))
      #expect(!graph.nodes.contains { $0.op.kind == .quantizeLinear && $0.inputs[0] == "x" })
      #expect(!graph.nodes.contains { $0.op.kind == .dynamicQuantize && $0.inputs[0] == "x" })
    }
  }

  @Test func aSpectrumBeforeALogarithm() throws {
    try ModelFiles.use { files in
      let net = Spectrum()
      try net.initialize(seed: 2)
      try net.trace(TensorType(.float32, [.symbolic("n"), 1, 64])).saveONNX(to: files.path("s.onnx"))
      // Loud and quiet signals.
      let x = try noise(32 * 64, seed: 1).enumerated().map { $1 * [Float(1), 0.1, 0.01, 0.001][$0 / 64 % 4] }
      let data = try files.put(["x": Tensor(x, shape: [32, 1, 64])], "s.npz")
      func quantize(_ arguments: String...) throws -> [String: Any] {
        try Octet.json(
          ["quantize", files.path("s.onnx"), "--calibration", data, "--output", files.path("q.onnx"), "--json"]
            + arguments)
      }
      let before = try figures(quantize("--no-guard"))
      let report = try quantize()
      let after = try figures(report)
      #expect(before.sqnr < 15)
      #expect(after.sqnr > before.sqnr + 10)
      let left = try #require(
        (report["kept"] as! [[String: Any]]).first { ($0["reason"] as! String).contains("guard") })
      #expect((left["nodes"] as! [String]).contains("log"))
      // What comes behind is still integer, and every weight is stored as integers.
      let graph = try Graph(onnx: files.path("q.onnx"))
      #expect(graph.parameters.values.count { $0.value.dtype == .int8 } == 3)
      #expect(try Plan(graph).integerNodes.count >= 2)
    }
  }

  /// One number that is a thousand times as large as the others of its channel, where a value that is nearly 0 meets it.
  @Test func anOutlierAmongTheWeights() throws {
    try ModelFiles.use { files in
      let net = Huge()
      try net.initialize(seed: 3)
      let weight = try net.first.weight.value.scalars(as: Float.self).enumerated().map { $0 % 8 == 2 ? $1 * 4000 : $1 }
      net.first.weight.value = try Tensor(weight, shape: [16, 8])
      try net.trace(TensorType(.float32, [.symbolic("n"), 8])).saveONNX(to: files.path("o.onnx"))
      let x = try noise(64 * 8, seed: 5).enumerated().map { $0 % 8 == 2 ? $1 / 4000 : $1 }
      let data = try files.put(["x": Tensor(x, shape: [64, 8])], "o.npz")
      for mode in ["static", "weight-only"] {
        let report = try Octet.json(
          "quantize", files.path("o.onnx"), "--calibration", data, "--mode", mode, "--output", files.path("q.onnx"),
          "--json")
        let after = try figures(report)
        #expect(after.sqnr > 25)
        let findings = try #require(after.guard)["findings"] as! [[String: Any]]
        let weight = try #require(findings.first { $0["kind"] as? String == "weight" })
        #expect(weight["value"] as? String == "first.weight" && weight["remedy"] as? String == "stored in float")
      }
    }
  }

  /// What is good is left as it is.
  @Test func aGoodResultStays() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(64)], "images.npz")
      let report = try Octet.json(
        "quantize", ModelFiles.example("digits_cnn"), "--calibration", data, "--output", files.path("q.onnx"), "--json")
      #expect(try figures(report).guard == nil)
    }
  }

  /// The scale of the input is the one that the observer finds by itself.
  @Test(arguments: [
    ("minMax", MinMaxObserver() as any Observer), ("movingAverageMinMax", MovingAverageMinMaxObserver()),
    ("percentile", PercentileObserver()), ("entropy", EntropyObserver()), ("mse", MSEObserver()),
  ])
  func otherObservers(name: String, observer: any Observer) throws {
    try ModelFiles.use { files in
      let images = try files.digits(32)
      _ = try Octet.json(
        "quantize", ModelFiles.example("digits_cnn"), "--calibration", files.put(["x": images], "images.npz"),
        "--observer", name, "--batch", "32", "--output", files.path("q.onnx"), "--json")
      var observer = observer
      try observer.observe(images)
      let found = try Graph(onnx: files.path("q.onnx")).activationSummaries().first?.quantization
      #expect(try found == observer.calculateQParams())
    }
  }

  /// A few samples are spoilt by a range that others do not have: those are looked at.
  @Test func rareOutliers() throws {
    try ModelFiles.use { files in
      let (model, data) = try huge(files)
      let all = try NpzFile(contentsOf: data).tensors["x"]!.scalars(as: Float.self)
      let x = all.enumerated().map { $0 % 8 == 2 && $0 / 8 % 16 != 15 ? 0 : $1 }
      let rare = try files.put(["x": Tensor(x, shape: [64, 8])], "rare.npz")
      let report = try Octet.json(
        "quantize", model, "--calibration", rare, "--mode", "dynamic", "--output", files.path("q.onnx"), "--json")
      let said = try #require(figures(report).guard)
      let finding = try #require((said["findings"] as! [[String: Any]]).first)
      #expect(finding["value"] as? String == "x" && (finding["sqnr_alone_db"] as! Double) < 15)
    }
  }
}
