import Foundation
import OctetCore
import OctetONNX
import TestSupport
import Testing

/// Promise 6: whatever a file says, reading it ends in a graph or in an `OctetError`.
@Suite struct MalformedModelTests {
  private static let relu = Proto.node("Relu", ["x"], ["y"])

  private func error(_ bytes: [UInt8]) -> OctetError? { octetError { try ONNXModel(bytes: bytes) } }

  @Test(arguments: NetworkTests.names) func truncationIsAnError(_ name: String) throws {
    let bytes = try [UInt8](Data(contentsOf: URL(filePath: "\(packageRoot)/Examples/Data/\(name).onnx")))
    for index in 0..<200 {
      let end = index * (bytes.count - 1) / 199
      let error = octetError { try ONNXModel(bytes: Array(bytes[..<end])) }
      #expect(error != nil, "\(name) up to byte \(end)")
    }
  }

  @Test func damagedBytesAreNoCrash() throws {
    let bytes = try [UInt8](Data(contentsOf: URL(filePath: "\(packageRoot)/Examples/Data/digits_cnn.onnx")))
    var generator = SeededGenerator(seed: 1)
    // Where the structure stands: the first and the last bytes; weights fill the middle.
    let structure = Array(0..<3000) + Array(bytes.count - 500..<bytes.count)
    for _ in 0..<400 {
      var damaged = bytes
      for _ in 0..<4 { damaged[structure.randomElement(using: &generator)!] = .random(in: 0...255, using: &generator) }
      do {
        _ = try ONNXModel(bytes: damaged)
      } catch {
        #expect(error is OctetError)
      }
    }
  }

  @Test func emptyAndForeignFiles() throws {
    #expect(error([])?.code == .invalidFile)
    #expect(error(Array("PK\u{3}\u{4} no model".utf8))?.code == .invalidFile)
    try inTemporaryFile { path in
      #expect(octetError { try ONNXModel(contentsOf: path) }?.code == .fileAccess)
      try Data().write(to: URL(filePath: path))
      #expect(octetError { try ONNXModel(contentsOf: path) }?.code == .invalidFile)
    }
  }

  /// Graphs are parsed some fields at a time: the same comes out as of all at once.
  @Test func partsOfLargeGraphs() throws {
    let size = 100_000
    let names = (0..<12).map { "w\($0)" }
    let weights = (0..<12).map { (index: Int) -> ProtocolBuffer in
      let element = withUnsafeBytes(of: Float(index).bitPattern.littleEndian) { Array($0) }
      return Proto.tensor(names[index], type: 1, [size], raw: Array(repeatElement(element, count: size).joined()))
    }
    let sums = (0..<12).map { (index: Int) -> ProtocolBuffer in
      Proto.node("Add", [index == 0 ? "x" : "s\(index - 1)", names[index]], ["s\(index)"])
    }
    let input = Proto.value("x", [size])
    let whole = Proto.graph(sums, inputs: [input], outputs: ["s11"], initializers: weights)
    func sum(_ model: [UInt8]) throws -> Float? {
      let x = try Tensor(repeating: Float(1), shape: [size])
      return try ONNXModel(bytes: model).graph.replay([x])[0].floats.last
    }
    #expect(try sum(Proto.model(whole)) == 67)
    // A graph in two fields is the sum of both; what this version does not know is left out.
    let first = Proto.graph(Array(sums[..<5]), inputs: [input], outputs: [], initializers: Array(weights[6...]))
    let rest = Proto.graph(Array(sums[5...]), inputs: [], outputs: ["s11"], initializers: Array(weights[..<6]))
    let unknown: [UInt8] = [0xD2, 0x0F, 0x01, 0xFF]
    let group: [UInt8] = [0xD3, 0x0F, 0x08, 0x01, 0xD4, 0x0F]
    for between in [[], unknown, group] {
      let model = Proto.model(first) + between + ProtocolBuffer().adding(7, rest).bytes
      #expect(try sum(model) == 67)
    }
    #expect(error(Proto.model(whole) + [0xD3, 0x0F, 0x08])?.code == .invalidFile)
    #expect(error(Proto.model(whole) + [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])?.code == .invalidFile)
  }

  @Test func versions() {
    #expect(error(Proto.model(Proto.graph([Self.relu]), opset: 25))?.code == .unsupported)
    #expect(error(Proto.model(Proto.graph([Self.relu]), opset: 6))?.subject == "opset_import")
    #expect(error(Proto.model(Proto.graph([Self.relu]), opset: -3))?.code == .unsupported)
    #expect(error(Proto.model(Proto.graph([Self.relu]), irVersion: 2))?.subject == "ir_version")
    #expect(error(Proto.model(Proto.graph([Self.relu]))) == nil)
  }

  @Test func cyclesAndMissingValues() {
    let cycle = Proto.graph([Proto.node("Add", ["x", "b"], ["a"]), Proto.node("Relu", ["a"], ["b"])], outputs: ["a"])
    #expect(error(Proto.model(cycle))?.code == .invalidFile)
    let missing = error(Proto.model(Proto.graph([Proto.node("Add", ["x", "weight"], ["y"], name: "sum")])))
    #expect(missing?.code == .invalidFile && missing?.subject == "node sum (Add): input weight")
    #expect(error(Proto.model(Proto.graph([Self.relu], outputs: ["z"])))?.subject == "output z")
    #expect(error(Proto.model(Proto.graph([Self.relu], outputs: [])))?.code == .invalidFile)
    let twice = Proto.value("x", [2, 3])
    #expect(error(Proto.model(Proto.graph([Self.relu], inputs: [twice, twice])))?.code == .invalidFile)
  }

  @Test func wrongTensors() {
    func sum(_ initializer: ProtocolBuffer) -> OctetError? {
      error(Proto.model(Proto.graph([Proto.node("Add", ["x", "w"], ["y"])], initializers: [initializer])))
    }
    #expect(sum(Proto.tensor("w", [3], [1, 2, 3] as [Float])) == nil)
    #expect(sum(Proto.tensor("w", [4], [1, 2, 3] as [Float]))?.code == .invalidFile)
    #expect(sum(Proto.tensor("w", type: 1, [3], raw: [0, 0, 0]))?.code == .invalidFile)
    #expect(sum(Proto.tensor("w", type: 99, [3]))?.code == .invalidFile)
    #expect(sum(Proto.tensor("w", type: 8, [0]))?.code == .unsupported)
    #expect(sum(Proto.tensor("w", type: 1, [-1]))?.code == .shapeMismatch)
    #expect(sum(Proto.tensor("w", type: 1, [1 << 40, 1 << 40]))?.code == .shapeMismatch)
    #expect(sum(Proto.tensor("w", [3], [1, 2, 3] as [Int]))?.code == .unsupported)
    #expect(sum(Proto.tensor("w", [2], [1, 2] as [Float]))?.code == .shapeMismatch)
  }

  @Test func wrongAttributes() {
    func result(_ node: ProtocolBuffer) -> OctetError? { error(Proto.model(Proto.graph([node]))) }
    #expect(result(Proto.node("LeakyRelu", ["x"], ["y"], Proto.attribute("alpha", 1)))?.code == .invalidFile)
    #expect(result(Proto.node("Transpose", ["x"], ["y"], Proto.attribute("perm", [0, 7])))?.code == .shapeMismatch)
    #expect(result(Proto.node("Softmax", ["x"], ["y"], Proto.attribute("axis", Int.min)))?.code == .shapeMismatch)
    #expect(result(Proto.node("Cast", ["x"], ["y"]))?.code == .invalidFile)
    #expect(result(Proto.node("Gelu", ["x"], ["y"], Proto.attribute("approximate", "no")))?.code == .invalidFile)
    #expect(result(Proto.node("Relu", [], ["y"]))?.code == .invalidFile)
  }

  /// A few bytes must not make much memory.
  @Test func memoryIsBounded() {
    let shape = Proto.tensor("s", [3], [1 << 15, 1 << 15, 1 << 15] as [Int])
    let filled = Proto.graph([Proto.node("ConstantOfShape", ["s"], ["y"])], initializers: [shape])
    #expect(error(Proto.model(filled))?.code == .unsupported)
    let range = Proto.graph(
      [Proto.node("Range", ["a", "b", "c"], ["y"])],
      initializers: [("a", 0), ("b", Int.max / 4), ("c", 1)].map { Proto.tensor($0.0, [], [$0.1] as [Int]) })
    #expect(error(Proto.model(range))?.code == .unsupported)
    // A function of two calls of a function of two calls …
    let functions = (0..<28).map { level in
      Proto.function(
        "F\(level)", domain: "f", inputs: ["a"], outputs: ["c"],
        level == 0
          ? [Proto.node("Relu", ["a"], ["c"])]
          : [
            Proto.node("F\(level - 1)", ["a"], ["b"], domain: "f"),
            Proto.node("F\(level - 1)", ["b"], ["c"], domain: "f"),
          ])
    }
    let bomb = Proto.model(
      Proto.graph([Proto.node("F27", ["x"], ["y"], domain: "f")]), functions: functions, domains: ["f"])
    #expect(error(bomb)?.code == .unsupported)
  }

  @Test func functionsThatCallThemselves() {
    let function = Proto.function(
      "F", domain: "f", inputs: ["a"], outputs: ["b"], [Proto.node("F", ["a"], ["b"], domain: "f")])
    let model = Proto.model(
      Proto.graph([Proto.node("F", ["x"], ["y"], domain: "f")]), functions: [function], domains: ["f"])
    #expect(error(model)?.code == .invalidFile)
  }

  // MARK: - External data

  @Test func externalDataIsRead() throws {
    try withExternalData([("location", "w.bin"), ("offset", "4"), ("length", "12")]) { path, folder in
      let elements: [Float] = [9, 1, 2, 3]
      try elements.withUnsafeBytes { Data($0) }.write(to: folder.appending(path: "w.bin"))
      let graph = try ONNXModel(contentsOf: path).graph
      #expect(try graph.parameters["w"]?.value.floats == [1, 2, 3])
    }
  }

  @Test(arguments: [
    "../outside.bin", "sub/../../outside.bin", "/etc/hostname", "link.bin", "linked/outside.bin", "", "nothing.bin",
    "w.bin/..", ".",
  ])
  func externalDataElsewhereIsRefused(_ location: String) throws {
    try withExternalData([("location", location)]) { path, folder in
      let outside = folder.deletingLastPathComponent().appending(path: "outside.bin")
      try Data(count: 12).write(to: outside)
      let files = FileManager.default
      try files.createSymbolicLink(at: folder.appending(path: "link.bin"), withDestinationURL: outside)
      try files.createSymbolicLink(
        at: folder.appending(path: "linked"), withDestinationURL: folder.deletingLastPathComponent())
      let error = octetError { try ONNXModel(contentsOf: path) }
      #expect(error?.code == (location == "nothing.bin" ? .fileAccess : .invalidFile), "\(location)")
    }
  }

  @Test(arguments: [
    [("location", "w.bin"), ("offset", "8")], [("location", "w.bin"), ("offset", "-4")],
    [("location", "w.bin"), ("length", "13")], [("location", "w.bin"), ("offset", "9223372036854775807")],
    [("offset", "0")],
  ])
  func externalDataBeyondTheFileIsRefused(_ entries: [(String, String)]) throws {
    try withExternalData(entries) { path, folder in
      try Data(count: 16).write(to: folder.appending(path: "w.bin"))
      #expect(octetError { try ONNXModel(contentsOf: path) }?.code == .invalidFile)
    }
  }

  /// A model in a folder of its own whose three weights lie elsewhere.
  private func withExternalData(_ entries: [(String, String)], _ body: (String, URL) throws -> Void) throws {
    let graph = Proto.graph(
      [Proto.node("Add", ["x", "w"], ["y"])], initializers: [Proto.external("w", [3], entries)])
    try inTemporaryFile { path in
      let folder = URL(filePath: path).deletingLastPathComponent().appending(path: "model")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      let file = folder.appending(path: "m.onnx")
      try Data(Proto.model(graph)).write(to: file)
      try body(file.path(percentEncoded: false), folder)
    }
  }
}
