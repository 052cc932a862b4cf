import Foundation
public import OctetCore
import OctetGraph

// What a graph that was prepared for training can do besides. Prepared for static quantization, it has nothing to switch, and
// says so.
extension PreparedGraph {
  /// Whether dropout drops, batch normalization goes by the batch, and observers watch. It is off at first.
  public var isTraining: Bool {
    get { trained?.isTraining ?? false }
    set { trained?.isTraining = newValue }
  }

  /// What training changes: weights, biases and the like, each once, and scales and zero points that learn. (Those are there
  /// once their observers have seen something: calibrate first.)
  public var trainableParameters: [Parameter] {
    get throws { try (trained?.parameters ?? []) + fakeQuantizes.flatMap { try $0.fake.parameters } }
  }

  /// Starts the random numbers of dropout: what it drops from then on follows from the seed.
  public func reseed(_ seed: UInt64) { trained?.draws = DropoutDraws(seed: seed) }

  /// What rounds the weight of a layer, by the name of the node or module; `nil` if it stays in float. (PyTorch's
  /// `layer.weight_fake_quant`; ``sites`` has its `layer.activation_post_process`.)
  public func weightFakeQuantize(_ name: String) -> FakeQuantize? {
    guard let trained else { return nil }
    if let fake = trained.weights[name] { return fake }
    return graph.nodes.first { trained.weights[$0.name] != nil && $0.modules.contains(name) }
      .flatMap { trained.weights[$0.name] }
  }

  // MARK: - Switches

  /// Statistics of batch normalization stay as they are from now on, and become part of weights and biases in training too.
  ///
  /// - Parameter glob: a pattern for modules or nodes, with `*`, `?` and `[a-z]`; a module includes all below it. By default
  ///   all, also if there are none.
  /// - Throws: `OctetError`: `unknownName` for a pattern that matches no batch normalization, `unsupported` in a graph that
  ///   was prepared for static quantization.
  public func freezeBatchNorm(_ glob: String = "*") throws {
    let nodes = try requireTrained(glob).graph.nodes.filter { $0.op.kind == .batchNormalization }
    let names = nodes.filter { QConfigMap.matches(glob, $0) }.map(\.name)
    guard !names.isEmpty || glob == "*" else { throw noMatch(glob, "batch normalization", nodes.map(\.name)) }
    trained?.frozen.formUnion(names)
  }

  /// Scales and zero points stay as they are from now on.
  public func disableObservers(_ glob: String = "*") throws {
    for fake in try fakeQuantizes(glob) { fake.isObserverEnabled = false }
  }

  /// Scales and zero points follow their observers again.
  public func enableObservers(_ glob: String = "*") throws {
    for fake in try fakeQuantizes(glob) { fake.isObserverEnabled = true }
  }

  /// Switches rounding of values and weights on or off.
  ///
  ///     try prepared.enableFakeQuantize(false, for: "conv1")
  public func enableFakeQuantize(_ isEnabled: Bool = true, for glob: String = "*") throws {
    for fake in try fakeQuantizes(glob) { fake.isFakeQuantizeEnabled = isEnabled }
  }

  /// All that rounds: sites by their first value, then weights by their node.
  var fakeQuantizes: [(name: String, fake: FakeQuantize)] {
    guard let trained else { return [] }
    return sites.map { ($0.name, $0.fakeQuantize!) }
      + trained.graph.nodes.compactMap { node in trained.weights[node.name].map { ("weight of \(node.name)", $0) } }
  }

  /// What rounds the results and weights of nodes that match, and inputs of that name.
  private func fakeQuantizes(_ glob: String) throws -> [FakeQuantize] {
    let trained = try requireTrained(glob)
    if glob == "*" { return fakeQuantizes.map(\.fake) }
    var found: [FakeQuantize] = []
    for input in graph.inputs where QConfigMap.matches(glob, input.name) {
      if let site = sites.index(ofValue: input.name) { found.append(sites[site].fakeQuantize!) }
    }
    for node in graph.nodes where QConfigMap.matches(glob, node) {
      if let weight = trained.weights[node.name] { found.append(weight) }
      found += node.outputs.compactMap { sites.index(ofValue: $0) }.map { sites[$0].fakeQuantize! }
    }
    guard !found.isEmpty else {
      throw noMatch(glob, "layer that is quantized", graph.inputs.map(\.name) + graph.nodes.map(\.name))
    }
    return found
  }

  private func requireTrained(_ glob: String) throws -> TrainedGraph {
    guard let trained else {
      throw OctetError(.unsupported, glob, expected: "a graph of prepareQAT", found: "one for static quantization")
    }
    return trained
  }

  private func noMatch(_ glob: String, _ wanted: String, _ names: [String]) -> OctetError {
    OctetError(
      .unknownName, glob, expected: "a pattern that matches a \(wanted): \(nearNames(to: glob, in: Set(names)))",
      found: "no match")
  }
}

// MARK: - State

extension PreparedGraph {
  private static let scalesName = "fake_quantize"

  /// Everything that is needed to go on training as if nothing had happened: parameters and statistics by name, and under one
  /// more name what observers have seen, what is switched off, and where the random numbers of dropout stand.
  ///
  /// - Throws: `OctetError` (`unsupported`) in a graph that was prepared for static quantization.
  public var state: [String: Tensor] {
    get throws {
      guard let trained else {
        throw OctetError(.unsupported, "state", expected: "a graph of prepareQAT", found: "one for static quantization")
      }
      var state = trained.graph.parameters.mapValues(\.value)
      let saved = SavedTraining(
        frozen: trained.frozen.sorted(), fakeQuantizes: try fakeQuantizes.map { try $0.fake.saved() },
        draws: trained.draws)
      let encoder = JSONEncoder()
      encoder.outputFormatting = .sortedKeys
      let text = Array(try encoder.encode(saved))
      state[graph.unusedName(Self.scalesName)] = try Tensor(text, shape: [text.count])
      return state
    }
  }

  /// Goes on from such a state.
  ///
  /// - Throws: `OctetError`, and nothing has changed: `unknownName` if something is missing or left over, `shapeMismatch` for
  ///   another shape, `invalidFile` for scales that make no sense, `invalidArgument` for those of other observers.
  public func load(_ state: [String: Tensor]) throws {
    let own = try self.state
    for name in Set(own.keys).union(state.keys).sorted() {
      guard let new = state[name], let old = own[name] else {
        throw OctetError(
          .unknownName, name, expected: own[name].map { "\($0.type)" } ?? "no value of that name",
          found: state[name].map { "\($0.type)" } ?? "nothing of that name")
      }
      guard new.type == old.type || trained!.graph.parameters[name] == nil else {
        throw OctetError(.shapeMismatch, name, expected: "\(old.type)", found: "\(new.type)")
      }
    }
    let name = graph.unusedName(Self.scalesName)
    let saved: SavedTraining
    let decoder = JSONDecoder()
    // Observers of a user's own too.
    decoder.userInfo[.observerTypes] = fakeQuantizes.map { type(of: $0.fake.observer) as any Observer.Type }
    do {
      saved = try decoder.decode(SavedTraining.self, from: Data(state[name]!.scalars(as: UInt8.self)))
    } catch let error as DecodingError {
      throw OctetError(.invalidFile, name, expected: "a saved state of training", found: "\(error)")
    }
    let fakes = fakeQuantizes
    guard saved.fakeQuantizes.count == fakes.count, Set(saved.frozen).isSubset(of: trained!.normalizationNames) else {
      throw OctetError(
        .invalidArgument, name, expected: "\(fakes.count) scales, and batch normalization of this graph",
        found: "\(saved.fakeQuantizes.count), \(saved.frozen)")
    }
    for (fake, state) in zip(fakes, saved.fakeQuantizes) { try naming(fake.name) { try fake.fake.check(state) } }
    for (fake, state) in zip(fakes, saved.fakeQuantizes) { try fake.fake.load(state) }
    trained!.frozen = Set(saved.frozen)
    trained!.draws = saved.draws
    for (name, parameter) in trained!.graph.parameters { parameter.value = state[name]! }
  }
}

private struct SavedTraining: Codable {
  let frozen: [String]
  /// Those of sites, then those of weights, in order.
  let fakeQuantizes: [FakeQuantize.Saved]
  let draws: DropoutDraws
}
