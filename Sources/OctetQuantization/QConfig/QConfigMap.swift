import OctetCore
public import OctetGraph

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Which QConfig each node of a graph gets.
///
///     var map = QConfigMap(.default)
///     map[.linear] = .float                  // by kind of operation
///     map["head.*"] = .default(for: .fbgemm) // by module path; * ? [a-z] as in a shell
///     map[node: "head.0.linear"] = .float    // one node
///
/// The most specific rule wins: a node beats a path, a path beats a kind, a kind beats the default. Among paths that match,
/// the one set last wins. A path includes all modules below it; it is also compared with the names of nodes, which is
/// all that operations outside of any module have.
public struct QConfigMap: Sendable {
  /// Why a node has its QConfig.
  enum Rule: Hashable, CustomStringConvertible {
    case node(String)
    case path(String)
    case kind(Op.Kind)
    case `default`

    var description: String {
      switch self {
      case .node(let name): "node \(name)"
      case .path(let glob): "path \(glob)"
      case .kind(let kind): "kind \(kind.rawValue)"
      case .default: "default"
      }
    }
  }

  public var `default`: QConfig
  var nodes: [String: QConfig] = [:]
  var paths: [(glob: String, config: QConfig)] = []
  var kinds: [Op.Kind: QConfig] = [:]

  public init(_ default: QConfig) { self.default = `default` }

  /// The QConfig set for exactly this pattern, or else the default; which one a node gets is ``config(for:)``.
  public subscript(glob: String) -> QConfig {
    get { paths.last { $0.glob == glob }?.config ?? `default` }
    set {
      paths.removeAll { $0.glob == glob }
      paths.append((glob, newValue))
    }
  }

  /// The QConfig set for a kind of operation, or else the default. A kind that a graph lacks is no error.
  public subscript(kind: Op.Kind) -> QConfig {
    get { kinds[kind] ?? `default` }
    set { kinds[kind] = newValue }
  }

  /// The QConfig set for the node of this name, or else the default.
  public subscript(node name: String) -> QConfig {
    get { nodes[name] ?? `default` }
    set { nodes[name] = newValue }
  }

  /// The QConfig of a node.
  public func config(for node: Node) -> QConfig { rules(for: node)[0].config }

  /// Which node of a graph gets which QConfig, and by which rule: the columns node, operation, QConfig and because.
  /// Rules that match too but are less specific follow behind "over".
  public func explanation(for graph: Graph) -> Table {
    var table = Table(["node", "operation", "QConfig", "because"])
    for node in graph.nodes {
      let rules = rules(for: node)
      let beaten = rules.dropFirst().dropLast().map { "\($0.rule)" }
      let reason = "\(rules[0].rule)" + (beaten.isEmpty ? "" : " over \(beaten.joined(separator: ", "))")
      table.append(node.name, node.op.kind.rawValue, "\(rules[0].config)", reason)
    }
    return table
  }

  /// All that match a node, the one that wins first, the default last.
  private func rules(for node: Node) -> [(rule: Rule, config: QConfig)] {
    var rules: [(Rule, QConfig)] = []
    if let config = nodes[node.name] { rules.append((.node(node.name), config)) }
    rules += paths.reversed().filter { Self.matches($0.glob, node) }.map { (.path($0.glob), $0.config) }
    if let config = kinds[node.op.kind] { rules.append((.kind(node.op.kind), config)) }
    return rules + [(.default, `default`)]
  }

  /// - Throws: `OctetError` (`unknownName`) for a pattern or name that matches no node of the graph, with names that are
  ///   near.
  func check(against graph: Graph) throws {
    let nodeNames = graph.nodes.map(\.name)
    for name in nodes.keys.sorted() where !nodeNames.contains(name) {
      throw OctetError(
        .unknownName, "QConfigMap[node: \"\(name)\"]",
        expected: "the name of a node: \(nearNames(to: name, in: nodeNames))", found: "no such node")
    }
    for (glob, _) in paths where !graph.nodes.contains(where: { Self.matches(glob, $0) }) {
      let names = Set(graph.nodes.flatMap { $0.modules.isEmpty ? [$0.name] : $0.modules })
      throw OctetError(
        .unknownName, "QConfigMap[\"\(glob)\"]",
        expected: "a pattern that matches a layer: \(nearNames(to: glob, in: names))",
        found: "no match")
    }
  }

  /// Whether a pattern means a node: by its name, or that of a module it is in.
  static func matches(_ glob: String, _ node: Node) -> Bool {
    if matches(glob, node.name) { return true }
    return node.modules.contains { module in
      let parts = module.split(separator: ".")
      return parts.indices.contains { matches(glob, parts[...$0].joined(separator: ".")) }
    }
  }

  static func matches(_ glob: String, _ name: String) -> Bool { fnmatch(glob, name, 0) == 0 }
}
