import Foundation
import Octet
import OctetONNX
import Testing

@Suite("octet quantize")
struct QuantizeTests {
  private let digits = ModelFiles.example("digits_cnn")

  @Test func staticFromDataToONNX() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(64)], "images.npz")
      let (output, report) = (files.path("q.onnx"), files.path("report.json"))
      let figures = try Octet.json(
        "quantize", digits, "--calibration", data, "--batch", "16", "--output", output, "--report", report, "--json")
      #expect(figures["mode"] as? String == "static")
      #expect(figures["quantized"] as? Int == 7 && (figures["kept"] as? [Any])?.isEmpty == true)
      #expect(figures["boundaries"] as? Int == 2)
      let (before, after) = (figures["bytes_before"] as! Int, figures["bytes_after"] as! Int)
      #expect(Double(after) < 0.36 * Double(before))
      let compared = figures["figures"] as! [String: Any]
      #expect(compared["samples"] as? Int == 64)
      let logits = (compared["outputs"] as! [[String: Any]])[0]
      #expect(logits["name"] as? String == "logits")
      #expect(logits["sqnr_db"] as! Double > 25 && logits["argmax_agreement"] as! Double > 0.95)
      // The report is the same, and the file what was compared.
      let saved = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: report))) as! [String: Any]
      #expect(saved["bytes_after"] as? Int == after)
      let plan = try Plan(Graph(onnx: output))
      #expect(plan.integerNodes.count >= 5)
      #expect(try files.names == ["images.npz", "q.onnx", "report.json"])
    }
  }

  @Test func layersThatAreSkippedOrChosen() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(8)], "images.npz")
      func quantize(_ arguments: String...) throws -> (quantized: Int, kept: Set<String>) {
        let figures = try Octet.json(
          ["quantize", digits, "--output", files.path("q.safetensors"), "--json"] + arguments)
        let kept = (figures["kept"] as! [[String: Any]]).flatMap { $0["nodes"] as! [String] }
        return (figures["quantized"] as! Int, Set(kept))
      }
      let skipped = try quantize("--calibration", data, "--skip", "*Gemm*")
      #expect(skipped.kept.contains("/l/Gemm") && skipped.quantized < 7)
      let chosen = try quantize("--mode", "dynamic", "--only", "*Gemm*")
      #expect(chosen.quantized == 1 && !chosen.kept.contains("/l/Gemm"))
      let weights = try quantize("--mode", "weight-only", "--int4", "--calibration", data)
      #expect(weights.quantized == 1)
    }
  }

  /// Recurrent layers need no data.
  @Test func theModeFollowsFromTheModel() throws {
    try ModelFiles.use { files in
      let silero = ModelFiles.example("silero_vad_16k_sequence")
      let figures = try Octet.json("quantize", silero, "--output", files.path("s.onnx"), "--json")
      #expect(figures["mode"] as? String == "dynamic")
      #expect(Double(figures["bytes_after"] as! Int) < 0.28 * Double(figures["bytes_before"] as! Int))
    }
  }

  @Test func mistakes() throws {
    try ModelFiles.use { files in
      let (data, output) = (try files.put(["x": files.digits(4)], "images.npz"), files.path("q.onnx"))
      func errors(_ code: Int32, _ arguments: String...) throws -> String {
        let result = try Octet.run(["quantize", digits, "--output", output] + arguments)
        #expect(result.code == code, "\(arguments): \(result.errors)")
        return result.errors
      }
      let none = try errors(1)
      #expect(none.contains("--calibration") && none.contains("x: float32 [N, 1, 8, 8]"))
      #expect(try errors(2, "--int4", "--calibration", data).contains("weight-only"))
      #expect(try errors(2, "--mode", "dynamic", "--qconfig", "x86").contains("static"))
      #expect(try errors(2, "--skip", "a", "--only", "b", "--calibration", data).contains("exclude"))
      #expect(try errors(1, "--qconfig", "fbgem", "--calibration", data).contains("fbgemm"))
      #expect(try errors(1, "--skip", "nothing*", "--calibration", data).contains("nothing*"))
      #expect(try errors(1, "--calibration", files.path("none.npz")).contains("none.npz"))
      let wrong = try files.put(["y": files.digits(4)], "wrong.npz")
      #expect(try errors(1, "--calibration", wrong).contains("x"))
      // NaN: which sample, before anything has been spoilt.
      var numbers = try files.digits(4).scalars(as: Float.self)
      numbers[2 * 64 + 5] = .nan
      let spoilt = try files.put(["x": Tensor(numbers, shape: [4, 1, 8, 8])], "nan.npz")
      #expect(try errors(1, "--calibration", spoilt).contains("nan.npz: run 3: input x: expected finite numbers"))
      // Places are looked at before the work is done.
      #expect(try errors(1, "--calibration", data, "--report", files.path("no/r.json")).contains("no/r.json"))
      #expect(try errors(1, "--calibration", data, "--report", files.folder).contains("a folder"))
      #expect(try errors(2, "--calibration", data, "--report", output).contains("the same"))
      #expect(try errors(2, "--calibration", data, "--report", data).contains("the same"))
      let place = try Octet.run("quantize", digits, "--calibration", data, "--output", files.path("no/q.onnx"))
      #expect(place.code == 1 && place.errors.contains("no/q.onnx"))
      let itself = try Octet.run("quantize", digits, "--calibration", data, "--output", digits)
      #expect(itself.code == 2 && itself.errors.contains("the same"))
      // Nothing was written.
      #expect(try files.names == ["images.npz", "nan.npz", "wrong.npz"])
    }
  }

  /// In an ONNX file a residual sum is an operation of its own, in a saved model a part of the convolution.
  @Test func residualSums() throws {
    final class Block: Module {
      let first = Conv2d(1, 4, kernelSize: 3, padding: 1)
      let second = Conv2d(4, 4, kernelSize: 3, padding: 1)

      override func forward(_ x: Tensor) throws -> Tensor {
        let y = try relu(first(x))
        return try relu(second(y) + y)
      }
    }
    try ModelFiles.use { files in
      let net = Block()
      try net.initialize(seed: 4)
      try net.trace(TensorType(.float32, [.symbolic("n"), 1, 8, 8])).saveONNX(to: files.path("r.onnx"))
      let data = try files.put(["x": files.digits(16)], "images.npz")
      for (output, kinds) in [("q.onnx", [Op.Kind.conv, .conv, .add]), ("q.safetensors", [.conv, .conv])] {
        let figures = try Octet.json(
          "quantize", files.path("r.onnx"), "--calibration", data, "--output", files.path(output), "--json")
        #expect(((figures["figures"] as! [String: Any])["outputs"] as! [[String: Any]])[0]["sqnr_db"] as! Double > 25)
        let path = files.path(output)
        let graph = try output.hasSuffix(".onnx") ? Graph(onnx: path) : Graph(contentsOf: path)
        #expect(graph.nodes.map(\.op.kind).filter { [.conv, .add].contains($0) } == kinds)
        #expect(try Plan(graph).integerNodes.count >= kinds.count)
      }
    }
  }
}
