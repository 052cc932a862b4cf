import OctetCore
import OctetGraph

/// A place where values are quantized: one observer for one value, or for several that share a scale.
public struct Site: Sendable {
  private var ownObserver: any Observer
  private var ownObservations = 0
  /// What rounds the values in quantization-aware training, with the observer inside; `nil` in a graph that was prepared for
  /// static quantization.
  public let fakeQuantize: FakeQuantize?
  /// The values of the graph that it watches.
  public internal(set) var values: [String]

  init(_ observer: any Observer, values: [String], fakeQuantize: FakeQuantize? = nil) {
    ownObserver = observer
    self.values = values
    self.fakeQuantize = fakeQuantize
  }

  public internal(set) var observer: any Observer {
    get { fakeQuantize?.observer ?? ownObserver }
    set {
      guard let fakeQuantize else { return ownObserver = newValue }
      fakeQuantize.withState { $0.observer = newValue }
    }
  }

  /// How many tensors with finite elements it has seen.
  public internal(set) var observations: Int {
    get { fakeQuantize?.observations ?? ownObservations }
    set {
      guard let fakeQuantize else { return ownObservations = newValue }
      fakeQuantize.withState { $0.observations = newValue }
    }
  }

  /// The name of its first value.
  public var name: String { values[0] }

  /// Scale and zero point for what it has seen; those that it has learned in training.
  public func calculateQParams() throws -> QuantizationParameters {
    try fakeQuantize?.calculateQParams() ?? observer.calculateQParams()
  }

  /// Shows it one tensor. What has no finite element does not count as seen.
  mutating func observe(_ tensor: Tensor) throws {
    if let fakeQuantize { return try fakeQuantize.observe(tensor) }
    try ownObserver.observe(tensor)
    if try tensor.hasFiniteElement { ownObservations += 1 }
  }

  /// The same place with what has been seen in another state.
  func replaced(observer: any Observer, observations: Int) throws -> Site {
    var site = self
    site.observer = observer
    site.observations = observations
    try fakeQuantize?.withState { if observations > 0 { try $0.follow() } else { $0.found = nil } }
    return site
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
      elements.append(Site(group.observer, values: group.values))
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
