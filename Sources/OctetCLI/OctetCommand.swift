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
      QuantizeCommand.self, QATCommand.self, RunCommand.self, InspectCommand.self, CompareCommand.self,
      ConvertCommand.self,
      BenchCommand.self, ConformanceCommand.self, CPUCommand.self, DemoCommand.self,
    ])

  static func main() {
    do {
      try requireCommand(CommandLine.arguments.dropFirst().first)
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
        complain("octet: \(message(for: error))\(advice(for: error))")
        Foundation.exit(2)
      default:
        complain("octet: \(error is OctetError ? "\(error)" : message(for: error))")
        Foundation.exit(1)
      }
    }
  }

  /// What a mistyped command may have been; the parser would only say that it did not expect it.
  private static func requireCommand(_ word: String?) throws {
    let names = configuration.subcommands.map { $0._commandName } + ["help"]
    guard let word, !word.hasPrefix("-"), !names.contains(word) else { return }
    throw WrongUse(
      "no command is named \(word); the nearest are \(nearNames(to: word, in: names, limit: 3)) ('octet --help' shows all)"
    )
  }

  /// Which help has more, in one line with the complaint.
  private static func advice(for error: any Error) -> String {
    fullMessage(for: error).firstMatch(of: #/'octet[^']* --help'/#).map { " (more: \($0.output))" } ?? ""
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
