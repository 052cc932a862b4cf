public import OctetCore

/// What became of every node in a conversion.
public struct ConversionReport: Sendable, CustomStringConvertible {
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
  }

  /// One for each node, in order.
  public let entries: [Entry]
  /// Every place where the network changes between float and integers. Each costs a pass over the value.
  public let boundaries: [Boundary]

  public var quantized: [Entry] { entries.filter(\.isQuantized) }
  public var kept: [Entry] { entries.filter { !$0.isQuantized } }

  /// A table of the nodes, and one line of totals.
  public var description: String {
    var table = Table(["node", "operation", "result"])
    for entry in entries {
      table.append(entry.node, entry.kind.rawValue, entry.reason.map { "float: \($0)" } ?? "quantized")
    }
    return
      "\(table)\n\(quantized.count) of \(entries.count) nodes quantized, \(boundaries.count) float ↔ int8 boundaries"
  }
}
