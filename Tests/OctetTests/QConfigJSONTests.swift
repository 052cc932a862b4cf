import Foundation
import Octet
import TestSupport
import Testing

/// QConfigMaps as text and files.
@Suite struct QConfigJSONTests {
  @Test func text() throws {
    var map = QConfigMap(.default)
    map["head/x.*"] = .float
    let json = try map.json()
    #expect(
      json == """
        {
          "default" : "octet",
          "rules" : [
            {
              "path" : "head/x.*",
              "qconfig" : "float"
            }
          ],
          "version" : 1
        }
        """)
    #expect(try QConfigMap(json: json).json() == json)
  }

  @Test func whatIsNoJSON() {
    for json in ["", "{", "{\"version\": 1,, \"default\": \"octet\"}", "\u{0}", String(repeating: "[", count: 100_000)]
    {
      let error = octetError { try QConfigMap(json: json) }
      #expect(
        error?.code == .invalidFile && error?.subject == "JSON", "\(json.prefix(40)): \(String(describing: error))")
    }
    let misplaced = octetError { try QConfigMap(json: "{\"version\": 1,\n\"default\": octet}") }
    #expect(misplaced?.found.contains("character 26") == true, "\(String(describing: misplaced))")
    let unknown = octetError { try QConfigMap(json: "{\"version\": 1, \"default\": \"octt\"}") }
    #expect(unknown?.code == .unknownName && unknown?.subject == "default: QConfig")
  }

  @Test func files() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "octet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "map.json").path(percentEncoded: false)
    var map = QConfigMap(.default(for: .qnnpack))
    map[.softmax] = .float
    try map.save(to: path)
    #expect(try QConfigMap(contentsOf: path).json() == map.json())
    #expect(octetError { try QConfigMap(contentsOf: path + "x") }?.code == .fileAccess)
    try Data("{}".utf8).write(to: URL(filePath: path))
    #expect(octetError { try QConfigMap(contentsOf: path) }?.subject.hasPrefix(path) == true)
    try Data([0x22, 0xFF, 0x22]).write(to: URL(filePath: path))
    let error = octetError { try QConfigMap(contentsOf: path) }
    #expect(error?.code == .invalidFile && error?.expected == "UTF-8")
  }
}
