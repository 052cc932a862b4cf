import Foundation
import Octet
import OctetONNX
import TestSupport

/// Models and data for tests of commands, in a folder that is gone afterwards.
struct ModelFiles {
  let folder: String

  static func use(_ body: (ModelFiles) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "octet-models-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(ModelFiles(folder: folder.path))
  }

  static func example(_ name: String) -> String { "\(packageRoot)/Examples/Data/\(name).onnx" }

  /// Inputs and outputs that ONNX Runtime has given of an example.
  static func vectors(_ name: String) throws -> VectorCase {
    guard let vectors = try VectorCase.load("onnx_networks").first(where: { $0.name == name }) else {
      throw OctetError(.unknownName, "vectors", expected: name, found: "none")
    }
    return vectors
  }

  func path(_ name: String) -> String { "\(folder)/\(name)" }

  /// Writes an `.npz`.
  func put(_ tensors: [String: Tensor], _ name: String) throws -> String {
    try FileManager.default.createDirectory(
      atPath: URL(filePath: path(name)).deletingLastPathComponent().path, withIntermediateDirectories: true)
    try NpzFile.write(tensors, to: path(name))
    return path(name)
  }

  func read(_ name: String) throws -> [String: Tensor] { try NpzFile(contentsOf: path(name)).tensors }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }
  }

  /// Images for the digits network.
  func digits(_ count: Int) throws -> Tensor {
    try Tensor(
      (0..<count * 64).map { (i: Int) -> Float in Float((i * 29 + i / 64) % 17) / 16 }, shape: [count, 1, 8, 8])
  }

  /// The digits network as an int8 model: saved, or as ONNX if the name says so.
  func quantizedDigits(_ name: String = "digits-int8.safetensors") throws -> String {
    let prepared = try Graph(onnx: Self.example("digits_cnn")).fused().prepare(QConfigMap(.default))
    try prepared.calibrate([digits(32)])
    let graph = try prepared.convert().graph
    if name.hasSuffix(".onnx") { try graph.saveONNX(to: path(name)) } else { try graph.save(to: path(name)) }
    return path(name)
  }

  /// `sum = x + y`, saved.
  ///
  /// - Parameter rows: the size of the first axis; any if not given.
  func twoInputs(_ name: String = "two.safetensors", rows: Int? = nil) throws -> String {
    let x = TensorType(.float32, [rows.map { .fixed($0) } ?? .symbolic("n"), 2])
    let graph = try Graph(
      inputs: [
        Graph.Input(name: "x", type: x), Graph.Input(name: "y", type: x),
      ],
      nodes: [Node(name: "add", op: .binary(.add), inputs: ["x", "y"], outputs: ["sum"])],
      outputs: [Graph.Output(name: "sum", value: "sum")], parameters: [:])
    try graph.save(to: path(name))
    return path(name)
  }

  /// `y = mask ? table[ids] : x`, as ONNX: ids int64, mask bool, x float32, all [n, 3]; the table counts in tens.
  func lookup() throws -> String {
    func input(_ name: String, _ dtype: DType) -> Graph.Input {
      Graph.Input(name: name, type: TensorType(dtype, [.symbolic("n"), 3]))
    }
    let table = try Tensor((0..<8).map { Float(10 * $0) }, shape: [8])
    let graph = try Graph(
      inputs: [input("ids", .int64), input("mask", .bool), input("x", .float32)],
      nodes: [
        Node(name: "gather", op: .gather(Op.Gather(axis: 0)), inputs: ["table", "ids"], outputs: ["values"]),
        Node(name: "where", op: .where(Op.Where()), inputs: ["mask", "values", "x"], outputs: ["y"]),
      ],
      outputs: [Graph.Output(name: "y", value: "y")], parameters: ["table": Parameter(table)])
    try graph.saveONNX(to: path("lookup.onnx"))
    return path("lookup.onnx")
  }
}
