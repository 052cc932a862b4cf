/// What every `throws` of Octet throws: what was expected, what was found, and where.
public struct OctetError: Error, Hashable, Sendable {
  /// The kind of mistake, for programs.
  public enum Code: String, Hashable, Sendable, CaseIterable {
    /// Shapes, ranks or axes that do not fit together.
    case shapeMismatch
    /// An element type other than the one required.
    case dtypeMismatch
    /// A number or option outside what is allowed.
    case invalidArgument
    /// A name (layer, parameter, input, instruction set …) that does not exist.
    case unknownName
    /// A well-formed request that Octet cannot carry out.
    case unsupported
    /// A file that is damaged or says something impossible.
    case invalidFile
    /// A file that cannot be read or written.
    case fileAccess
    /// A `forward` that cannot be traced because it looks at values.
    case notTraceable
    /// An observer or a site that has not seen any value.
    case notObserved
    /// A NaN where a number is needed.
    case notANumber
    /// A graph that breaks its own rules.
    case invalidGraph
  }

  public let code: Code
  /// Where: a node, a module path, a field, a file.
  public private(set) var subject: String
  public let expected: String
  public let found: String

  public init(_ code: Code, _ subject: String, expected: String, found: String) {
    self.code = code
    self.subject = subject
    self.expected = expected
    self.found = found
  }

  /// The same error as it is seen from farther out: `outer` is put before the subject.
  public func within(_ outer: String) -> OctetError {
    guard !outer.isEmpty, subject != outer, !subject.hasPrefix(outer + ": ") else { return self }
    var error = self
    error.subject = "\(outer): \(subject)"
    return error
  }
}

extension OctetError: CustomStringConvertible {
  public var description: String { "\(subject): expected \(expected), found \(found)" }
}

/// Runs `body` and puts `subject` before the subject of an `OctetError` that it throws.
package func naming<Result>(_ subject: @autoclosure () -> String, _ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch let error as OctetError {
    throw error.within(subject())
  }
}

/// The names nearest to `name`, for error messages: `a, b, c`.
package func nearNames(to name: String, in names: some Sequence<String>, limit: Int = 5) -> String {
  func distance(_ a: [Character], _ b: [Character]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let substitution = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substitution, row[j] + 1, diagonal + 1)
      }
    }
    return row[b.count]
  }
  let wanted = Array(name)
  let ranked = names.map { (distance(wanted, Array($0)), $0) }.sorted { $0 < $1 }
  let shown = ranked.prefix(limit).map(\.1).joined(separator: ", ")
  return ranked.count > limit ? shown + ", … (\(ranked.count) in all)" : shown
}
