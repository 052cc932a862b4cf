import Foundation
public import OctetCore
public import OctetGraph

/// What each quantized part of a network does to its outputs when nothing else is quantized.
///
///     var sensitivity = try Sensitivity(float, quantized)
///     for inputs in samples { try sensitivity.add(inputs) }
///     print(sensitivity.worstFirst[0].part.name)
///
/// The noise of parts that do little adds up to about that of the whole network; one that ruins the result stands out.
/// Only what a part changes is computed for it, from the values of the float network.
public struct Sensitivity: Sendable {
  public struct Entry: Sendable {
    public let part: QuantizedPart
    /// Of each output of the float graph, in order.
    public fileprivate(set) var differences: [Difference]

    /// Noise divided by signal, powers, summed over the outputs (``Difference/noiseRatio``).
    public var noise: Double { differences.reduce(0) { $0 + $1.noiseRatio } }
    /// ``noise`` in dB.
    public var sqnr: Double { noise == 0 ? .infinity : -10 * log10(noise) }
  }

  /// In the order of the graph.
  public private(set) var entries: [Entry]

  /// How much one more call of ``add(_:progress:)`` computes, about: multiplications of products, and results of other
  /// operations. 0 before the first.
  public private(set) var operationsOfARun = 0

  private let reference: Graph
  private let pieces: [Graph]
  /// The values of the float graph from which pieces start or against which they are compared.
  private let needed: Set<String>

  /// - Parameters:
  ///   - reference: the float graph.
  ///   - graph: the same one quantized.
  ///   - parts: those to look at; all of them if not given.
  /// - Throws: `OctetError` (`invalidGraph`) if the graphs do not belong together.
  public init(_ reference: Graph, _ graph: Graph, parts: [QuantizedPart]? = nil) throws {
    self.reference = reference
    let all = QuantizedPart.parts(of: graph, reference: reference)
    let chosen = parts ?? all
    pieces = try chosen.map { part in
      let others = all.filter { $0.halves.isDisjoint(with: part.halves) || $0.kind != part.kind }
      return try graph.replacing(others).changed(from: reference, besides: part.halves)
    }
    entries = chosen.map {
      Entry(part: $0, differences: reference.outputs.map { _ in Difference(agreement: false) })
    }
    needed = Set(pieces.flatMap { $0.inputs.map(\.name) } + reference.outputs.map(\.value))
  }

  /// Those that do most harm first.
  public var worstFirst: [Entry] {
    entries.enumerated().sorted { ($1.element.noise, $0.offset) < ($0.element.noise, $1.offset) }.map(\.element)
  }

  /// Computes the outputs for these inputs by name, once for each part.
  ///
  /// - Parameter progress: called with the number of parts that are done.
  /// - Throws: `OctetError`: `unknownName` for an input that is missing; as `Graph.replay`.
  public mutating func add(_ inputs: [String: Tensor], progress: ((_ parts: Int) -> Void)? = nil) throws {
    var values: [String: Tensor] = [:]
    var counts: [String: Int] = [:]
    let needed = needed
    _ = try reference.replay(reference.ordered(inputs)) { value, tensor in
      if needed.contains(value) { values[value] = tensor }
      counts[value] = try tensor.count
      return tensor
    }
    operationsOfARun = pieces.reduce(0) { sum, piece in
      sum + piece.nodes.reduce(0) { $0 + piece.operations(of: $1, counts) }
    }
    let places = Dictionary(uniqueKeysWithValues: reference.outputs.enumerated().map { ($1.name, $0) })
    for (index, piece) in pieces.enumerated() {
      let results = try piece.replay(piece.inputs.map { values[$0.name]! })
      for (output, result) in zip(piece.outputs, results) {
        let place = places[output.name]!
        try entries[index].differences[place].add(result, reference: values[reference.outputs[place].value]!)
      }
      progress?(index + 1)
    }
  }
}

extension Graph {
  /// The inputs in order.
  ///
  /// - Throws: `OctetError` (`unknownName`) for one that is missing.
  func ordered(_ tensors: [String: Tensor]) throws -> [Tensor] {
    try inputs.map { input in
      guard let tensor = tensors[input.name] else {
        throw OctetError(
          .unknownName, "inputs", expected: "an input named \(input.name)",
          found: nearNames(to: input.name, in: tensors.keys))
      }
      return tensor
    }
  }

  /// How much a node computes, about, where values have so many elements.
  fileprivate func operations(of node: Node, _ counts: [String: Int]) -> Int {
    let results = node.outputs.compactMap { counts[$0] }.reduce(0, +)
    guard let weight = node.op.kind.isProduct ? node.inputs[1].flatMap({ types[$0]?.shape }) : nil else {
      return results
    }
    // Each result sums as many products as the weight has numbers for each of its outputs.
    return results * max(weight.dropFirst().reduce(1) { $0 * ($1.size ?? 1) }, 1)
  }

  /// What differs from another graph: the nodes that the other one lacks and those that depend on them, with the other
  /// one's values as inputs and the outputs that change.
  ///
  /// - Parameter halves: nodes that differ although the other graph has them too.
  fileprivate func changed(from reference: Graph, besides halves: Set<String>) throws -> Graph {
    let known = Dictionary(reference.nodes.map { ($0.name, $0.inputs) }) { first, _ in first }
    var changed: Set<String> = []
    var kept: [Node] = []
    for node in nodes {
      let isSame = known[node.name] == node.inputs && !halves.contains(node.name)
      if isSame, !node.inputs.contains(where: { $0.map(changed.contains) ?? false }) { continue }
      changed.formUnion(node.outputs)
      kept.append(node)
    }
    let used = Set(kept.flatMap { $0.inputs.compactMap { $0 } })
    let starts = used.filter { !changed.contains($0) && parameters[$0] == nil }.sorted()
    return try Graph(
      inputs: starts.map { Graph.Input(name: $0, type: types[$0]!) }, nodes: kept,
      outputs: outputs.filter { changed.contains($0.value) },
      parameters: parameters.filter { used.contains($0.key) })
  }
}

extension Op.Kind {
  fileprivate var isProduct: Bool { [.conv, .linear, .matmul].contains(self) }
}
