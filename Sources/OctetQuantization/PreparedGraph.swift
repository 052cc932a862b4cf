public import OctetCore
public import OctetGraph

/// A float graph with the sites that watch its values, on the way to an integer one.
///
/// The graph itself is as it was: sites stand beside it, and see the values of a replay.
public final class PreparedGraph {
  enum Assignment {
    /// - Parameter weight: for the operand that is a constant, if there is one.
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
  /// Several threads each replay a batch of their own; sites still see the batches in order, so that the result does not
  /// depend on the number of threads. After an error, what has been seen until then stays.
  ///
  /// - Parameters:
  ///   - batches: inputs of the graph, drawn one at a time when a thread is free, whichever it is.
  ///   - threads: the caller's included.
  ///   - progress: called with the number of batches that are done after each, one call at a time, on any of the threads.
  /// - Throws: `OctetError`: `notObserved` if there is no batch, `notANumber` if a value is NaN (naming it),
  ///   `invalidArgument` for less than one thread, whatever a replay throws for inputs that do not fit.
  public func calibrate(
    _ batches: some Sequence<Tensor>, threads: Int = 1, progress: ((_ batches: Int) -> Void)? = nil
  ) throws {
    var iterator = batches.makeIterator()
    try calibrate(threads: threads, progress) { iterator.next().map { [$0] } }
  }

  /// The same for graphs with several inputs: batches by the name of the input.
  public func calibrate(
    _ batches: some Sequence<[String: Tensor]>, threads: Int = 1, progress: ((_ batches: Int) -> Void)? = nil
  ) throws {
    var iterator = batches.makeIterator()
    try calibrate(threads: threads, progress) { [graph] in try iterator.next().map { try graph.inputs(of: $0) } }
  }

  private func calibrate(
    threads: Int, _ progress: ((Int) -> Void)?, _ next: @escaping () throws -> [Tensor]?
  ) throws {
    guard threads > 0 else {
      throw OctetError(.invalidArgument, "calibration", expected: "at least one thread", found: "\(threads)")
    }
    let run = CalibrationRun(graph, sites, progress: progress, next: next)
    defer { sites = sites.replaced(by: run.sites) }
    try run.run(threads: threads)
    guard run.drawn > 0 else {
      throw OctetError(.notObserved, "calibration", expected: "at least one batch", found: "none")
    }
  }

  /// What the sites have seen so far.
  public var calibration: Calibration { Calibration(sites) }

  /// Replaces what the sites have seen by what they had seen in a calibration of the same graph.
  ///
  /// - Throws: `OctetError`, and nothing is changed: `unknownName` if it has other sites, `invalidArgument` if a site has
  ///   another observer or one that is configured otherwise.
  public func resume(from calibration: Calibration) throws {
    try calibration.check(against: sites.map(\.name))
    sites = sites.replaced(
      by: try sites.map { site in
        let state = calibration.sites[site.name]!
        var site = site
        site.observer.reset()
        try naming("site \(site.name)") { try site.observer.merge(any: state.observer) }
        site.observations = state.observations
        return site
      })
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

extension Graph {
  /// The inputs in order, from a batch by name.
  func inputs(of batch: [String: Tensor]) throws -> [Tensor] {
    let names = inputs.map(\.name)
    if let surplus = batch.keys.sorted().first(where: { !names.contains($0) }) {
      throw OctetError(
        .unknownName, "calibration", expected: "one of the inputs \(names.joined(separator: ", "))", found: surplus)
    }
    return try names.map { name in
      guard let tensor = batch[name] else {
        throw OctetError(
          .unknownName, "calibration", expected: "an input named \(name)",
          found: batch.keys.sorted().joined(separator: ", "))
      }
      return tensor
    }
  }
}
