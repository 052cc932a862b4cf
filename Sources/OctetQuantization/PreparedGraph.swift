public import OctetCore
public import OctetGraph

/// A float graph with the sites that watch its values, on the way to an integer one.
///
/// The graph itself is as it was: sites stand beside it, and see the values of a replay. After
/// ``Graph/prepareQAT(_:learning:residuals:)`` they also round them, and the graph trains.
public final class PreparedGraph {
  enum Assignment {
    /// - Parameter weight: for the operand that is a constant, if there is one.
    case integer(weight: (any Observer)?)
    case float(String)
  }

  /// What was prepared, fused. (Where batch normalization is folded, weights and biases are those of then.)
  public let graph: Graph
  /// The places where values are quantized.
  public private(set) var sites: Sites
  let assignments: [String: Assignment]
  /// How it computes in quantization-aware training; `nil` if it was prepared for static quantization.
  let trained: TrainedGraph?

  init(graph: Graph, sites: Sites, assignments: [String: Assignment], trained: TrainedGraph? = nil) {
    self.graph = graph
    self.sites = sites
    self.assignments = assignments
    self.trained = trained
  }

  /// The graph's parameters by name; those that no pass has changed are shared with the modules they come from.
  public var parameters: [String: Parameter] { trained?.graph.parameters ?? graph.parameters }

  /// The float network's results, where nothing is observed; or, prepared for training, those of the network with values and
  /// weights rounded as they will be in integers, where observers watch if ``isTraining``.
  public func callAsFunction(_ inputs: [Tensor]) throws -> [Tensor] {
    try replay(inputs)
  }

  /// The same; `tap` is offered every value after it has been rounded.
  package func replay(_ inputs: [Tensor], tap: Graph.Tap? = nil) throws -> [Tensor] {
    try trained?(inputs, sites, tap: tap) ?? graph.replay(inputs, tap: tap)
  }

  /// The same for a network with one input and one output.
  public func callAsFunction(_ x: Tensor) throws -> Tensor {
    guard graph.outputs.count == 1 else {
      throw OctetError(.invalidArgument, "prepared graph", expected: "one output", found: "\(graph.outputs.count)")
    }
    return try self([x])[0]
  }

  /// Shows the sites representative inputs, one batch after another; none is kept.
  ///
  /// Prepared for training, that is a good beginning: ranges then start from what the float network has.
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
    let run = CalibrationRun(try trained?.fused() ?? graph, sites, progress: progress, next: next)
    defer { sites = sites.replaced(by: run.sites) }
    try run.run(threads: threads)
    guard run.drawn > 0 else {
      throw OctetError(.notObserved, "calibration", expected: "at least one batch", found: "none")
    }
    try trained?.observeWeights()
  }

  /// What the sites have seen so far.
  public var calibration: Calibration { Calibration(sites) }

  /// Replaces what the sites have seen by what they had seen in a calibration of the same graph.
  ///
  /// - Throws: `OctetError`, and nothing is changed: `unknownName` if it has other sites, `invalidArgument` if a site has
  ///   another observer or one that is configured otherwise.
  public func resume(from calibration: Calibration) throws {
    try calibration.check(against: sites.map(\.name))
    let observers = try sites.map { site in
      var observer = site.observer
      observer.reset()
      try naming("site \(site.name)") { try observer.merge(any: calibration.sites[site.name]!.observer) }
      return observer
    }
    sites = sites.replaced(
      by: try zip(sites, observers).map { site, observer in
        try site.replaced(observer: observer, observations: calibration.sites[site.name]!.observations)
      })
    try trained?.observeWeights()
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
      return Graph.Annotation(site: kind, try site.calculateQParams())
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
