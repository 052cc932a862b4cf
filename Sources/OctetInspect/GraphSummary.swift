public import OctetCore
public import OctetGraph

/// What a graph consists of, in numbers.
public struct GraphSummary: Sendable {
  /// How many nodes there are of each kind, the most frequent first, then by name. Pairs of quantized form are not
  /// counted: see ``quantizeCount`` and ``dequantizeCount``.
  public let operations: [(kind: Op.Kind, count: Int)]
  public let quantizeCount: Int
  public let dequantizeCount: Int
  /// How many elements the parameters have together.
  public let parameterCount: Int
  /// Bytes of the parameters by element type, in the order of `DType`.
  public let parameterBytes: [(dtype: DType, bytes: Int)]
  /// Operations between quantize–dequantize pairs, or with activations that are quantized while they run.
  public let integerCount: Int
  /// The other operations by the reason why they are none, the most frequent first; empty if nothing is quantized.
  public let floatReasons: [(reason: String, count: Int)]
  /// Places where a value goes from float to integers or back.
  public let boundaryCount: Int
  public var isQuantized: Bool { quantizeCount + dequantizeCount > 0 || integerCount > 0 }

  public init(_ graph: Graph) {
    let kinds = graph.nodes.map(\.op.kind)
    quantizeCount = kinds.count { $0 == .quantizeLinear }
    dequantizeCount = kinds.count { $0 == .dequantizeLinear }
    operations = Self.counted(kinds.filter { $0 != .quantizeLinear && $0 != .dequantizeLinear }, by: \.rawValue)
      .map { ($0.item, $0.count) }
    let values = graph.parameters.values.map(\.value)
    parameterCount = values.reduce(0) { $0 + elementCount(of: $1.shape) }
    parameterBytes = DType.allCases.compactMap { dtype in
      let bytes = values.filter { $0.dtype == dtype }.reduce(0) { $0 + dtype.byteCount(of: elementCount(of: $1.shape)) }
      return bytes > 0 ? (dtype, bytes) : nil
    }
    let isInForm =
      quantizeCount + dequantizeCount > 0
      || graph.nodes.contains { node in
        if case .recurrent(let payload) = node.op {
          payload.activations != nil
        } else {
          node.op.kind == .dynamicQuantize
        }
      }
    let roles = isInForm ? QuantizedForm(graph).roles : []
    integerCount = roles.count { $0 == .integer }
    boundaryCount = roles.count { $0 == .boundary }
    // Reasons that name values are one kind of reason each.
    floatReasons = Self.counted(
      roles.compactMap { role -> String? in
        guard case .float(let reason) = role else { return nil }
        return reason.hasSuffix(" is not quantized") && reason != "its result is not quantized"
          ? "an operand is not quantized" : reason
      }, by: \.self
    ).map { ($0.item, $0.count) }
  }

  private static func counted<Item: Hashable>(_ items: [Item], by name: (Item) -> String) -> [(item: Item, count: Int)]
  {
    Dictionary(grouping: items) { $0 }.map { ($0.key, $0.value.count) }
      .sorted { ($1.1, name($0.0)) < ($0.1, name($1.0)) }
  }
}
