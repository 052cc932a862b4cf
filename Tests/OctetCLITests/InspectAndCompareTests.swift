import Foundation
import Octet
import Testing

@Suite("octet inspect, compare and bench of models")
struct InspectAndCompareTests {
  @Test func aFloatModelInShort() throws {
    let model = ModelFiles.example("fmnist_cnn")
    let report = try Octet.json("inspect", model, "--json")
    #expect(report["format"] as? String == "ONNX" && report["is_quantized"] as? Bool == false)
    #expect(report["opsets"] as? [String: Int] == ["": 13])
    #expect(report["parameters"] as? Int == 225_050)
    #expect(report["parameter_bytes"] as? [String: Int] == ["float32": 900_200])
    let inputs = try #require(report["inputs"] as? [[String: Any]])
    #expect(inputs.first?["shape"] as? [String] == ["N", "1", "28", "28"])
    #expect(inputs.first?["first_axis"] as? String == "batch")
    let text = try Octet.run("inspect", model)
    #expect(text.code == 0 && text.output.contains("producer    pytorch") && text.output.contains("3 conv"))
  }

  @Test func aQuantizedModelFromEverySide() throws {
    try ModelFiles.use { files in
      let model = try files.quantizedDigits()
      let report = try Octet.json("inspect", model, "--json")
      #expect(report["is_quantized"] as? Bool == true && report["boundaries"] as? Int == 2)
      #expect(report["float_reasons"] as? [[String: Any]] != nil)
      #expect(report["runs_in_integers"] as? Int ?? 0 > 0)
      let weights = try #require(try Octet.json("inspect", model, "--weights", "--json")["weights"] as? [[String: Any]])
      let stored = weights.filter { $0["dtype"] as? String == "int8" }
      #expect(!stored.isEmpty && stored.allSatisfy { $0["smallest_scale"] is Double && $0["largest"] is Double })
      let sites = try #require(try Octet.json("inspect", model, "--sites", "--json")["sites"] as? [[String: Any]])
      #expect(sites.first?["maker"] as? String == "input x" && sites.first?["scale"] is Double)
      let graph = try Octet.json("inspect", model, "--graph", "--json")
      #expect((graph["nodes"] as? [[String: Any]])?.contains { $0["operation"] as? String == "quantizeLinear" } == true)
      for (flag, word) in [("--graph", "zero point"), ("--weights", "used by"), ("--sites", "made by")] {
        let text = try Octet.run("inspect", model, flag)
        #expect(text.code == 0 && text.output.contains(word) && text.errors.isEmpty)
      }
    }
  }

  @Test func theSameModelDoesNotDiffer() throws {
    let model = ModelFiles.example("digits_cnn")
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(5)], "data.npz")
      let report = try Octet.json("compare", model, model, "--inputs", data, "--batch", "2", "--layers", "2", "--json")
      #expect(report["samples"] as? Int == 5 && report["runs"] as? Int == 3 && report["layer_runs"] as? Int == 2)
      let output = try #require((report["outputs"] as? [[String: Any]])?.first)
      #expect(output["sqnr_db"] as? String == "inf" && output["largest_difference"] as? Double == 0)
      #expect(output["argmax_agreement"] as? Double == 1 && output["elements"] as? Int == 50)
      #expect((report["layers"] as? [[String: Any]])?.isEmpty == false)
    }
  }

  @Test func anInt8ModelDiffersALittle() throws {
    let model = ModelFiles.example("digits_cnn")
    try ModelFiles.use { files in
      let quantized = try files.quantizedDigits()
      let data = try files.put(["x": files.digits(40)], "data.npz")
      let report = try Octet.json("compare", model, quantized, "--inputs", data, "--batch", "16", "--json")
      let output = try #require((report["outputs"] as? [[String: Any]])?.first)
      let sqnr = try #require(output["sqnr_db"] as? Double)
      #expect(sqnr > 15 && sqnr < 80)
      #expect(output["argmax_agreement"] as? Double ?? 0 > 0.8)
      let layers = try #require(report["layers"] as? [[String: Any]])
      let figures = layers.compactMap { $0["sqnr_db"] as? Double }
      #expect(!figures.isEmpty && figures == figures.sorted())
      let text = try Octet.run("compare", model, quantized, "--inputs", data)
      #expect(text.code == 0 && text.output.contains("same arg-max") && text.output.contains("the worst first"))
    }
  }

  @Test func modelsThatCannotBeCompared() throws {
    let model = ModelFiles.example("digits_cnn")
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(1)], "data.npz")
      let result = try Octet.run("compare", model, try files.twoInputs(), "--inputs", data)
      #expect(result.code == 1 && result.errors.contains("expected the inputs of") && result.errors.contains("x, y"))
    }
  }

  @Test func modelsAreTimedStepByStep() throws {
    try ModelFiles.use { files in
      let paths = [ModelFiles.example("digits_cnn"), try files.quantizedDigits()]
      let report = try Octet.json(["bench"] + paths + ["--json"])
      let models = try #require(report["models"] as? [[String: Any]])
      #expect(models.map { $0["form"] as? String } == ["float32", "int8"])
      for model in models {
        #expect(model["best_ms"] as? Double ?? 0 > 0)
        let steps = try #require(model["steps"] as? [[String: Any]])
        let shares = steps.compactMap { $0["share"] as? Double }
        #expect(steps.count > 3 && abs(shares.reduce(0, +) - 1) < 1e-6)
        #expect(steps.allSatisfy { $0["best_us"] as? Double ?? -1 >= 0 })
      }
      let text = try Octet.run("bench", paths[1], "--inputs", try files.put(["x": files.digits(3)], "data.npz"))
      #expect(text.code == 0 && text.output.contains("best_us"))
    }
  }

  @Test func sizesThatAModelLeavesOpenAreAskedFor() throws {
    let model = ModelFiles.example("silero_vad_16k_sequence")
    let result = try Octet.run("bench", model)
    #expect(result.code == 1 && result.errors.contains("--dimension sequence_length"))
    #expect(try Octet.run("bench", model, "--dimension", "sequence_length=2", "--json").code == 0)
    #expect(try Octet.run("inspect", model, "--dimension", "nope=2").code == 1)
  }

  @Test(arguments: [
    (["inspect", "a.onnx", "--graph", "--sites"], "combined"), (["inspect"], "model"),
    (["bench", "a.onnx", "--m", "2"], "--inputs"), (["bench", "gemm", "--inputs", "a.npz"], "model files"),
    (["compare", "a.onnx", "b.onnx"], "--inputs"),
    (["compare", "a.onnx", "b.onnx", "--inputs", "c.npz", "--layers", "-1"], "--layers"),
  ])
  func wrongUse(_ arguments: [String], _ complaint: String) throws {
    let result = try Octet.run(arguments)
    #expect(result.code == 2 && result.errors.contains(complaint) && result.output.isEmpty)
  }
}
