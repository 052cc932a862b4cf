import OctetCore

/// How one version of an ONNX operator becomes Octet's operations.
///
/// An operator has an entry for every version in which a mapping changes: where an attribute became an input, or a default
/// changed. A node is read by the entry with the highest version that its model's operator set has.
struct Operator: Sendable {
  let domain: String
  let name: String
  let since: Int
  let map: @Sendable (ONNXNode) throws -> [Value]

  init(_ name: String, since: Int = 1, domain: String = "", _ map: @escaping @Sendable (ONNXNode) throws -> [Value]) {
    self.domain = domain
    self.name = name
    self.since = since
    self.map = map
  }

  /// Every operator that can be read, family by family: `grep '"Conv"'` in this folder finds where one is mapped.
  private static let all: [[Operator]] = [
    activationOperators, arithmeticOperators, attentionOperators, classicalOperators, comparisonOperators,
    constantOperators,
    controlOperators,
    convolutionOperators, dynamicOperators, indexingOperators, linearAlgebraOperators, normalizationOperators,
    poolingOperators,
    quantizationOperators, quantizedOperators, recurrentOperators, reductionOperators, resizeOperators, shapeOperators,
  ]

  private static let byName: [String: [Operator]] = Dictionary(grouping: all.joined()) { key($0.domain, $0.name) }

  private static func key(_ domain: String, _ name: String) -> String { "\(domain):\(name)" }

  /// ONNX's own domain has two names.
  static func canonical(domain: String) -> String { domain == "ai.onnx" ? "" : domain }

  /// Every operator that can be read: `Conv`, `com.microsoft.QGemm`.
  static var names: Set<String> {
    Set(all.joined().map { $0.domain.isEmpty ? $0.name : "\($0.domain).\($0.name)" })
  }

  static func isKnown(_ name: String, domain: String) -> Bool { byName[key(domain, name)] != nil }

  static func find(_ name: String, domain: String, opset: Int) -> Operator? {
    byName[key(domain, name)]?.filter { $0.since <= opset }.max { $0.since < $1.since }
  }
}
