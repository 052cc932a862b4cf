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
    /// Why the value has no site, or what else there is to say.
    public var note: String

    public init(site: String = "", scale: String = "", zeroPoint: String = "", note: String = "") {
      self.site = site
      self.scale = scale
      self.zeroPoint = zeroPoint
      self.note = note
    }

    public init(site: String = "", _ parameters: QuantizationParameters, note: String = "") {
      let scales = parameters.scales
      let zeros = Set(parameters.zeroPoints).sorted()
      self.init(
        site: site,
        scale: scales.count == 1 ? "\(scales[0])" : "\(scales.min()!)…\(scales.max()!)",
        zeroPoint: zeros.count == 1 ? "\(zeros[0])" : "\(zeros.first!)…\(zeros.last!)", note: note)
    }
  }

  /// The graph as a table: opcode, name, target, shape, and scale and zero point where a value has them.
  ///
  /// Opcodes are those of torch.fx. The columns site, scale, zero point and note appear if some value has them. In a graph
  /// with quantize–dequantize pairs notes say what is float and why, where the boundaries between float and integers
  /// are, and which pairs dangle, as ``QuantizedForm`` sees it; a note of `annotations` goes before these.
  public func tabular(_ annotations: [String: Annotation] = [:]) -> Table {
    var annotations = annotations
    let isInQuantizedForm = nodes.contains { $0.isPairHalf }
    let roles = isInQuantizedForm ? QuantizedForm(self).roles : []
    for (index, node) in nodes.enumerated() {
      let value = node.outputs[0]
      let note = annotations[value]?.note ?? ""
      switch node.op {
      case .quantizeLinear(let payload): annotations[value] = Annotation(payload.parameters, note: note)
      case .dequantizeLinear(let payload): annotations[value] = Annotation(payload.parameters, note: note)
      default: break
      }
      if isInQuantizedForm && note.isEmpty {
        annotations[value, default: Annotation()].note = roles[index].note(node.op.kind)
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
      let what = node.op.kind.rawValue + (attributes.isEmpty || node.isPairHalf ? "" : " (\(attributes))")
      let target = node.modules.isEmpty ? what : "\(node.modules.joined(separator: " + ")): \(what)"
      add(node.modules.isEmpty ? "call_function" : "call_module", node.name, target, node.outputs[0])
    }
    for output in outputs {
      add("output", output.name, output.value, output.value)
      // What there is to say stands where the value is made.
      rows[rows.count - 1].note.note = ""
    }

    let extra: [(String, KeyPath<Annotation, String>)] = [
      ("site", \.site), ("scale", \.scale), ("zero point", \.zeroPoint), ("note", \.note),
    ]
    let shown = extra.filter { column in rows.contains { !$0.note[keyPath: column.1].isEmpty } }
    var table = Table(["opcode", "name", "target", "shape", "dtype"] + shown.map(\.0))
    table.rows = rows.map { row in row.cells + shown.map { row.note[keyPath: $0.1] } }
    return table
  }

  /// Prints ``tabular(_:)-([String:Graph.Annotation])``.
  public func printTabular() { print(tabular()) }
}
