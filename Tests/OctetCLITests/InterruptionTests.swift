import Foundation
import Octet
import OctetONNX
import Testing

/// Commands that are ended at some moment, by Ctrl-C or the hard way, leave whole files or none.
@Suite("Interrupted commands", .serialized)
struct InterruptionTests {
  #if os(Linux)
    private static let signals = [SIGINT, SIGTERM, SIGKILL]
  #else
    // (Where files have names before they are whole, nobody can take those away after a SIGKILL.)
    private static let signals = [SIGINT, SIGTERM]
  #endif

  /// Starts the command again and again and ends it at other moments, most of them near its end, where it writes.
  ///
  /// - Parameter check: looks at the files.
  private func interrupt(_ arguments: [String], _ check: (ModelFiles) throws -> Void, in files: ModelFiles) throws {
    let clock = ContinuousClock()
    let start = clock.now
    #expect(try Octet.run(arguments).code == 0)
    let duration = (clock.now - start) / .microseconds(1)
    for number in Self.signals {
      var (ended, strays) = (0, 0)
      for moment in [0.1, 0.4, 0.6, 0.7, 0.78, 0.84, 0.88, 0.92, 0.96, 1] {
        let process = try Octet.process(arguments)
        try withSignals { try process.run() }
        usleep(UInt32(duration * moment))
        kill(process.processIdentifier, number)
        process.waitUntilExit()
        // Between the moment when a whole file gets a name and the one when it takes the old one's place, it has another.
        for name in try files.names where name.hasPrefix(".octet-") {
          strays += 1
          try FileManager.default.removeItem(atPath: files.path(name))
        }
        try check(files)
        if process.terminationReason == .exit {
          #expect(process.terminationStatus == 0)
        } else {
          ended += 1
        }
      }
      #expect(ended > 0, "signal \(number) came too late")
      #expect(strays <= 2, "signal \(number)")
    }
  }

  /// Children inherit which signals are ignored or blocked, as they are in a thread that tests run on, or behind `&`.
  private func withSignals(_ start: () throws -> Void) rethrows {
    var (set, old) = (sigset_t(), sigset_t())
    sigemptyset(&set)
    for number in [SIGINT, SIGTERM] { sigaddset(&set, number) }
    let handlers = [SIGINT, SIGTERM].map { ($0, signal($0, SIG_DFL)) }
    pthread_sigmask(SIG_UNBLOCK, &set, &old)
    defer {
      pthread_sigmask(SIG_SETMASK, &old, nil)
      for (number, handler) in handlers { signal(number, handler) }
    }
    try start()
  }

  private func expectWhole(_ path: String) throws {
    _ = try path.hasSuffix(".npz") ? NpzFile(contentsOf: path).tensors.count : Graph(onnx: path).nodes.count
  }

  @Test func convert() throws {
    try ModelFiles.use { files in
      let output = files.path("out.onnx")
      try interrupt(
        ["convert", ModelFiles.example("silero_vad_16k_sequence"), output],
        {
          #expect(try $0.names == ["out.onnx"])
          try expectWhole(output)
        }, in: files)
    }
  }

  @Test func run() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(2000)], "data.npz")
      let output = files.path("out.npz")
      try interrupt(
        ["run", ModelFiles.example("digits_cnn"), "--inputs", data, "--output", output],
        {
          #expect(try $0.names == ["data.npz", "out.npz"])
          try expectWhole(output)
        }, in: files)
    }
  }

  @Test func quantize() throws {
    try ModelFiles.use { files in
      let data = try files.put(["x": files.digits(16)], "data.npz")
      let (output, report) = (files.path("q.onnx"), files.path("report.json"))
      try interrupt(
        [
          "quantize", ModelFiles.example("digits_cnn"), "--calibration", data, "--output", output, "--report", report,
        ],
        {
          #expect(try $0.names == ["data.npz", "q.onnx", "report.json"])
          // Those of the first time are whole, and so are all that take their places.
          try expectWhole(output)
          _ = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: report)))
        }, in: files)
    }
  }
}
