import OctetCore

/// What an `.onnx` file says of itself.
public struct ONNXMetadata: Hashable, Sendable {
  /// The version of the file format.
  public let irVersion: Int
  /// The version of each operator set by domain; ONNX's own has the domain `""`.
  public let opsets: [String: Int]
  /// The software that wrote the file, and its version.
  public let producer: String
  /// The name of the graph.
  public let name: String
  /// Free text.
  public let documentation: String
  /// Free entries by key.
  public let properties: [String: String]

  /// The versions of ONNX's own operators that can be read.
  public static let supportedOpsets = 7...24

  init(_ model: Onnx_ModelProto) throws {
    irVersion = Int(model.irVersion)
    guard irVersion >= 3 else {
      throw OctetError(
        irVersion > 0 ? .unsupported : .invalidFile, "ir_version", expected: "3 or more", found: "\(irVersion)")
    }
    guard model.hasGraph else { throw OctetError(.invalidFile, "graph", expected: "a graph", found: "none") }
    opsets = try Self.opsets(model.opsetImport)
    guard let opset = opsets[""] ?? opsets.values.first else {
      throw OctetError(.invalidFile, "opset_import", expected: "at least one operator set", found: "none")
    }
    if opsets[""] != nil, !Self.supportedOpsets.contains(opset) {
      throw OctetError(
        .unsupported, "opset_import",
        expected: "version \(Self.supportedOpsets.lowerBound) to \(Self.supportedOpsets.upperBound)", found: "\(opset)")
    }
    producer = [model.producerName, model.producerVersion].filter { !$0.isEmpty }.joined(separator: " ")
    name = model.graph.name
    documentation = model.docString
    properties = Dictionary(model.metadataProps.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
  }

  /// Versions by domain, under one name for ONNX's own.
  static func opsets(_ imports: [Onnx_OperatorSetIdProto]) throws -> [String: Int] {
    var opsets: [String: Int] = [:]
    for entry in imports {
      let domain = Operator.canonical(domain: entry.domain)
      guard opsets.updateValue(Int(entry.version), forKey: domain) == nil else {
        throw OctetError(
          .invalidFile, "opset_import", expected: "one version for each domain", found: "two for \"\(domain)\"")
      }
    }
    return opsets
  }
}
