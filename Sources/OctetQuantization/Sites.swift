import OctetCore
import OctetGraph

/// A place where values are quantized: one observer for one value, or for several that share a scale.
public struct Site: Sendable {
  public internal(set) var observer: any Observer
  /// The values of the graph that it watches.
  public internal(set) var values: [String]
  /// How many tensors with finite elements it has seen.
  public internal(set) var observations = 0

  /// The name of its first value.
  public var name: String { values[0] }

  /// Shows it one tensor. What has no finite element does not count as seen.
  mutating func observe(_ tensor: Tensor) throws {
    try observer.observe(tensor)
    if try tensor.withUnsafeScalars(as: Float.self, { $0.contains { $0.isFinite } }) { observations += 1 }
  }
}

/// The sites of a prepared graph, in its order; also by name: `prepared.sites["conv1"]`.
public struct Sites: RandomAccessCollection, Sendable {
  private var elements: [Site] = []
  private var indexOfValue: [String: Int] = [:]
  private let aliases: [String: String]

  /// - Parameters:
  ///   - groups: values that share a site, with the observer that watches them.
  ///   - graph: whose nodes and modules are names for the values they make.
  init(_ groups: [(observer: any Observer, values: [String])], in graph: Graph) {
    for group in groups {
      for value in group.values { indexOfValue[value] = elements.count }
      elements.append(Site(observer: group.observer, values: group.values))
    }
    // A module may make several values: its last one is its result.
    aliases = Dictionary(
      graph.nodes.flatMap { node in ([node.name] + node.modules).map { ($0, node.outputs[0]) } },
      uniquingKeysWith: { $1 })
  }

  public var startIndex: Int { elements.startIndex }
  public var endIndex: Int { elements.endIndex }
  public subscript(position: Int) -> Site { elements[position] }

  /// The site of a value, given by the name of the value, of the node that makes it, or of the module whose result it is.
  public subscript(name: String) -> Site? {
    (index(ofValue: name) ?? aliases[name].flatMap { index(ofValue: $0) }).map { elements[$0] }
  }

  /// The position of the site that watches a value, whatever modules and nodes may have the same name.
  func index(ofValue value: String) -> Int? { indexOfValue[value] }

  /// The same sites in another state.
  func replaced(by sites: [Site]) -> Sites {
    var replaced = self
    replaced.elements = sites
    return replaced
  }
}
