import ArgumentParser
import Foundation
import Octet
import OctetONNX

struct ConformanceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conformance",
    abstract: "Run ONNX's own tests: read each model, compare its outputs.",
    discussion: """
      FOLDER holds one folder for each test: model.onnx and test_data_set_0 with input_0.pb, output_0.pb, … \
      (onnx/backend/test/data/node of the Python package onnx; scripts/test-conformance gets it). Every model runs \
      operation by operation and in the engine, and must give the outputs within a relative 1e-3.

      Exit code 1 if a test failed; what Octet says it does not support is no failure, \
      and neither are differences where ONNX Runtime gives what Octet gives (disputed).
      """)

  @Argument(help: "The folder of the tests.")
  var folder: String

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    struct Reason: Encodable {
      let name: String
      let reason: String
    }

    var passed: [String] = []
    var failed: [Reason] = []
    var unsupported: [Reason] = []
    /// Those that differ as they are known to (``DisputedTests``).
    var disputed: [Reason] = []
    /// Of the passed ones: those of which inputs had to be given as constants.
    var passed_with_constants: [String] = []
  }

  func run() throws {
    let tests = try ConformanceFolder(folder).tests
    guard !tests.isEmpty else {
      throw OctetError(.fileAccess, folder, expected: "folders with a model.onnx", found: "none")
    }
    var report = Report()
    for test in tests {
      switch test.verdict() {
      case .passed(let constants):
        report.passed.append(test.name)
        if constants > 0 { report.passed_with_constants.append(test.name) }
      case .failed(let reason):
        if let explanation = DisputedTests.reasons[test.name] {
          report.disputed.append(Report.Reason(name: test.name, reason: explanation))
        } else {
          report.failed.append(Report.Reason(name: test.name, reason: reason))
        }
      case .unsupported(let reason): report.unsupported.append(Report.Reason(name: test.name, reason: reason))
      }
    }
    if json {
      try printJSON(report)
    } else {
      show(report)
    }
    guard report.failed.isEmpty else {
      throw OctetError(.unsupported, "conformance", expected: "no failed test", found: "\(report.failed.count)")
    }
  }

  private func show(_ report: Report) {
    print("passed (\(report.passed.count))")
    for name in report.passed { print("  \(name)") }
    for (title, reasons) in [
      ("unsupported", report.unsupported), ("disputed", report.disputed), ("failed", report.failed),
    ] {
      print("\n\(title) (\(reasons.count))")
      for reason in reasons { print("  \(reason.name): \(reason.reason)") }
    }
    print(
      """

      \(report.passed.count) passed (\(report.passed_with_constants.count) with some inputs as constants), \
      \(report.unsupported.count) unsupported, \(report.disputed.count) disputed, \(report.failed.count) failed
      """)
  }
}
