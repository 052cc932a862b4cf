import OctetCore

extension Graph {
  /// The graph in the language of Graphviz: `dot -Tsvg`.
  ///
  /// Operations between quantize–dequantize pairs are green boxes, others white ones; the halves of a pair are small
  /// ovals, orange where they are a boundary between float and integers, red and dashed where no integer operation uses
  /// them. Parameters are notes, yellow if they are integers. Edges show types; those of integers are green and thick.
  public func dot() -> String {
    let roles = QuantizedForm(self).roles
    let producers = producers
    // Values are drawn as what makes them.
    var makers: [String: String] = [:]
    var lines = ["digraph octet {", "  rankdir=TB;", "  node [fontname=\"Helvetica\", fontsize=10];"]
    lines.append("  edge [fontname=\"Helvetica\", fontsize=8];")
    func draw(_ id: String, _ label: [String], _ style: String) {
      let text = label.map(escaped).joined(separator: "\\n")
      lines.append("  \(id) [label=\"\(text)\", \(style)];")
    }
    for (index, input) in inputs.enumerated() {
      makers[input.name] = "input\(index)"
      draw("input\(index)", [input.name, "\(input.type)"], "shape=invhouse, style=filled, fillcolor=\"#dce6f2\"")
    }
    let used = Set(nodes.flatMap { $0.inputs.compactMap { $0 } } + outputs.map(\.value))
    for (index, name) in parameters.keys.sorted().enumerated() where used.contains(name) {
      let type = parameters[name]!.value.type
      let color = type.dtype.quantizedRange == nil ? "#f2f2f2" : "#fff2b3"
      makers[name] = "parameter\(index)"
      draw("parameter\(index)", [name, "\(type)"], "shape=note, style=filled, fillcolor=\"\(color)\"")
    }
    func draw(edgeOf value: String, to target: String) {
      guard let maker = makers[value] else { return }
      let type = types[value]
      let isInteger = type?.dtype.quantizedRange != nil
      let label = producers[value] == nil ? "" : type.map { "\($0)" } ?? ""
      let style = isInteger ? ", color=\"#2e7d32\", penwidth=2" : ""
      lines.append("  \(maker) -> \(target) [label=\"\(escaped(label))\"\(style)];")
    }
    for (index, node) in nodes.enumerated() {
      for output in node.outputs { makers[output] = "node\(index)" }
      let attributes = node.op.operation.attributes
      let label = [node.name, node.op.kind.rawValue] + (attributes.isEmpty ? [] : [attributes])
      draw("node\(index)", label, roles[index].style)
      for input in node.inputs.compactMap({ $0 }) { draw(edgeOf: input, to: "node\(index)") }
    }
    for (index, output) in outputs.enumerated() {
      draw("output\(index)", [output.name], "shape=house, style=filled, fillcolor=\"#dce6f2\"")
      draw(edgeOf: output.value, to: "output\(index)")
    }
    return (lines + ["}"]).joined(separator: "\n") + "\n"
  }
}

extension QuantizedForm.Role {
  fileprivate var style: String {
    switch self {
    case .integer: "shape=box, style=filled, fillcolor=\"#c8e6c9\""
    case .float: "shape=box"
    case .parameter, .inner: "shape=oval, fontsize=8, color=\"#2e7d32\""
    case .boundary: "shape=oval, fontsize=8, style=filled, fillcolor=\"#ffcc80\""
    case .dangling: "shape=oval, fontsize=8, style=\"filled,dashed\", fillcolor=\"#ffcdd2\", color=\"#c62828\""
    }
  }
}

/// Text within the quotes of a label: as it is, on one line.
private func escaped(_ text: String) -> String {
  var escaped = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": escaped += "\\\""
    case "\\": escaped += "\\\\"
    case "\u{0}"..<" ": escaped += " "
    default: escaped.unicodeScalars.append(scalar)
    }
  }
  return escaped
}
