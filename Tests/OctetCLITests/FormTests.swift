import Foundation
import Octet
import Testing

/// What every command has in common: keys of JSON, exit codes, complaints in one line, int8 models as input.
@Suite("Form of the commands")
struct FormTests {
  private static let digits = ModelFiles.example("digits_cnn")

  /// The keys are what programs rely on; a new one is added here.
  @Test func keysOfJSON() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(4)], "data.npz")
      let (model, output) = (try files.quantizedDigits("q.onnx"), files.path("out"))
      func keys(_ arguments: String...) throws -> [String] { try Octet.json(arguments + ["--json"]).keys.sorted() }
      #expect(
        try keys("run", model, "--inputs", data, "--output", output + ".npz")
          == ["output", "outputs", "runs", "samples", "seconds"])
      #expect(
        try keys("convert", model, output + ".onnx")
          == ["bytes_after", "bytes_before", "operations", "output", "parameters"])
      #expect(
        try keys("compare", Self.digits, model, "--inputs", data)
          == ["layer_runs", "layers", "outputs", "runs", "samples"])
      #expect(
        try keys("quantize", Self.digits, "--calibration", data, "--output", output + ".onnx") == [
          "boundaries", "bytes_after", "bytes_before", "figures", "kept", "mode", "model", "output", "quantized",
        ])
      #expect(try keys("bench", model) == ["cpu", "isa", "models", "threads"])
      #expect(try keys("inspect", model, "--graph") == ["inputs", "nodes", "outputs"])
      #expect(try keys("inspect", model, "--weights") == ["weights"])
      #expect(try keys("inspect", model, "--sites") == ["sites"])
      let summary = try keys("inspect", model)
      for key in ["file", "file_bytes", "format", "inputs", "is_quantized", "operations", "outputs", "parameters"] {
        #expect(summary.contains(key), "\(key) is not among \(summary)")
      }
    }
  }

  @Test func anInt8ONNXModelGoesEverywhere() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(6)], "data.npz")
      let model = try files.quantizedDigits("q.onnx")
      let back = files.path("back.safetensors")
      for arguments in [
        ["run", model, "--inputs", data, "--output", files.path("a.npz"), "--batch", "4"],
        ["convert", model, back], ["convert", back, files.path("again.onnx")],
        ["run", files.path("again.onnx"), "--inputs", data, "--output", files.path("b.npz")],
        ["compare", Self.digits, model, "--inputs", data], ["compare", model, back, "--inputs", data],
        ["inspect", model], ["inspect", model, "--graph"], ["inspect", model, "--weights"],
        ["inspect", model, "--sites"],
        ["bench", model],
      ] {
        let result = try Octet.run(arguments)
        // Nothing on the error output: no progress in a file or pipe.
        #expect(result.code == 0 && result.errors.isEmpty && !result.output.isEmpty, "\(arguments): \(result.errors)")
      }
      // The way through both formats keeps every bit.
      #expect(
        try files.read("a.npz")["logits"]?.scalars(as: Float.self)
          == files.read("b.npz")["logits"]?.scalars(as: Float.self))
      // There is nothing left to quantize.
      let result = try Octet.run("quantize", model, "--calibration", data, "--output", files.path("qq.onnx"))
      #expect(result.code == 1 && result.errors.contains("expected a float model"), "\(result.errors)")
      #expect(try !files.names.contains("qq.onnx"))
    }
  }

  /// What the work fails of, with 1, and wrong use, with 2: one line that says where, what was expected and what found.
  @Test func complaintsAreOneLine() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(2)], "data.npz")
      let text = files.path("text.onnx")
      try Data("no model\n".utf8).write(to: URL(filePath: text))
      let wide = try files.put(["x": Tensor(zeros: [2, 1, 8, 9])], "wide.npz")
      let (digits, output) = (Self.digits, files.path("out.npz"))
      let failures: [[String]] = [
        ["inspect", files.path("none.onnx")], ["inspect", files.folder], ["inspect", text], ["inspect", data],
        ["inspect", digits, "--dimension", "M=3"], ["convert", text, files.path("b.onnx")],
        ["convert", digits, files.path("no/b.onnx")], ["convert", digits, files.folder],
        ["run", digits, "--inputs", wide, "--output", output],
        ["run", digits, "--inputs", files.path("none.npz"), "--output", output],
        ["run", digits, "--inputs", text, "--output", output],
        ["run", digits, "--inputs", data, "--output", files.path("no/out.npz")],
        ["compare", digits, ModelFiles.example("fmnist_cnn"), "--inputs", data],
        ["compare", digits, ModelFiles.example("silero_vad_16k_sequence"), "--inputs", data],
        ["quantize", digits, "--output", files.path("q.onnx")],
        ["quantize", digits, "--output", files.path("q.onnx"), "--calibration", wide],
        ["bench", files.path("none.onnx")], ["bench", digits, "--inputs", wide],
        ["conformance", files.path("none")], ["conformance", text], ["conformance", files.folder],
      ]
      let misuses: [[String]] = [
        ["inspect"], ["inspect", digits, "--graph", "--sites"], ["inspect", digits, "--dimension", "N"],
        ["convert", digits], ["run", digits, "--inputs", data], ["run", digits, "--output", output],
        ["run", digits, "--inputs", data, "--output", data], ["run", digits, "--inputs", data, "--output", digits],
        ["compare", digits, "--inputs", data], ["compare", digits, digits, "--inputs", data, "--layers", "-1"],
        ["quantize", digits, "--output", output, "--mode", "quick"], ["quantize", digits],
        ["bench", digits, "--m", "3"], ["conformance"], ["cpu", "more"], ["inspekt", digits],
      ]
      for (code, cases) in [(1 as Int32, failures), (2, misuses)] {
        for arguments in cases {
          let result = try Octet.run(arguments)
          #expect(result.code == code && result.output.isEmpty, "\(arguments): \(result.code)")
          #expect(
            result.errors.split(separator: "\n", omittingEmptySubsequences: false).count == 2, "\(result.errors)")
          #expect(result.errors.hasPrefix("octet: "))
          if code == 1 { #expect(result.errors.contains(": expected ") && result.errors.contains(", found ")) }
          // Not what only programmers know.
          for word in ["NSCocoa", "Error Domain", "malformedProtobuf", "completed"] {
            #expect(!result.errors.contains(word), "\(result.errors)")
          }
        }
      }
      #expect(try files.names == ["data.npz", "text.onnx", "wide.npz"])
    }
  }
}
