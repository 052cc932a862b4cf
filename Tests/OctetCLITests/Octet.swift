import Foundation
import Testing

/// The command as people run it, found beside the test program.
enum Octet {
  struct Result {
    let code: Int32
    let output: String
    let errors: String
  }

  static func run(_ arguments: String..., environment: [String: String] = [:]) throws -> Result {
    try run(arguments, environment: environment)
  }

  /// What the command prints as JSON.
  static func json(_ arguments: String...) throws -> [String: Any] { try json(arguments) }

  static func json(_ arguments: [String]) throws -> [String: Any] {
    let result = try run(arguments)
    #expect(result.code == 0)
    return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
  }

  static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Result {
    // Files rather than pipes: nothing can fill up.
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("octet-cli-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func stream(_ name: String) throws -> (URL, FileHandle) {
      let url = folder.appendingPathComponent(name)
      _ = FileManager.default.createFile(atPath: url.path, contents: nil)
      return (url, try FileHandle(forWritingTo: url))
    }
    let (output, errors) = (try stream("output"), try stream("errors"))
    let process = try process(arguments, environment: environment)
    process.standardOutput = output.1
    process.standardError = errors.1
    try process.run()
    process.waitUntilExit()
    return Result(
      code: process.terminationStatus, output: try String(contentsOf: output.0, encoding: .utf8),
      errors: try String(contentsOf: errors.0, encoding: .utf8))
  }

  /// The command before it runs; what it prints goes nowhere.
  static func process(_ arguments: [String], environment: [String: String] = [:]) throws -> Process {
    // Linux: the tests' own folder. Apple: three levels up from the bundle's program.
    let program = Bundle.allBundles.map(\.bundleURL) + [Bundle.main.bundleURL]
    let candidates = program.flatMap {
      [$0.appendingPathComponent("octet"), $0.deletingLastPathComponent().appendingPathComponent("octet")]
    }
    let process = Process()
    process.executableURL = try #require(candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) })
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    return process
  }
}
