import Foundation
import TestSupport

/// What Package.swift and the sources say about who uses whom.
struct PackageDescription {
  struct Target {
    let name: String
    let kind: String
    let path: String
    /// Names of targets and products.
    let dependencies: Set<String>
  }

  let targets: [String: Target]

  /// Reads Package.swift as text: a target begins with `.target(`, `.testTarget(` … indented by four spaces.
  init() throws {
    let text = try String(contentsOfFile: "\(packageRoot)/Package.swift", encoding: .utf8)
    let start = try! Regex(#"(?m)^    \.(target|testTarget|executableTarget|systemLibrary|plugin|macro)\("#)
    let starts = text.matches(of: start).map(\.range)
    var targets: [String: Target] = [:]
    for (index, range) in starts.enumerated() {
      let block = text[range.lowerBound..<(index + 1 < starts.count ? starts[index + 1].lowerBound : text.endIndex)]
      guard let name = block.firstMatch(of: /name:\s*"([^"]+)"/).map({ String($0.output.1) }) else { continue }
      let kind = block[range].filter(\.isLetter)
      let path = block.firstMatch(of: /\n?\s*path:\s*"([^"]+)"/).map { String($0.output.1) }
      targets[name] = Target(
        name: name, kind: kind, path: path ?? "\(kind == "testTarget" ? "Tests" : "Sources")/\(name)",
        dependencies: Self.dependencies(in: block))
    }
    self.targets = targets
  }

  /// All quoted names within the brackets of `dependencies:`.
  private static func dependencies(in block: Substring) -> Set<String> {
    guard let start = block.range(of: "dependencies: [") else { return [] }
    var depth = 1
    let list = block[start.upperBound...].prefix {
      if $0 == "[" { depth += 1 }
      if $0 == "]" { depth -= 1 }
      return depth > 0
    }
    return Set(list.matches(of: /"([^"]+)"/).map { String($0.output.1) })
  }

  /// The files of a target with one of these endings.
  func files(of target: Target, _ endings: Set<String>) -> [String] {
    let root = "\(packageRoot)/\(target.path)"
    guard let paths = FileManager.default.enumerator(atPath: root) else { return [] }
    return paths.compactMap { $0 as? String }.filter { path in endings.contains { path.hasSuffix($0) } }.sorted()
      .map { "\(root)/\($0)" }
  }

  /// The modules that the Swift files of a target import, each with a file that does.
  func imports(of target: Target) throws -> [String: String] {
    let line = try! Regex<(Substring, Substring)>(
      #"(?m)^\s*(?:@[\w()]+\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|func|protocol|typealias|let|var)\s+)?(\w+)"#
    )
    var imports: [String: String] = [:]
    for file in files(of: target, [".swift"]) {
      let text = try String(contentsOfFile: file, encoding: .utf8)
      for match in text.matches(of: line) { imports[String(match.output.1)] = file }
    }
    return imports
  }

  /// What the toolchain and the system bring.
  static let systemModules: Set<String> = [
    "Accelerate", "Darwin", "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Swift",
    "Synchronization",
    "Testing",
  ]
}
