public import OctetCore
public import OctetGraph

/// What became of every node in a conversion, and where the network changes between float and integers.
public struct ConversionReport: Sendable, Hashable, Codable {
  public struct Entry: Sendable, Hashable, Codable {
    /// The node's name in the graph that was converted.
    public let node: String
    public let kind: Op.Kind
    /// The modules it comes from.
    public let modules: [String]
    /// Why it stays in float; `nil`: it is quantized.
    public let reason: String?

    public var isQuantized: Bool { reason == nil }
  }

  /// A value that goes from float to integers or back.
  public struct Boundary: Sendable, Hashable, Codable {
    public enum Direction: String, Sendable, Hashable, Codable {
      case quantize, dequantize
    }

    public let value: String
    public let direction: Direction
    /// The node that makes the value, or `input x`.
    public let from: String
    /// The nodes beyond the boundary that use it, and the outputs, such as `output scores`.
    public let to: [String]
  }

  /// One for each node, in order.
  public let entries: [Entry]
  /// Every place where the network changes between float and integers. Each costs a pass over the value.
  public let boundaries: [Boundary]

  public var quantized: [Entry] { entries.filter(\.isQuantized) }
  public var kept: [Entry] { entries.filter { !$0.isQuantized } }

  /// How many values change in this direction.
  public func count(_ direction: Boundary.Direction) -> Int { boundaries.count { $0.direction == direction } }
}

extension ConversionReport: CustomStringConvertible {
  /// A table of the boundaries, if there are any, a table of the nodes, and one line of totals.
  public var description: String {
    var nodes = Table(["node", "operation", "result"])
    for entry in entries {
      nodes.append(entry.node, entry.kind.rawValue, entry.reason.map { "float: \($0)" } ?? "quantized")
    }
    var changes = Table(["boundary", "value", "from", "to"])
    for boundary in boundaries {
      changes.append(boundary.direction.rawValue, boundary.value, boundary.from, boundary.to.joined(separator: ", "))
    }
    let total = "\(quantized.count) of \(entries.count) nodes quantized, \(boundaries.count) float ↔ int8 boundaries"
    return (boundaries.isEmpty ? "" : "\(changes)\n\n") + "\(nodes)\n\(total)"
  }
}

extension Graph {
  /// The table of a converted graph, with the report's reasons for what is float.
  public func tabular(_ report: ConversionReport) -> Table {
    let reasons = Dictionary(report.entries.map { ($0.node, $0.reason) }) { first, _ in first }
    var annotations: [String: Annotation] = [:]
    for node in nodes {
      guard let reason = reasons[node.name] ?? nil else { continue }
      for output in node.outputs { annotations[output] = Annotation(note: "float: \(reason)") }
    }
    return tabular(annotations)
  }
}
