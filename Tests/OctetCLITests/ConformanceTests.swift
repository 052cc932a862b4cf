import Foundation
import Testing

@Suite("octet conformance")
struct ConformanceTests {
  private static let relu = "CAg6MwoMCgF4EgF5IgRSZWx1EgFnWg8KAXgSCgoICAESBAoCCAJiDwoBeRIKCggIARIECgIIAkIECgAQEQ=="
  private static let unknown = "CAg6NQoOCgF4EgF5IgZOb1N1Y2gSAWdaDwoBeBIKCggIARIECgIIAmIPCgF5EgoKCAgBEgQKAggCQgQKABAR"
  /// −1, 2 and 0, 2
  private static let (x, y) = ("CAIQAUoIAACAvwAAAEA=", "CAIQAUoIAAAAAAAAAEA=")

  /// A folder of tests by name: model, input and output as ONNX stores them, in base 64.
  private func withTests(_ tests: [(String, [String])], _ body: (String) throws -> Void) throws {
    let root = FileManager.default.temporaryDirectory.appending(path: "octet-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    for (name, contents) in tests {
      let data = root.appending(path: "\(name)/test_data_set_0")
      try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
      for (path, text) in zip(["../model.onnx", "input_0.pb", "output_0.pb"], contents) {
        try #require(Data(base64Encoded: text)).write(to: data.appending(path: path).standardized)
      }
    }
    try body(root.path(percentEncoded: false))
  }

  @Test func threeListsAndACode() throws {
    let passing = ("a_relu", [Self.relu, Self.x, Self.y])
    let unsupported = ("b_unknown", [Self.unknown, Self.x, Self.y])
    try withTests([passing, unsupported]) { folder in
      let lists = try Octet.json("conformance", folder, "--json")
      #expect(lists["passed"] as? [String] == ["a_relu"])
      #expect((lists["unsupported"] as? [[String: String]])?.map { $0["name"] } == ["b_unknown"])
      #expect((lists["failed"] as? [Any])?.isEmpty == true)
    }
    try withTests([passing, ("c_wrong", [Self.relu, Self.x, Self.x])]) { folder in
      let result = try Octet.run("conformance", folder)
      #expect(result.code == 1)
      #expect(result.output.contains("c_wrong: output 0, element 0: 0.0 instead of -1.0"))
      #expect(
        result.output.hasSuffix("1 passed (0 with some inputs as constants), 0 unsupported, 0 disputed, 1 failed\n"))
    }
    let missing = try Octet.run("conformance", "/no/such/folder")
    #expect(missing.code == 1 && missing.errors.contains("a folder that can be read"))
  }
}
