public import OctetCore

extension Graph: CustomStringConvertible {
  /// One line for each node: `f.0.conv = conv(x, f.0.weight; padding 1) → float32 [n, 16, 28, 28]`.
  public var description: String {
    var lines = ["graph(\(inputs.map { "\($0.name): \($0.type)" }.joined(separator: ", ")))"]
    for node in nodes {
      let attributes = node.op.operation.attributes
      let operands = node.inputs.map { (input: String?) -> String in input ?? "–" }.joined(separator: ", ")
      let results = node.outputs.map { output -> String in self.types[output].map { "\($0)" } ?? "?" }.joined(
        separator: ", ")
      lines.append(
        "  \(node.outputs.joined(separator: ", ")) = \(node.op.kind.rawValue)(\(operands)"
          + (attributes.isEmpty ? "" : "; \(attributes)") + ") → \(results)")
    }
    lines.append("  return \(outputs.map { "\($0.name) = \($0.value)" }.joined(separator: ", "))")
    return lines.joined(separator: "\n")
  }

  /// What a table says of a value beyond its type.
  public struct Annotation: Sendable {
    public var site: String
    public var scale: String
    public var zeroPoint: String

    public init(site: String = "", scale: String = "", zeroPoint: String = "") {
      self.site = site
      self.scale = scale
      self.zeroPoint = zeroPoint
    }

    public init(site: String = "", _ parameters: QuantizationParameters) {
      let scales = parameters.scales
      let zeros = Set(parameters.zeroPoints).sorted()
      self.init(
        site: site,
        scale: scales.count == 1 ? "\(scales[0])" : "\(scales.min()!)…\(scales.max()!)",
        zeroPoint: zeros.count == 1 ? "\(zeros[0])" : "\(zeros.first!)…\(zeros.last!)")
    }
  }

  /// The graph as a table: opcode, name, target, shape, and scale and zero point where a value has them.
  ///
  /// Opcodes are those of torch.fx. The columns site, scale and zero point appear if some value has them.
  public func tabular(_ annotations: [String: Annotation] = [:]) -> Table {
    var annotations = annotations
    for node in nodes {
      switch node.op {
      case .quantizeLinear(let payload): annotations[node.outputs[0]] = Annotation(payload.parameters)
      case .dequantizeLinear(let payload): annotations[node.outputs[0]] = Annotation(payload.parameters)
      default: break
      }
    }
    var rows: [(cells: [String], note: Annotation)] = []
    func add(_ opcode: String, _ name: String, _ target: String, _ value: String) {
      let type = types[value]
      rows.append(
        (
          [opcode, name, target, type.map { "\($0.shape)" } ?? "", type?.dtype.rawValue ?? ""],
          annotations[value] ?? Annotation()
        ))
    }
    for input in inputs { add("placeholder", input.name, "", input.name) }
    for node in nodes {
      let attributes = node.op.operation.attributes
      let isQuantizer = node.op.kind == .quantizeLinear || node.op.kind == .dequantizeLinear
      let what = node.op.kind.rawValue + (attributes.isEmpty || isQuantizer ? "" : " (\(attributes))")
      let target = node.modules.isEmpty ? what : "\(node.modules.joined(separator: " + ")): \(what)"
      add(node.modules.isEmpty ? "call_function" : "call_module", node.name, target, node.outputs[0])
    }
    for output in outputs { add("output", output.name, output.value, output.value) }

    let extra: [(String, KeyPath<Annotation, String>)] = [
      ("site", \.site), ("scale", \.scale), ("zero point", \.zeroPoint),
    ]
    let shown = extra.filter { column in rows.contains { !$0.note[keyPath: column.1].isEmpty } }
    var table = Table(["opcode", "name", "target", "shape", "dtype"] + shown.map(\.0))
    table.rows = rows.map { row in row.cells + shown.map { row.note[keyPath: $0.1] } }
    return table
  }

  /// Prints ``tabular(_:)``.
  public func printTabular() { print(tabular()) }
}
