import Foundation
import Octet
import TestSupport
import Testing

@Suite("octet run")
struct RunTests {
  @Test(arguments: ["digits_cnn", "fmnist_cnn"], [1, 2, 5]) func givesWhatONNXRuntimeGives(_ name: String, batch: Int)
    throws
  {
    let vectors = try ModelFiles.vectors(name)
    try ModelFiles.use { files in
      let data = try files.put(["x": vectors.tensor("input/x")], "data.npz")
      let result = try Octet.run(
        "run", ModelFiles.example(name), "--inputs", data, "--output", files.path("out.npz"), "--batch", "\(batch)")
      #expect(result.code == 0 && result.errors.isEmpty)
      let outputs = try files.read("out.npz")
      #expect(outputs.count == 1)
      let found = try #require(outputs["logits"])
      #expect(try discrepancy(found, vectors.tensor("output/logits"), absolute: 1e-4, relative: 0) == nil)
      #expect(try files.names == ["data.npz", "out.npz"])
    }
  }

  /// A sequence first: the file is one sample, or has an axis of samples in front.
  @Test func aSequenceIsNoBatch() throws {
    let vectors = try ModelFiles.vectors("silero_vad_16k_sequence")
    let model = ModelFiles.example("silero_vad_16k_sequence")
    let (input, h, c) = (
      try vectors.tensor("input/input"), try vectors.tensor("input/h"), try vectors.tensor("input/c")
    )
    try ModelFiles.use { files in
      let data = try files.put(["input": input, "h": h, "c": c], "one.npz")
      let report = try Octet.json("run", model, "--inputs", data, "--output", files.path("out.npz"), "--json")
      #expect(report["runs"] as? Int == 1 && report["samples"] as? Int == 1)
      for (name, tensor) in try files.read("out.npz") {
        #expect(try discrepancy(tensor, vectors.tensor("output/\(name)"), absolute: 1e-4, relative: 0) == nil)
      }

      let twice = try Tensor(input.scalars(as: Float.self) + input.scalars(as: Float.self), shape: [2] + input.shape)
      let two = try files.put(["input": twice, "h": h, "c": c], "two.npz")
      #expect(
        try Octet.json("run", model, "--inputs", two, "--output", files.path("out2.npz"), "--json")["runs"] as? Int == 2
      )
      for (name, tensor) in try files.read("out2.npz") {
        let expected = try vectors.tensor("output/\(name)")
        #expect(tensor.shape == [2] + expected.shape)
        for sample in 0..<2 {
          let one = try tensor[sample..<sample + 1].reshape(expected.shape)
          #expect(try discrepancy(one, expected, absolute: 1e-4, relative: 0) == nil)
        }
      }

      let wrong = try Octet.run("run", model, "--inputs", data, "--output", files.path("x.npz"), "--batch", "2")
      #expect(wrong.code == 2 && wrong.errors.contains("no batch axis"))
      #expect(try !files.names.contains("x.npz"))
    }
  }

  @Test func aFolderIsOneRunForEachFile() throws {
    let vectors = try ModelFiles.vectors("digits_cnn")
    let (x, logits) = (try vectors.tensor("input/x"), try vectors.tensor("output/logits"))
    try ModelFiles.use { files in
      _ = try files.put(["x": x], "in/all.npz")
      _ = try files.put(["x": x[0..<1]], "in/first.npz")
      let result = try Octet.run(
        "run", ModelFiles.example("digits_cnn"), "--inputs", files.path("in"), "--output", files.path("out"))
      #expect(result.code == 0)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: files.path("out")).sorted() == ["all.npz", "first.npz"])
      for (name, expected) in [("all", logits), ("first", try logits[0..<1])] {
        let found = try #require(try files.read("out/\(name).npz")["logits"])
        #expect(try discrepancy(found, expected, absolute: 1e-4, relative: 0) == nil)
      }
      let wrong = try Octet.run(
        "run", ModelFiles.example("digits_cnn"), "--inputs", files.path("in"), "--output", files.path("in"))
      #expect(wrong.code == 2 && wrong.errors.contains("same"))
    }
  }

  @Test func severalInputsRunInStep() throws {
    try ModelFiles.use { files in
      let model = try files.twoInputs()
      let x = try Tensor((0..<10).map { Float($0) }, shape: [5, 2])
      let y = try Tensor((0..<10).map { Float(100 * $0) }, shape: [5, 2])
      let data = try files.put(["x": x, "y": y, "labels": Tensor([Int64(1)], shape: [1])], "data.npz")
      let result = try Octet.run("run", model, "--inputs", data, "--output", files.path("out.npz"), "--batch", "2")
      #expect(result.code == 0 && result.output.contains("5 samples, 3 runs") && result.output.contains("labels"))
      #expect(try files.read("out.npz")["sum"]?.scalars(as: Float.self) == (0..<10).map { Float(101 * $0) })

      let uneven = try files.put(["x": x, "y": y[0..<4]], "uneven.npz")
      let wrong = try Octet.run("run", model, "--inputs", uneven, "--output", files.path("no.npz"))
      #expect(
        wrong.code == 1 && wrong.errors.contains("input y: expected 5 samples") && wrong.errors.contains("found 4"))
      #expect(try !files.names.contains("no.npz"))
    }
  }

  @Test func integersAndTruthValues() throws {
    try ModelFiles.use { files in
      let model = try files.lookup()
      let ids = (0..<21).map { Int64($0 % 8) }, mask = (0..<21).map { $0 % 3 != 0 }
      let expected = zip(ids, mask).map { $1 ? Float(10 * $0) : -1 }
      func tensors(_ rows: Range<Int>) throws -> [String: Tensor] {
        let elements = 3 * rows.lowerBound..<3 * rows.upperBound
        return [
          "ids": try Tensor(Array(ids[elements]), shape: [rows.count, 3]),
          "mask": try Tensor(Array(mask[elements]), shape: [rows.count, 3]),
          "x": try Tensor([Float](repeating: -1, count: 3 * rows.count), shape: [rows.count, 3]),
        ]
      }
      let data = try files.put(tensors(0..<7), "data.npz")
      for batch in ["1", "3", "7"] {
        let result = try Octet.run("run", model, "--inputs", data, "--output", files.path("o.npz"), "--batch", batch)
        #expect(result.code == 0, "\(result.errors)")
        let found = try #require(files.read("o.npz")["y"])
        #expect(try found.shape == [7, 3] && found.scalars(as: Float.self) == expected)
      }
      _ = try files.put(tensors(0..<2), "in/a.npz")
      _ = try files.put(tensors(2..<7), "in/b.npz")
      #expect(try Octet.run("run", model, "--inputs", files.path("in"), "--output", files.path("out")).code == 0)
      let (a, b) = (try #require(files.read("out/a.npz")["y"]), try #require(files.read("out/b.npz")["y"]))
      #expect(try a.scalars(as: Float.self) + b.scalars(as: Float.self) == expected)

      // An index that the table does not have: which run of which file.
      var wrong = try tensors(0..<7)
      wrong["ids"] = try Tensor(ids.map { $0 == 6 ? 99 : $0 }, shape: [7, 3])
      let result = try Octet.run(
        "run", model, "--inputs", files.put(wrong, "wrong.npz"), "--output", files.path("no.npz"))
      #expect(result.code == 1 && result.errors.contains("wrong.npz: run 3: gather: indices"), "\(result.errors)")
      #expect(try !files.names.contains("no.npz"))
    }
  }

  /// A model for one sample takes many, one by one.
  @Test func aBatchOfOneIsFixed() throws {
    try ModelFiles.use { files in
      let model = try files.twoInputs(rows: 1)
      let x = try Tensor((0..<10).map { Float($0) }, shape: [5, 2])
      for y in [x, try x.reshape([5, 1, 2])] {
        let data = try files.put(["x": x, "y": y], "data.npz")
        let report = try Octet.json("run", model, "--inputs", data, "--output", files.path("out.npz"), "--json")
        #expect(report["samples"] as? Int == 5 && report["runs"] as? Int == 5)
        let sums = try #require(files.read("out.npz")["sum"])
        #expect(try sums.scalars(as: Float.self) == (0..<10).map { Float(2 * $0) })
        #expect(sums.shape == (y.rank == 2 ? [5, 2] : [5, 1, 2]))
      }
      let result = try Octet.run(
        "run", model, "--inputs", files.path("data.npz"), "--output", files.path("no.npz"), "--batch", "5")
      #expect(result.code == 2 && result.errors.contains("--batch takes 1"))
    }
  }

  @Test func nothingThatIsReadIsOverwritten() throws {
    try ModelFiles.use { files in
      let model = try files.twoInputs()
      let x = try Tensor([1, 2] as [Float], shape: [1, 2])
      let data = try files.put(["x": x, "y": x], "data.npz")
      for output in [model, data, "\(files.folder)/../\(URL(filePath: files.folder).lastPathComponent)/data.npz"] {
        let result = try Octet.run("run", model, "--inputs", data, "--output", output)
        #expect(result.code == 2 && result.errors.contains("the same"), "\(result.errors)")
      }
      #expect(try Octet.run("run", model, "--inputs", data, "--output", files.path("out.npz")).code == 0)
    }
  }

  @Test func whatIsWrongIsOneLineAndLeavesNothing() throws {
    let model = ModelFiles.example("digits_cnn")
    try ModelFiles.use { files in
      let x = try files.digits(2)
      let old = try files.put(["old": x], "out.npz")
      let before = try Data(contentsOf: URL(filePath: old))
      let cases: [(data: String, complaint: String)] = [
        (try files.put(["images": x], "names.npz"), "x too, found images"),
        (try files.put(["x": Tensor(zeros: [2, 1, 8, 8], dtype: .uint8)], "types.npz"), ".astype('float32')"),
        (try files.put(["x": Tensor(zeros: [2, 1, 8, 9])], "shapes.npz"), "[N, 1, 8, 8]"),
        (try files.put(["x": Tensor(zeros: [0, 1, 8, 8])], "empty.npz"), "one sample or more"),
        (try files.put([:], "none.npz"), "found none"), (files.path("missing.npz"), "can be read"),
        (model, "zip archive"),
      ]
      try FileManager.default.createDirectory(atPath: files.path("folder"), withIntermediateDirectories: true)
      for (data, complaint) in cases + [(files.path("folder"), "*.npz")] {
        let result = try Octet.run("run", model, "--inputs", data, "--output", old)
        #expect(result.code == 1, "\(data)")
        #expect(result.errors.contains(complaint), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1 && result.output.isEmpty)
        #expect(try Data(contentsOf: URL(filePath: old)) == before)
      }
      let data = try files.put(["x": x], "data.npz")
      for (model, output, complaint) in [
        (files.path("nope.onnx"), old, "can be read"), (data, old, "a zip archive"),
        (model, files.path("no/out.npz"), "folder"),
        (model, files.folder, "regular file"),
      ] {
        let result = try Octet.run("run", model, "--inputs", data, "--output", output)
        #expect(result.code == 1 && result.errors.contains(complaint), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
      }
      #expect(try Data(contentsOf: URL(filePath: old)) == before)
      #expect(try files.names.allSatisfy { !$0.hasPrefix(".octet") })
      // An old file is replaced by a right one.
      #expect(try Octet.run("run", model, "--inputs", data, "--output", old).code == 0)
      #expect(try files.read("out.npz").keys.sorted() == ["logits"])
    }
  }

  @Test(arguments: [
    (["--batch", "0"], "--batch"), (["--threads", "0"], "--threads"), (["--dimension", "N"], "--dimension"),
    (["--nope"], "--nope"),
  ])
  func wrongUse(_ arguments: [String], _ complaint: String) throws {
    let result = try Octet.run(
      ["run", ModelFiles.example("digits_cnn"), "--inputs", "a.npz", "--output", "b.npz"] + arguments)
    #expect(result.code == 2 && result.errors.contains(complaint) && result.output.isEmpty)
  }

  @Test func helpHelps() throws {
    for command in ["run", "inspect", "compare"] {
      let help = try Octet.run(command, "--help")
      #expect(help.code == 0 && help.output.contains("Example: octet \(command)"))
    }
  }

  /// A few bytes that say that there is much of nothing.
  @Test func samplesOfNothing() throws {
    try ModelFiles.use { files in
      let x = TensorType(.float32, [.symbolic("n"), .symbolic("m")])
      let graph = try Graph(
        inputs: [Graph.Input(name: "x", type: x)],
        nodes: [Node(name: "relu", op: .unary(.relu), inputs: ["x"], outputs: ["y"])],
        outputs: [Graph.Output(name: "y", value: "y")], parameters: [:])
      try graph.save(to: files.path("relu.safetensors"))
      func run(_ count: Int) throws -> Octet.Result {
        let data = try files.put(["x": Tensor(zeros: [count, 0])], "x.npz")
        return try Octet.run(
          "run", files.path("relu.safetensors"), "--inputs", data, "--output", files.path("y.npz"))
      }
      #expect(try run(3).code == 0)
      #expect(try files.read("y.npz")["y"]?.shape == [3, 0])
      let result = try run(1 << 20)
      #expect(result.code == 1 && result.errors.contains("samples that have elements"), "\(result.errors)")
    }
  }
}
