import Foundation
import Testing

@Suite("octet convert")
struct ConvertTests {
  /// .onnx → .onnx → saved model → .onnx: the last two .onnx files hold the same network.
  @Test func thereAndBack() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let folder = FileManager.default.temporaryDirectory.appending(path: "octet-convert-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func path(_ name: String) -> String { folder.appending(path: name).path }
    let steps = [
      root.appending(path: "Examples/Data/digits_cnn.onnx").path, path("a.onnx"), path("b.safetensors"), path("c.onnx"),
    ]
    for (from, to) in zip(steps, steps.dropFirst()) {
      let result = try Octet.run("convert", from, to)
      #expect(result.code == 0 && result.errors.isEmpty)
      #expect(result.output.wholeMatch(of: #/.*: \d+ operations, \d+ parameters\n/#) != nil)
    }
    let sizes = try steps.map { try Data(contentsOf: URL(filePath: $0)).count }
    #expect(abs(sizes[1] - sizes[3]) < 200)
    let report = try Octet.json("convert", steps[0], path("d.onnx"), "--json")
    #expect(report["bytes_before"] as? Int == sizes[0] && report["bytes_after"] as? Int == sizes[1])
  }

  @Test func mistakes() throws {
    let missing = try Octet.run("convert", "/nowhere.onnx", "/tmp/x.onnx")
    #expect(missing.code == 1 && missing.errors.contains("/nowhere.onnx"))
    let size = try Octet.run("convert", "a.onnx", "b.onnx", "--dimension", "n")
    #expect(size.code == 2 && size.errors.contains("name=size"))
  }
}
