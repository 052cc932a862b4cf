public import OctetCore
import OctetGraph

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How a node is quantized: the observers of its activations and of its weight.
public struct QConfig: Sendable {
  /// The template for activations; `nil`: stay in float.
  public var activation: (any Observer)?
  /// The template for weights; `nil`: stay in float.
  public var weight: (any Observer)?

  public init(activation: (any Observer)?, weight: (any Observer)?) {
    self.activation = activation
    self.weight = weight
  }

  /// Not quantized.
  public static let float = QConfig(activation: nil, weight: nil)

  /// Histogram, uint8 affine over the full range; weights int8 symmetric per output channel.
  public static let octet = QConfig(
    activation: HistogramObserver(dtype: .uint8),
    weight: PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric))

  /// PyTorch's default for the fbgemm backend: as ``octet``, but activations use half of the range.
  public static let fbgemm = QConfig(
    activation: HistogramObserver(dtype: .uint8, reduceRange: true),
    weight: PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric))

  /// ``octet``
  public static let `default` = octet

  var isFloat: Bool { activation == nil && weight == nil }
}

/// Which QConfig each node of a graph gets.
///
///     var map = QConfigMap(.default)
///     map["head.*"] = .float         // by module path or node name; * and ? as in a shell
///     map[.linear] = .fbgemm         // by kind of operation
///
/// A module includes all below it. A path beats a kind, a kind beats the default; among paths that match, the one set
/// last wins.
public struct QConfigMap: Sendable {
  public var `default`: QConfig
  private var paths: [(glob: String, config: QConfig)] = []
  private var kinds: [Op.Kind: QConfig] = [:]

  public init(_ default: QConfig) { self.default = `default` }

  /// The QConfig set for exactly this pattern, or else the default; which one a node gets is ``config(for:)``.
  public subscript(glob: String) -> QConfig {
    get { paths.last { $0.glob == glob }?.config ?? `default` }
    set {
      paths.removeAll { $0.glob == glob }
      paths.append((glob, newValue))
    }
  }

  /// The QConfig set for a kind of operation, or else the default.
  public subscript(kind: Op.Kind) -> QConfig {
    get { kinds[kind] ?? `default` }
    set { kinds[kind] = newValue }
  }

  /// The QConfig of a node.
  public func config(for node: Node) -> QConfig {
    paths.last { Self.matches($0.glob, node) }?.config ?? kinds[node.op.kind] ?? `default`
  }

  /// - Throws: `OctetError` (`unknownName`) for a pattern that matches no node of the graph, with names that are near.
  func check(against graph: Graph) throws {
    for (glob, _) in paths where !graph.nodes.contains(where: { Self.matches(glob, $0) }) {
      let names = Set(graph.nodes.flatMap { $0.modules.isEmpty ? [$0.name] : $0.modules })
      throw OctetError(
        .unknownName, "QConfigMap[\"\(glob)\"]",
        expected: "a pattern that matches a layer: \(nearNames(to: glob, in: names))",
        found: "no match")
    }
  }

  static func matches(_ glob: String, _ node: Node) -> Bool {
    func isMatch(_ name: String) -> Bool { fnmatch(glob, name, 0) == 0 }
    if isMatch(node.name) { return true }
    return node.modules.contains { module in
      let parts = module.split(separator: ".")
      return parts.indices.contains { isMatch(parts[...$0].joined(separator: ".")) }
    }
  }
}
