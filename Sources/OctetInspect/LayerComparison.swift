public import OctetCore
public import OctetGraph

/// What values of one graph are worth in another one: a float graph against the same one quantized, value by value.
///
/// Both are replayed; values that both have under the same name, of float32 and not constant, are compared.
///
///     var layers = LayerComparison(float, quantized)
///     for inputs in samples { try layers.add(inputs) }
///     print(layers.worstFirst.first!)
public struct LayerComparison: Sendable {
  public struct Layer: Sendable {
    /// The name of the value.
    public let value: String
    /// The operation that makes it in the float graph.
    public let kind: Op.Kind
    public internal(set) var difference = Difference(agreement: false)
  }

  private let reference: Graph
  private let graph: Graph
  /// In the order of the float graph.
  public private(set) var layers: [Layer]

  public init(_ reference: Graph, _ graph: Graph) {
    self.reference = reference
    self.graph = graph
    let made = Set(graph.nodes.flatMap(\.outputs))
    layers = reference.nodes.flatMap { node in
      node.outputs.filter { made.contains($0) && reference.types[$0]?.dtype == .float32 }.map {
        Layer(value: $0, kind: node.op.kind)
      }
    }
  }

  /// Those with the least signal to noise first; equal ones in the order of the float graph.
  public var worstFirst: [Layer] {
    layers.enumerated().sorted { ($0.element.difference.sqnr, $0.offset) < ($1.element.difference.sqnr, $1.offset) }
      .map(\.element)
  }

  /// Replays both graphs with these inputs by name and compares.
  ///
  /// - Throws: `OctetError`: `unknownName` for an input that is missing; as `Graph.replay`.
  public mutating func add(_ inputs: [String: Tensor]) throws {
    let index = Dictionary(uniqueKeysWithValues: layers.enumerated().map { ($1.value, $0) })
    var expected: [String: Tensor] = [:]
    _ = try reference.replay(reference.ordered(inputs)) { value, tensor in
      if index[value] != nil { expected[value] = tensor }
      return tensor
    }
    var layers = layers
    _ = try graph.replay(graph.ordered(inputs)) { value, tensor in
      if let layer = index[value], let wanted = expected.removeValue(forKey: value) {
        try layers[layer].difference.add(tensor, reference: wanted)
      }
      return tensor
    }
    self.layers = layers
  }
}
