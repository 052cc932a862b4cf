/// A command as `--experimental-dump-help` describes it, and a page of Markdown about it.
struct CommandHelp: Decodable {
  struct Dump: Decodable {
    let command: CommandHelp
  }

  struct Argument: Decodable {
    enum Kind: String, Decodable {
      case positional, option, flag
    }

    struct Name: Decodable {
      let kind: String
      let name: String
    }

    let kind: Kind
    let preferredName: Name?
    let valueName: String?
    let abstract: String?
    let defaultValue: String?
    let allValues: [String]?
    let isOptional: Bool
    let isRepeating: Bool
    let shouldDisplay: Bool

    /// As it is typed: `--output <file>`.
    var form: String {
      let value = "<\(valueName ?? "value")>" + (kind == .positional && isRepeating ? " …" : "")
      return switch kind {
      case .positional: value
      case .option: "--\(preferredName!.name) \(value)"
      case .flag: "--\(preferredName!.name)"
      }
    }

    var item: String {
      var text = "`\(form)`: \(abstract ?? "")"
      if let allValues, kind != .flag { text += " One of \(allValues.map { "`\($0)`" }.joined(separator: ", "))." }
      if let defaultValue, kind != .flag { text += " Without it: `\(defaultValue)`." }
      return text
    }
  }

  let commandName: String
  let abstract: String?
  let discussion: String?
  let arguments: [Argument]?
  let subcommands: [CommandHelp]?

  /// The page of the command `octet`.
  var page: String {
    var page = """
      # The command octet

      \(abstract ?? "")

      ## Overview

      The same as `octet help` and `octet help COMMAND` say; this page is made of it (`scripts/make-command-reference`).

      """
    page += Self.paragraphs(discussion)
    for subcommand in subcommands ?? [] where subcommand.commandName != "help" { page += subcommand.section }
    return page
  }

  private var section: String {
    let arguments = (arguments ?? []).filter {
      $0.shouldDisplay && !["help", "version"].contains($0.preferredName?.name)
    }
    let required = arguments.filter { $0.kind == .positional || !$0.isOptional && $0.kind == .option }
      .map { $0.isOptional ? "[\($0.form)]" : $0.form }
    let usage = (["octet", commandName] + required + (required.count < arguments.count ? ["[options]"] : []))
      .joined(separator: " ")
    var text = "\n## \(commandName)\n\n" + Self.wrapped(Self.marked(abstract ?? "")) + "\n\n    \(usage)\n"
    text += Self.paragraphs(discussion)
    if !arguments.isEmpty { text += "\n" }
    for argument in arguments { text += Self.wrapped("* " + Self.marked(argument.item), indent: "  ") + "\n" }
    return text
  }

  /// Paragraphs as they are; tables and examples as code.
  private static func paragraphs(_ text: String?) -> String {
    (text ?? "").split(separator: "\n\n").map { paragraph in
      let lines = paragraph.split(separator: "\n")
      if let example = paragraph.wholeMatch(of: #/Example: (.*)/#) { return "\n    \(example.1)\n" }
      guard let first = lines.firstIndex(where: { $0.hasPrefix("  ") }) else {
        return "\n" + wrapped(marked(lines.joined(separator: " "))) + "\n"
      }
      let title = first == 0 ? "" : "\n" + wrapped(marked(lines[..<first].joined(separator: " "))) + "\n"
      return title + "\n" + lines[first...].map { "  \($0)\n" }.joined()
    }.joined()
  }

  /// What stands in 'quotes', options and patterns, as code.
  private static func marked(_ text: String) -> String {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { index, part in
      if index % 2 == 1 { return String(part) }
      return String(part).replacing(#/'(octet[^']*)'/#) { "`\($0.1)`" }
        .replacing(#/(^|[\s(])(--[a-z][a-z0-9-]*)/#) { "\($0.1)`\($0.2)`" }
        .replacing(#/(^|[\s(])(\*\.[a-z]+)/#) { "\($0.1)`\($0.2)`" }
        .replacing("_", with: "\\_")
    }.joined(separator: "`")
  }

  private static func wrapped(_ text: String, indent: String = "") -> String {
    var lines = [""]
    for word in text.split(separator: " ") {
      if lines.last!.count + word.count + 1 > 120 { lines.append(indent) }
      lines[lines.count - 1] += (lines.last!.isEmpty || lines.last! == indent ? "" : " ") + word
    }
    return lines.joined(separator: "\n")
  }
}
