import ArgumentParser
import Foundation
import Octet

@main
struct OctetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "octet",
    abstract: "Int8 quantization for neural networks.",
    discussion: """
      Exit codes: 0 success, 1 the work failed, 2 the command was used wrongly.
      The environment variable OCTET_ISA forces an instruction set; 'octet cpu' lists them.
      """,
    version: "octet 0.1.0",
    subcommands: [
      QuantizeCommand.self, RunCommand.self, InspectCommand.self, CompareCommand.self, ConvertCommand.self,
      BenchCommand.self, ConformanceCommand.self, CPUCommand.self, DemoCommand.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as WrongUse {
      complain("octet: \(error.reason)")
      Foundation.exit(2)
    } catch {
      switch exitCode(for: error) {
      case .success:
        print(message(for: error))
        Foundation.exit(0)
      case .validationFailure:
        complain(fullMessage(for: error))
        Foundation.exit(2)
      default:
        complain("octet: \(error is OctetError ? "\(error)" : message(for: error))")
        Foundation.exit(1)
      }
    }
  }

  private static func complain(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }
}

/// A command that was used wrongly, as comes out only while it runs.
struct WrongUse: Error {
  let reason: String

  init(_ reason: String) { self.reason = reason }
}
