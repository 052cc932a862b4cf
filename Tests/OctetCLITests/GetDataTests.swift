#if os(Linux)
  import Foundation
  import Octet
  import TestSupport
  import Testing

  /// `scripts/get-data` without a network: from a folder.
  @Suite("scripts/get-data")
  struct GetDataTests {
    private let names = ["t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3", "train-labels-idx1"].map {
      "\($0)-ubyte.gz"
    }

    private func run(_ program: String, _ arguments: [String], path: String? = nil) throws -> Octet.Result {
      try inTemporaryFile { output in
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        if let path {
          process.environment = ProcessInfo.processInfo.environment.merging(["PATH": path]) { $1 }
        }
        let (out, errors) = ("\(output).out", "\(output).errors")
        defer { for file in [out, errors] { try? FileManager.default.removeItem(atPath: file) } }
        for (file, key) in [(out, \Process.standardOutput), (errors, \Process.standardError)] {
          _ = FileManager.default.createFile(atPath: file, contents: nil)
          process[keyPath: key] = FileHandle(forWritingAtPath: file)
        }
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return Octet.Result(
          code: process.terminationStatus, output: try String(contentsOfFile: out, encoding: .utf8),
          errors: try String(contentsOfFile: errors, encoding: .utf8))
      }
    }

    /// Files whose contents are their names, compressed.
    private func put(_ names: [String], in folder: String, saying text: (String) -> String = { $0 }) throws {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      for name in names {
        let plain = "\(folder)/\(name.dropLast(3))"
        try text(name).write(toFile: plain, atomically: false, encoding: .utf8)
        #expect(try run("gzip", ["-f", plain]).code == 0)
      }
    }

    /// A `sha256sum` by which such files are the right ones; what else it reads has the sum 0.
    private func pathWithSums(in folder: String) throws -> String {
      let script = try String(contentsOfFile: "\(packageRoot)/scripts/get-data", encoding: .utf8)
      let cases = try names.map { name in
        let line = try #require(
          script.split(separator: "\n").first { $0.hasSuffix("  \(name)") || $0.hasSuffix(" \(name)") })
        #expect(line.prefix(64).allSatisfy { $0.isHexDigit })
        return "\(name)) echo \(line.prefix(64));;"
      }
      let program = "\(folder)/sha256sum"
      try "#!/bin/sh\ncase $(cat) in\n\(cases.joined(separator: "\n"))\n*) echo 0;;\nesac\n".write(
        toFile: program, atomically: false, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
      return "\(folder):\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")"
    }

    private func getData(_ arguments: String..., path: String? = nil) throws -> Octet.Result {
      try run("bash", ["\(packageRoot)/scripts/get-data"] + arguments, path: path)
    }

    @Test func takesFilesThatAreRight() throws {
      try ModelFiles.use { files in
        let (source, target) = (files.path("source"), files.path("target"))
        try put(names, in: source)
        let path = try pathWithSums(in: files.folder)
        // One is there already; one is damaged.
        try put([names[1]], in: target)
        try put([names[2]], in: target) { _ in "damaged" }
        try FileManager.default.removeItem(atPath: "\(source)/\(names[1])")
        let result = try getData(target, source, path: path)
        #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
        #expect(result.output == "Fashion-MNIST is in \(target)\n")
        #expect(try FileManager.default.contentsOfDirectory(atPath: target).sorted() == names)
        // All are there: nothing is asked for.
        try FileManager.default.removeItem(atPath: source)
        #expect(try getData(target, source, path: path).code == 0)
      }
    }

    @Test func refusesOthers() throws {
      try ModelFiles.use { files in
        let (source, target) = (files.path("source"), files.path("target"))
        try put(names, in: source)
        let result = try getData(target, source)
        #expect(result.code == 1 && result.output.isEmpty)
        #expect(
          result.errors.hasPrefix(
            "get-data: \(names[0]) from \(source) is another one than it should be (sha256 of its"),
          "\(result.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: target).isEmpty)
        try "no gzip".write(toFile: "\(source)/\(names[0])", atomically: false, encoding: .utf8)
        #expect(try getData(target, source).errors.contains("no gzip file"))
        let missing = try getData(target, files.path("nothing"))
        #expect(missing.code != 0 && missing.errors.contains(names[0]))
        #expect(try FileManager.default.contentsOfDirectory(atPath: target).isEmpty)
      }
    }
  }
#endif
