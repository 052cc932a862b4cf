public import OctetCore
import OctetGraph

/// How the weight of each layer is quantized; `nil`: it stays in float.
///
///     var map = WeightQuantizationMap(.int4)
///     map["head"] = nil              // by module path or node name; * and ? as in a shell
///     map["encoder.*.query"] = .int8
///     map[.conv] = .int8             // by kind of operation
///
/// A module includes all below it. A path beats a kind, a kind beats the default; among paths that match, the one set
/// last wins.
public struct WeightQuantizationMap: Sendable {
  public var `default`: WeightQuantization?
  private var paths: [(glob: String, quantization: WeightQuantization?)] = []
  private var kinds: [Op.Kind: WeightQuantization?] = [:]

  public init(_ default: WeightQuantization?) { self.default = `default` }

  /// What is set for exactly this pattern, or else the default.
  public subscript(glob: String) -> WeightQuantization? {
    get { paths.last { $0.glob == glob }.map(\.quantization) ?? `default` }
    set {
      paths.removeAll { $0.glob == glob }
      paths.append((glob, newValue))
    }
  }

  /// What is set for a kind of operation, or else the default.
  public subscript(kind: Op.Kind) -> WeightQuantization? {
    get { kinds[kind] ?? `default` }
    set { kinds.updateValue(newValue, forKey: kind) }
  }

  /// What a node gets.
  func quantization(for node: Node) -> WeightQuantization? {
    paths.last { QConfigMap.matches($0.glob, node) }.map(\.quantization) ?? self[node.op.kind]
  }

  /// - Throws: `OctetError`: `invalidArgument` for an impossible type or group size; `unknownName` for a pattern that
  ///   matches no node of the graph, with names that are near.
  func check(against graph: Graph) throws {
    for quantization in [`default`] + paths.map(\.quantization) + Array(kinds.values) { try quantization?.check() }
    for (glob, _) in paths where !graph.nodes.contains(where: { QConfigMap.matches(glob, $0) }) {
      let names = Set(graph.nodes.map { $0.modules.first ?? $0.name })
      throw OctetError(
        .unknownName, "WeightQuantizationMap[\"\(glob)\"]",
        expected: "a pattern that matches a layer: \(nearNames(to: glob, in: names))", found: "no match")
    }
  }
}
