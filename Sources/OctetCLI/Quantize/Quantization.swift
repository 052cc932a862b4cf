import Octet

/// What `octet quantize` does to a graph.
struct Quantization {
  struct Outcome {
    private(set) var graph: Graph
    private(set) var quantized: [String]
    private(set) var kept: [(node: String, reason: String)]
    private(set) var boundaries: Int

    /// - Parameter late: what was quantized after the report.
    init(_ graph: Graph, _ report: ConversionReport, late: Set<String> = []) {
      self.graph = graph
      let rest = report.kept.filter { !late.contains($0.node) }
      kept = rest.map { ($0.node, $0.reason!) }
      quantized = report.entries.map(\.node).filter { name in !rest.contains { $0.node == name } }
      boundaries = report.boundaries.count
    }

    /// Takes the guard's graph.
    mutating func accept(_ other: Graph) {
      func integer(_ graph: Graph) -> Set<String> {
        Set(zip(graph.nodes, QuantizedForm(graph).roles).filter { $1 == .integer }.map(\.0.name))
      }
      let left = integer(graph).subtracting(integer(other))
      kept += quantized.filter(left.contains).map { ($0, "the guard took it out of integers") }
      quantized.removeAll(where: left.contains)
      boundaries = QuantizedForm(other).roles.count { $0 == .boundary }
      graph = other
    }
  }

  /// As chosen: never `auto`.
  let mode: QuantizeCommand.Mode
  /// The float model, fused.
  let graph: Graph
  private let command: QuantizeCommand

  init(of model: LoadedModel, by command: QuantizeCommand) throws {
    self.command = command
    // Sums apart: in an .onnx file they are integer operations for others too.
    let residuals = !isONNX(command.output)
    graph = try naming(model.path) { try model.graph.foldingConstants().fused(residuals: residuals) }
    mode = try command.mode == .auto ? Self.choice(for: graph, model.path, command.calibration) : command.mode
    if mode == .static, command.calibration == nil { throw Self.wantsData(graph, model.path) }
  }

  private static func choice(
    for graph: Graph, _ path: String, _ calibration: String?
  ) throws -> QuantizeCommand.Mode {
    if calibration != nil { return .static }
    func count(_ kinds: [Op.Kind]) -> Int { graph.nodes.count { kinds.contains($0.op.kind) } }
    if count(recurrent) > 0 || count([.linear, .matmul]) > count([.conv, .convTranspose]) { return .dynamic }
    throw wantsData(graph, path)
  }

  private static let recurrent: [Op.Kind] = [.lstm, .gru]

  private static func wantsData(_ graph: Graph, _ path: String) -> OctetError {
    let arrays = graph.inputs.map { "\($0.name): \($0.type)" }.joined(separator: ", ")
    return OctetError(
      .invalidArgument, path,
      expected: "--calibration with a .npz of some hundred samples (\(arrays)), or --mode dynamic", found: "neither")
  }

  // MARK: - Running

  func run() throws -> Outcome {
    switch mode {
    case .auto: preconditionFailure("auto has been replaced")
    case .static: try quantizeStatic()
    case .dynamic: try quantizeDynamic([.linear, .lstm, .gru, .conv, .convTranspose, .gather])
    case .weightOnly: try quantizeWeights()
    }
  }

  private func quantizeStatic() throws -> Outcome {
    // Recurrent layers first: their weights are integers when ranges are looked for.
    let kinds = Set(graph.nodes.map(\.op.kind)).intersection(Self.recurrent)
    let start = kinds.isEmpty ? graph : try quantizeDynamic(kinds).graph
    let prepared = try start.prepare(configs())
    try calibrate { samples, progress in
      try prepared.calibrate(samples, threads: command.threads ?? 1, progress: progress)
    }
    let (result, report) = try prepared.convert()
    let late = start.nodes.filter { kinds.contains($0.op.kind) }.map(\.name)
    return Outcome(result, report, late: Set(late))
  }

  private func configs() throws -> QConfigMap {
    if let path = command.qconfig, path.hasSuffix(".json") { return try QConfigMap(contentsOf: path) }
    var config = QConfig.default(for: try Backend(named: command.qconfig ?? "octet"))
    if let name = command.observer?.rawValue, let type = ConfigurableObservers.builtIn[name],
      let settings = (config.activation as? any ConfigurableObserver)?.settings
    {
      config.activation = try type.init(settings: settings)
    }
    var map = QConfigMap(command.only.isEmpty ? config : .float)
    for glob in command.only { map[glob] = config }
    for glob in command.skip { map[glob] = .float }
    return map
  }

  private func quantizeDynamic(_ kinds: Set<Op.Kind>) throws -> Outcome {
    let exceptions = try command.only.isEmpty ? command.skip : namesBeside(command.only)
    let (result, report) = try graph.quantizeDynamic(kinds, except: exceptions)
    return Outcome(result, report)
  }

  /// The nodes that no pattern matches, as patterns that match nothing else.
  private func namesBeside(_ globs: [String]) throws -> [String] {
    var map = QConfigMap(.float)
    for glob in globs { map[glob] = .default }
    return graph.nodes.filter { map.config(for: $0).weight == nil }.map { node in
      node.name.map { "[]*?\\".contains($0) ? "\\\($0)" : "\($0)" }.joined()
    }
  }

  private func quantizeWeights() throws -> Outcome {
    let quantization = command.int4 ? WeightQuantization(dtype: .int4, groupSize: 32) : .int8
    var map = WeightQuantizationMap(command.only.isEmpty ? quantization : nil)
    for glob in command.only { map[glob] = quantization }
    for glob in command.skip { map[glob] = nil }
    guard command.calibration != nil else {
      let (result, report) = try graph.quantizeWeights(map)
      return Outcome(result, report)
    }
    let prepared = try graph.prepareGPTQ(map)
    try calibrate { samples, show in
      try prepared.calibrate(
        samples.enumerated().lazy.map { number, sample -> [String: Tensor] in
          show(number + 1)
          return sample
        })
    }
    let progress = Progress("GPTQ", total: 100)
    defer { progress.finish() }
    let (linear, report) = try prepared.convert { progress.show(Int($0.fraction * 100)) }
    // What GPTQ is not for (convolutions, embeddings) is rounded.
    let (all, rest) = try linear.quantizeWeights(map)
    return Outcome(all, report, late: Set(rest.quantized.map(\.node)))
  }

  /// Shows all samples of the calibration data, with a bar.
  private func calibrate(_ observe: (SampleSequence, @escaping (Int) -> Void) throws -> Void) throws {
    let samples = try Samples(command.calibration!, for: graph, batch: command.batch, isFinite: true)
    let sequence = SampleSequence(samples)
    let progress = Progress("calibrate", total: samples.runCount)
    defer { progress.finish() }
    do {
      try observe(sequence) { progress.show($0) }
    } catch {
      throw sequence.failure ?? error
    }
    if let failure = sequence.failure { throw failure }
  }
}

/// Samples for somebody who wants a sequence; what went wrong is kept, and ends it.
private final class SampleSequence: Sequence, IteratorProtocol {
  private let samples: Samples
  private(set) var failure: (any Error)?

  init(_ samples: Samples) { self.samples = samples }

  func next() -> [String: Tensor]? {
    do {
      return try samples.next()?.inputs
    } catch {
      failure = error
      return nil
    }
  }
}
