#if os(Linux)
  import Foundation
  import Octet
  import Testing

  /// Bars are drawn on a terminal alone, and taken off it again.
  @Suite("Progress")
  struct ProgressTests {
    /// The two ends of a new terminal. (What Glibc's module lacks for this are two calls of the driver: TIOCSPTLCK unlocks
    /// the other end, TIOCGPTN says its number.)
    private func terminal() throws -> (near: Int32, far: String) {
      let near = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
      var (locked, number) = (Int32(0), UInt32(0))
      try #require(near >= 0)
      try #require(ioctl(near, 0x4004_5431, &locked) == 0 && ioctl(near, 0x8004_5430, &number) == 0)
      return (near, "/dev/pts/\(number)")
    }

    /// What the command writes to its error output, which is a terminal.
    private func onTerminal(_ arguments: [String]) throws -> (errors: String, code: Int32) {
      let (near, path) = try terminal()
      defer { close(near) }
      let process = try Octet.process(arguments)
      do {
        let far = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(far >= 0)
        defer { close(far) }
        process.standardError = FileHandle(fileDescriptor: far, closeOnDealloc: false)
        try process.run()
      }
      // Until nobody has the other end any more.
      var (bytes, part) = ([UInt8](), [UInt8](repeating: 0, count: 4096))
      while true {
        let count = read(near, &part, part.count)
        guard count > 0 else { break }
        bytes += part[..<count]
      }
      process.waitUntilExit()
      return (String(decoding: bytes, as: UTF8.self), process.terminationStatus)
    }

    @Test func onATerminal() throws {
      try ModelFiles.use { files in
        let data = try files.put(["x": files.digits(3)], "images.npz")
        let model = ModelFiles.example("digits_cnn")
        let commands = [
          (["run", model, "--inputs", data, "--output", files.path("out.npz")], ["run"]),
          (["quantize", model, "--calibration", data, "--output", files.path("q.onnx")], ["calibrate", "compare"]),
        ]
        for (arguments, titles) in commands {
          let shown = try onTerminal(arguments)
          #expect(shown.code == 0)
          for title in titles {
            #expect(shown.errors.contains("\r\(title)  \(String(repeating: "░", count: 30))  0/3"), "\(shown.errors)")
            #expect(shown.errors.contains("\r\(title)  \(String(repeating: "█", count: 30))  3/3"), "\(shown.errors)")
          }
          #expect(shown.errors.hasSuffix("\r\u{1B}[K"), "\(shown.errors)")
          // In a file there is nothing of it.
          let result = try Octet.run(arguments)
          #expect(result.code == 0 && result.errors.isEmpty && !result.output.contains("█"))
        }
      }
    }
  }
#endif
