import Octet

/// A model that runs on inputs of any sizes that its file takes: one whose sizes were taken from data is read again for others.
final class ModelSessions {
  /// The inputs of runs: as declared if the model may be read again.
  let interface: Graph
  private let taken: DataSizes?
  private let first: Entry
  private var others: [DataSizes: Entry] = [:]
  private let makeEntry: (DataSizes) throws -> Entry
  /// How many sizes are remembered.
  private static let capacity = 8

  /// A session, and the inputs that it takes.
  typealias Entry = (session: Session, inputs: Set<String>)

  /// - Parameters:
  ///   - model: what `session` runs.
  ///   - read: the model for other sizes.
  init(
    _ model: LoadedModel, _ session: Session, threads: Int?, read: @escaping (DataSizes) throws -> LoadedModel
  ) throws {
    func entry(_ model: LoadedModel, _ session: Session) -> Entry { (session, Set(model.graph.inputs.map(\.name))) }
    (taken, first) = (model.taken, entry(model, session))
    makeEntry = {
      var model = try read($0)
      let session = try model.takeSession(threads: threads)
      return entry(model, session)
    }
    interface = model.interface
  }

  /// - Throws: `OctetError` as `Session.run`, and what reading the model for other sizes throws.
  func run(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let entry = try entry(for: inputs)
    return try entry.session.run(inputs.filter { entry.inputs.contains($0.key) })
  }

  private func entry(for inputs: [String: Tensor]) throws -> Entry {
    guard let taken, let all = DataSizes(inputs, for: interface.inputs) else { return first }
    let sizes = all.keeping(first: !taken.first.isEmpty, numbers: !taken.numbers.isEmpty)
    if sizes == taken { return first }
    if let known = others[sizes] { return known }
    if others.count >= Self.capacity { others = [:] }
    let entry = try makeEntry(sizes)
    others[sizes] = entry
    return entry
  }
}

extension LoadedModel {
  /// What runs one by one have to fit: the graph, or the declared inputs if sizes were taken from data.
  var interface: Graph {
    guard taken != nil,
      let open = try? Graph(
        inputs: declared, nodes: [], outputs: declared.map { Graph.Output(name: $0.name, value: $0.name) },
        parameters: [:])
    else { return graph }
    return open
  }
}
