import Foundation
import TestSupport
import Testing

/// Docs/Octet.docc/Commands.md says what `--help` says. `scripts/make-command-reference` writes it anew.
@Suite("The reference of the commands")
struct CommandReferenceTests {
  @Test func saysWhatHelpSays() throws {
    let dump = try Octet.run("--experimental-dump-help")
    let command = try JSONDecoder().decode(CommandHelp.Dump.self, from: Data(dump.output.utf8)).command
    let page = command.page
    let path = "\(packageRoot)/Docs/Octet.docc/Commands.md"
    if ProcessInfo.processInfo.environment["OCTET_WRITE_COMMANDS"] != nil {
      try Data(page.utf8).write(to: URL(filePath: path))
    }
    let committed = try String(contentsOf: URL(filePath: path), encoding: .utf8)
    let (old, new) = (committed.split(separator: "\n"), page.split(separator: "\n"))
    let change = new.first { !old.contains($0) } ?? old.first { !new.contains($0) }
    #expect(
      committed == page, "scripts/make-command-reference writes it anew; the first change: \(change ?? "an empty line")"
    )
    // Every command that help lists has its section, and every section its example or arguments.
    let overview = try Octet.run("--help").output
    for subcommand in command.subcommands ?? [] where subcommand.commandName != "help" {
      #expect(overview.contains("\n  \(subcommand.commandName) ") && page.contains("\n## \(subcommand.commandName)\n"))
    }
  }
}
