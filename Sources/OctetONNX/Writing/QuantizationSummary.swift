import OctetCore
import OctetGraph

/// What is quantized how, as entries of a file's metadata: `octet.weights` = `7 int8 per channel`.
struct QuantizationSummary {
  let entries: [String: String]

  init(_ graph: Graph) {
    var counts: [String: [String: Int]] = [:]
    func count(_ key: String, _ what: String) { counts["octet.\(key)", default: [:]][what, default: 0] += 1 }
    for node in graph.nodes {
      switch node.op {
      case .quantizeLinear(let op): count("activations", Self.form(op.parameters))
      case .dequantizeLinear(let op) where node.inputs[0].flatMap { graph.parameters[$0] } != nil:
        count("weights", Self.form(op.parameters))
      case .dynamicQuantize(let op): count("dynamic", op.fileForm)
      case .recurrent(let op):
        if let activations = op.activations { count("dynamic", "\(op.kind.rawValue) \(activations.fileForm)") }
      default: break
      }
    }
    entries = counts.mapValues { kinds in
      kinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }
  }

  private static func form(_ parameters: QuantizationParameters) -> String {
    let kind =
      parameters.blockSize.map { "in blocks of \($0)" } ?? (parameters.isPerTensor ? "per tensor" : "per channel")
    return "\(parameters.dtype.rawValue) \(kind)"
  }
}
