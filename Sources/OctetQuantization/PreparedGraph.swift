public import OctetCore
public import OctetGraph

/// A float graph with the sites that watch its values, on the way to an integer one.
///
/// The graph itself is as it was: sites stand beside it, and see the values of a replay.
public final class PreparedGraph {
  enum Assignment {
    case integer(weight: (any Observer)?)
    case float(String)
  }

  public let graph: Graph
  /// The places where values are quantized.
  public private(set) var sites: Sites
  let assignments: [String: Assignment]

  init(graph: Graph, sites: Sites, assignments: [String: Assignment]) {
    self.graph = graph
    self.sites = sites
    self.assignments = assignments
  }

  /// The graph's parameters; those that no pass has changed are shared with the modules they come from.
  public var parameters: [String: Parameter] { graph.parameters }

  /// The float network's result, for a network with one input and one output; nothing is observed.
  public func callAsFunction(_ x: Tensor) throws -> Tensor {
    guard graph.outputs.count == 1 else {
      throw OctetError(.invalidArgument, "prepared graph", expected: "one output", found: "\(graph.outputs.count)")
    }
    return try graph.replay([x])[0]
  }

  /// Shows the sites representative inputs, one batch after another; none is kept.
  ///
  /// - Throws: `OctetError`: `notObserved` if there is no batch, `notANumber` if a value is NaN (naming it), whatever a
  ///   replay throws for inputs that do not fit.
  public func calibrate(_ batches: some Sequence<Tensor>) throws { try graph.calibrate(batches, tap: observe) }

  /// The same for graphs with several inputs: batches by the name of the input.
  public func calibrate(_ batches: some Sequence<[String: Tensor]>) throws {
    try graph.calibrate(batches, tap: observe)
  }

  private func observe(_ value: String, _ tensor: Tensor) throws -> Tensor {
    try sites.observe(value, tensor)
    return tensor
  }

  /// The graph as a table with the site of every value, and scale and zero point where it has seen something. Notes say
  /// why a value has no site, and which sites have seen nothing.
  public func tabular() -> Table {
    var annotations: [String: Graph.Annotation] = [:]
    for node in graph.nodes {
      guard case .float(let reason) = assignments[node.name]! else { continue }
      for output in node.outputs { annotations[output] = Graph.Annotation(note: "float: \(reason)") }
    }
    for input in graph.inputs {
      annotations[input.name] = Graph.Annotation(note: "float: no integer operation uses it")
    }
    for site in sites {
      for value in site.values {
        let kind = "\(type(of: site.observer))" + (value == site.name ? "" : " of \(site.name)")
        annotations[value] = annotation(of: site, kind)
      }
    }
    return graph.tabular(annotations)
  }

  private func annotation(of site: Site, _ kind: String) -> Graph.Annotation {
    guard site.observations > 0 else { return Graph.Annotation(site: kind, note: "nothing observed") }
    do {
      return Graph.Annotation(site: kind, try site.observer.calculateQParams())
    } catch {
      return Graph.Annotation(site: kind, note: "\(error)")
    }
  }

  /// Prints ``tabular()``.
  public func printTabular() { print(tabular()) }
}
