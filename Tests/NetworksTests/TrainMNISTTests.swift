import Foundation
import TestSupport
import Testing

/// Examples/TrainMNIST, as people run it.
@Suite("The example that trains") struct TrainMNISTTests {
  @Test func trainsConvertsAndSaves() throws {
    let folders = (Bundle.allBundles + [Bundle.main]).flatMap {
      [$0.bundleURL, $0.bundleURL.deletingLastPathComponent()]
    }
    let program = try #require(
      folders.map { $0.appendingPathComponent("TrainMNIST") }.first {
        FileManager.default.isExecutableFile(atPath: $0.path)
      })
    try inTemporaryFile { path in
      let (process, pipe) = (Process(), Pipe())
      process.executableURL = program
      process.arguments = ["\(packageRoot)/Examples/Data/digits.npz", path, "4"]
      process.standardOutput = pipe
      try process.run()
      let output = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      let lines = output.split(separator: "\n")
      #expect(lines.count { $0.hasPrefix("epoch ") } == 4)
      let (float, integer) = (try share(lines, "float: "), try share(lines, "int8: "))
      #expect(float > 0.85 && integer > float - 0.02, "\(output)")
      #expect(output.contains("nodes quantized"))
      #expect(try fileSize(path) < 80_000)
    }
  }

  private func share(_ lines: [Substring], _ prefix: String) throws -> Double {
    let line = try #require(lines.first { $0.hasPrefix(prefix) }).dropFirst(prefix.count)
    return try #require(Double(line.split(separator: ",")[0]))
  }
}
