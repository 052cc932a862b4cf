import Foundation
import OctetCore
import OctetFormats
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// The networks and data of the examples, cut off and with wrong bytes: an `OctetError` or a result, never a crash.
///
/// (Small files are damaged more thoroughly by the tests of OctetFormats, and by `scripts/fuzz`.)
@Suite struct DamagedDataTests {
  static let files: [String] = ["Examples/Data", "Sources/OctetCLI/Resources"].flatMap { folder in
    let folderURL = URL(filePath: "\(packageRoot)/\(folder)")
    let found = try? FileManager.default.contentsOfDirectory(
      at: folderURL, includingPropertiesForKeys: [.isRegularFileKey])
    // (Links lead to the other folder.)
    let names = (found ?? []).filter { (try? $0.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile) == true }
      .map(\.lastPathComponent)
    return names.filter { name in [".onnx", ".npz", ".safetensors"].contains { name.hasSuffix($0) } }.sorted()
      .map { "\(folder)/\($0)" }
  }
  private static let places = 200

  @Test func theFilesAreThere() {
    #expect(Self.files.count == 13 && Self.files.count { $0.hasSuffix(".onnx") } == 4)
  }

  /// Reads everything that is in a file; whether it was refused.
  private func isRefused(_ path: String, of name: String, as kind: String) throws -> Bool {
    do {
      switch kind {
      case "onnx": _ = try graph(path, of: name)
      case "npz": try touch(NpzFile(contentsOf: path).tensors)
      case "model": try touch(Graph(contentsOf: path).parameters.mapValues(\.value))
      default: try touch(SafetensorsFile(contentsOf: path).tensors)
      }
      return false
    } catch let error as OctetError {
      #expect(error.subject.hasPrefix(path))
      return true
    }
  }

  /// A network of the examples. The images of one have sizes that the file does not say.
  private func graph(_ path: String, of name: String) throws -> Graph {
    try Graph(onnx: path, dimensions: name.contains("ppocr") ? ["x.2": 48, "x.3": 192] : [:])
  }

  private func touch(_ tensors: [String: Tensor]) throws {
    for tensor in tensors.values {
      // To have read it is the test: where there is no memory, that ends the process.
      _ = tensor.withUnsafeBytes { bytes in stride(from: 0, to: bytes.count, by: 512).reduce(0) { $0 ^ bytes[$1] } }
    }
  }

  /// A copy of a file, or of the model that Octet saves of it.
  private func withCopy(_ name: String, saved: Bool = false, _ body: (String, FileHandle, Data) throws -> Void) throws {
    try inTemporaryFile { path in
      let source = "\(packageRoot)/\(name)"
      if saved {
        try graph(source, of: name).save(to: path)
      } else {
        try FileManager.default.copyItem(atPath: source, toPath: path)
      }
      let handle = try #require(FileHandle(forUpdatingAtPath: path))
      try body(path, handle, try Data(contentsOf: URL(filePath: path)))
    }
  }

  private static let cases =
    files.map { ($0, $0.split(separator: ".").last.map(String.init)!) }
    + files.filter { $0.hasSuffix(".onnx") }.map { ($0, "model") }

  @Test(arguments: cases) func cutOff(_ name: String, _ kind: String) throws {
    try withCopy(name, saved: kind == "model") { path, handle, whole in
      #expect(try !isRefused(path, of: name, as: kind))
      var refusals = 0
      for place in (0..<Self.places).reversed() {
        try handle.truncate(atOffset: UInt64(whole.count * place / Self.places))
        refusals += try isRefused(path, of: name, as: kind) ? 1 : 0
      }
      #expect(refusals == Self.places)
    }
  }

  /// Half of the wrong bytes are where structure is: near the beginning and the end.
  @Test(arguments: cases) func wrongBytes(_ name: String, _ kind: String) throws {
    var random = SeededGenerator(seed: 3)
    try withCopy(name, saved: kind == "model") { path, handle, whole in
      var refusals = 0
      for number in 0..<Self.places {
        let place =
          switch number % 4 {
          case 0: Int.random(in: 0..<min(2000, whole.count), using: &random)
          case 1: whole.count - 1 - Int.random(in: 0..<min(2000, whole.count), using: &random)
          default: Int.random(in: 0..<whole.count, using: &random)
          }
        func write(_ byte: UInt8) throws {
          try handle.seek(toOffset: UInt64(place))
          try handle.write(contentsOf: [byte])
        }
        try write(whole[place] ^ UInt8.random(in: 1...255, using: &random))
        refusals += try isRefused(path, of: name, as: kind) ? 1 : 0
        try write(whole[place])
      }
      #expect(refusals > 0)
      #expect(try !isRefused(path, of: name, as: kind))
    }
  }
}
