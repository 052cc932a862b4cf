import Foundation
import OctetCore
import OctetEngine
import OctetFormats
import OctetGraph
import TestNetworks
import TestSupport
import Testing

@Suite struct SavedModelTests {
  @Test(arguments: Network.all)
  func theSamePlanAfterLoading(_ network: Network) throws {
    let graph = try network.converted().graph
    try inTemporaryFile { path in
      try graph.save(to: path)
      let loaded = try Graph(contentsOf: path)
      #expect("\(loaded)" == "\(graph)")
      #expect(loaded.nodes.map(\.modules) == graph.nodes.map(\.modules))
      let x = try network.inputs(batch: 3, seed: 1)
      for (a, b) in zip(try Session(Plan(loaded), threads: 1).run(x), try Session(Plan(graph), threads: 1).run(x)) {
        #expect(try discrepancy(a, b, absolute: 0, relative: 0) == nil)
      }
      try inTemporaryFile { second in
        try loaded.save(to: second)
        #expect(try Data(contentsOf: URL(filePath: path)) == Data(contentsOf: URL(filePath: second)), "the same bytes")
      }
    }
  }

  @Test func dropoutIsSaved() throws {
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n")]))],
      nodes: [Node(name: "d", op: .dropout(Op.Dropout(0.25)), inputs: ["x"], outputs: ["d"])],
      outputs: [.init(name: "d", value: "d")], parameters: [:])
    try inTemporaryFile { path in
      try graph.save(to: path)
      #expect(try "\(Graph(contentsOf: path))" == "\(graph)")
    }
  }

  @Test func numbersThatJSONLacksAndLargeOnes() throws {
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n")]))],
      nodes: [
        Node(name: "a", op: .clip(Op.Clip(minimum: -.infinity, maximum: 1e10)), inputs: ["x"], outputs: ["a"]),
        Node(
          name: "b", op: .clip(Op.Clip(minimum: -Float.leastNonzeroMagnitude * 70, maximum: .infinity)), inputs: ["a"],
          outputs: ["b"]),
        Node(
          name: "q",
          op: .quantizeLinear(Op.QuantizeLinear(try QuantizationParameters(scale: 3e9, zeroPoint: 1, dtype: .int4))),
          inputs: ["b"], outputs: ["q"]),
      ], outputs: [.init(name: "q", value: "q")], parameters: [:])
    try inTemporaryFile { path in
      try graph.save(to: path)
      #expect(try "\(Graph(contentsOf: path))" == "\(graph)")
    }
  }

  @Test func truncatedFiles() throws {
    try inTemporaryFile { path in
      try Network.named("plain CNN").converted().graph.save(to: path)
      let whole = [UInt8](try Data(contentsOf: URL(filePath: path)))
      let lengths = stride(from: 0, to: whole.count, by: max(1, whole.count / 250))
      #expect(Array(lengths).count >= 200)
      for length in lengths {
        try Data(whole[..<length]).write(to: URL(filePath: path))
        #expect(octetError { try Graph(contentsOf: path) }?.code == .invalidFile, "\(length) of \(whole.count) bytes")
      }
    }
  }

  @Test func flippedBits() throws {
    let network = Network.named("one channel, one pixel")
    let x = try network.inputs(batch: 1, seed: 1)
    var generator = SeededGenerator(seed: 1)
    try inTemporaryFile { path in
      try network.converted().graph.save(to: path)
      let whole = [UInt8](try Data(contentsOf: URL(filePath: path)))
      let header = 8 + Int(whole[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
      var refused = 0
      for _ in 0..<1500 {
        var bytes = whole
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          let place = Int.random(in: 0..<header, using: &generator)
          bytes[place] =
            Bool.random(using: &generator)
            ? bytes[place] ^ 1 << UInt8.random(in: 0..<8, using: &generator) : .random(in: 48...57, using: &generator)
        }
        try Data(bytes).write(to: URL(filePath: path))
        refused += try useIsAnErrorOrWorks(path, x) ? 0 : 1
      }
      #expect(refused > 1000, "\(refused) of 1500 files were refused")
    }
  }

  /// Every number of the graph, one after another, replaced by impossible ones.
  @Test(arguments: ["depthwise", "unfused pools", "adaptive, not divisible", "transpose and reshape", "padding"])
  func hostileNumbers(_ name: String) throws {
    let network = Network.named(name)
    let x = try network.inputs(batch: 1, seed: 1)
    try inTemporaryFile { path in
      let graph = try network.converted().graph
      try graph.save(to: path)
      let file = try SafetensorsFile(contentsOf: path)
      let json = try #require(file.metadata["octet.graph"])
      // Numbers in the text: after a colon, bracket or comma.
      var places: [Range<String.Index>] = []
      var start = json.startIndex
      while let found = json.range(
        of: "(?<=[:\\[,])-?[0-9][0-9.eE+-]*", options: .regularExpression, range: start..<json.endIndex)
      {
        places.append(found)
        start = found.upperBound
      }
      #expect(places.count > 50)
      let hostile = [
        "-1", "0", "3", "2147483647", "281474976710656", "9223372036854775807", "-9223372036854775808", "0.5",
      ]
      var refused = 0
      for place in places {
        for number in hostile {
          var changed = json
          changed.replaceSubrange(place, with: number)
          try SafetensorsFile.write(file.tensors, metadata: ["octet.graph": changed], to: path)
          refused += try useIsAnErrorOrWorks(path, x) ? 0 : 1
        }
      }
      #expect(refused > places.count * hostile.count / 2)
    }
  }

  @Test func hostileStructure() throws {
    let network = Network.named("plain CNN")
    let x = try network.inputs(batch: 1, seed: 1)
    try inTemporaryFile { path in
      try network.converted().graph.save(to: path)
      let file = try SafetensorsFile(contentsOf: path)
      let json = try #require(file.metadata["octet.graph"])
      let changes: [(String, String)] = [
        ("\"version\":1", "\"version\":2"), ("\"version\":1", "\"version\":\"1\""),
        ("\"name\":\"conv\"", "\"name\":\"convolution\""),
        ("\"name\":\"linear\"", "\"name\":\"conv\""), ("\"name\":\"conv\"", "\"name\":\"linear\""),
        ("\"dtype\":\"uint8\"", "\"dtype\":\"float32\""), ("\"dtype\":\"uint8\"", "\"dtype\":\"int8\""),
        ("\"dtype\":\"float32\"", "\"dtype\":\"uint8\""),
        ("\"n\"", "1"), ("\"n\"", "-1"), ("\"n\"", "null"), ("\"relu\":{}", "\"clip\":{\"minimum\":3,\"maximum\":1}"),
        ("\"relu\":{}", "\"clip\":{\"minimum\":\"nan\",\"maximum\":\"nan\"}"), ("\"inputs\":[", "\"inputs\":[null,"),
        ("\"inputs\":[", "\"inputs\":[\"x\","), ("\"outputs\":[", "\"outputs\":[\"x\","),
        ("\"scales\":[", "\"scales\":[\"nan\","),
        ("\"scales\":[", "\"scales\":[\"inf\","), ("\"zeroPoints\":[", "\"zeroPoints\":[500,"), ("{", "["), ("}", ""),
        (json, ""), (json, "{}"), (json, "null"),
        (json, String(repeating: "[", count: 100_000)), ("\"output\"", "\"x\""),
      ]
      for (old, new) in changes {
        #expect(json.contains(old), "\(old)")
        var changed = json.replacingOccurrences(of: old, with: new)
        if old == "{" || old == "}" { changed = json.replacingCharacters(in: json.range(of: old)!, with: new) }
        try SafetensorsFile.write(file.tensors, metadata: ["octet.graph": changed], to: path)
        _ = try useIsAnErrorOrWorks(path, x)
      }
      // A layer that is given one operand too many.
      let extra = json.replacingOccurrences(of: "\"layers.6.bias\"]", with: "\"layers.6.bias\",\"x.dequantize\"]")
      #expect(extra != json)
      try SafetensorsFile.write(file.tensors, metadata: ["octet.graph": extra], to: path)
      _ = try useIsAnErrorOrWorks(path, x)
      // Tensors of other shapes and types, or none.
      for name in file.tensors.keys.sorted() {
        for replacement in [
          nil, try Tensor(zeros: [0]), try Tensor(zeros: [3, 0, 1, 1], dtype: .int8),
          try Tensor(zeros: [1 << 20, 0, 3, 3], dtype: .int8),
          try Tensor(zeros: file.tensors[name]!.shape, dtype: .int16),
        ] {
          var tensors = file.tensors
          tensors[name] = replacement
          try SafetensorsFile.write(tensors, metadata: ["octet.graph": json], to: path)
          #expect(try !useIsAnErrorOrWorks(path, x), "\(name): \(String(describing: replacement?.type))")
        }
      }
      try SafetensorsFile.write(file.tensors, to: path)
      #expect(octetError { try Graph(contentsOf: path) }?.code == .invalidFile)
    }
  }

  /// Loads a file and runs what it holds.
  ///
  /// - Returns: whether that went well. Anything thrown but an `OctetError` is thrown on; a crash is a crash.
  private func useIsAnErrorOrWorks(_ path: String, _ x: [Tensor]) throws -> Bool {
    do {
      let graph = try Graph(contentsOf: path)
      _ = graph.tabular().description.count + graph.description.count
      _ = try Session(Plan(graph), threads: 1).run(x)
      return true
    } catch is OctetError {
      return false
    }
  }
}
