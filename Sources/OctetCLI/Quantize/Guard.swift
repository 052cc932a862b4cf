import Octet

/// Finds what ruins the result of a quantized network, and gives it a better scheme or takes it out of integer
/// arithmetic.
///
/// Each part is looked at alone (`Sensitivity`). Parts that stand out, those that do most of the harm, are treated:
/// activations get another range if one is good enough, otherwise they become real, and the operations around them compute in
/// float with weights that stay int8; weights get scales by channel, otherwise they become real. What was made is measured on
/// all samples, and kept only if all outputs together have less noise, and arg-max agrees no less often.
struct Guard {
  /// A part that did harm, and what became of it.
  struct Finding: Encodable {
    let kind: QuantizedPart.Kind
    let value: String
    let nodes: [String]
    /// Signal to noise of the outputs with this part alone quantized.
    let sqnr_alone_db: Double
    let remedy: String

    init(_ entry: Sensitivity.Entry, remedy: String) {
      (kind, value, nodes) = (entry.part.kind, entry.part.name, entry.part.nodes)
      (sqnr_alone_db, self.remedy) = (entry.sqnr, remedy)
    }
  }

  /// Results this good are left as they are. How often arg-max agrees says nothing of fewer samples, nor of ones that are
  /// in doubt where there is little noise.
  private static let enough = (noise: 1e-2, agreement: 0.99, samples: 16, noiseInDoubt: 1e-3)
  /// Treatment stops where the noise of what is left lies below this, or below a quarter of what there was.
  private static let target = 5e-4
  /// A part stands out if it makes this much of the noise of those that do no more harm.
  private static let share = 0.1
  /// Less noise of weights is no reason to store them in float.
  private static let harmlessWeight = 1e-2
  private static let rounds = 3
  /// In how many runs parts are looked at; fewer where that would take more operations, some seconds' worth. (A limit of
  /// time would give other files on other days.)
  private static let runs = (count: 8, operations: 100_000_000_000)

  private let comparison: Comparison
  private(set) var graph: Graph
  private(set) var result: Comparison.Result
  private(set) var findings: [Finding] = []

  /// - Parameter result: how far `quantized` is from the float model.
  init(_ quantized: Graph, _ result: Comparison.Result, _ comparison: Comparison) {
    (graph, self.result, self.comparison) = (quantized, result, comparison)
  }

  mutating func run() throws {
    for _ in 0..<Self.rounds where !isGood {
      guard try treat() else { return }
    }
  }

  private var isGood: Bool {
    let noise = result.outputs.map(\.noise_ratio).max() ?? 0
    return noise <= Self.enough.noiseInDoubt
      || noise <= Self.enough.noise && agreement(result) >= Self.enough.agreement
  }

  /// Of the output that agrees least often.
  private func agreement(_ result: Comparison.Result) -> Double {
    guard result.samples >= Self.enough.samples else { return 1 }
    return result.outputs.compactMap(\.argmax_agreement).min() ?? 1
  }

  /// One round. Returns whether it made the result better.
  private mutating func treat() throws -> Bool {
    let samples = try worstRuns()
    let sensitivity = try measure(graph, samples)
    let culprits = culprits(sensitivity)
    guard !culprits.isEmpty else { return false }
    let ranges = try otherRanges(for: culprits.map(\.part))
    var cured = graph
    var (off, found): ([QuantizedPart], [Finding]) = ([], [])
    for culprit in culprits {
      if let (parameters, text) = try cure(culprit, among: ranges[culprit.part.name] ?? [], samples) {
        cured = try cured.requantizing(culprit.part, with: parameters)
        found.append(Finding(culprit, remedy: text))
      } else {
        off.append(culprit.part)
        found.append(Finding(culprit, remedy: culprit.part.kind == .weight ? "stored in float" : "computed in float"))
      }
    }
    var better = try cured.switchingOff(off)
    var other = try comparison.result(of: better)
    // The engine quantizes what meets the integer weight of a linear layer, group by group.
    let linear = comparison.float.nodes.filter { $0.op.kind == .linear }.map(\.name)
    let touched = Set(off.flatMap(\.nodes)).intersection(linear)
    let weights = sensitivity.entries.filter { entry in
      entry.part.kind == .weight && !touched.isDisjoint(with: entry.part.nodes)
        && !found.contains { $0.kind == .weight && $0.value == entry.part.name }
    }
    if other.noise > Self.share * result.noise, !weights.isEmpty {
      let graph = try cured.switchingOff(off + weights.map(\.part))
      let all = try comparison.result(of: graph)
      if all.noise < 0.5 * other.noise {
        (better, other) = (graph, all)
        found += weights.map { Finding($0, remedy: "stored in float") }
      }
    }
    guard other.noise < result.noise, agreement(other) >= agreement(result) else { return false }
    (graph, result) = (better, other)
    findings += found
    return true
  }

  /// The parts that stand out, as long as what is left does harm.
  private func culprits(_ sensitivity: Sensitivity) -> [Sensitivity.Entry] {
    // Parts alone in these runs, and all together in all runs, do different amounts of harm. (More noise than signal adds
    // nothing.)
    let together = sensitivity.entries.reduce(0) { $0 + min($1.noise, 1) }
    let scale = result.noise / max(together, .leastNormalMagnitude)
    let target = min(Self.target, result.noise / 4)
    let candidates = sensitivity.worstFirst.filter {
      $0.part.kind != .weight || scale * $0.noise >= Self.harmlessWeight
    }
    // Sums of what is left behind each one.
    var rest = [0.0]
    for entry in candidates.reversed() { rest.append(rest.last! + entry.noise) }
    rest.reverse()
    return zip(candidates, rest).prefix { entry, remaining in
      scale * remaining > target && entry.noise >= Self.share * remaining
    }.map(\.0)
  }

  // MARK: - Other schemes

  /// Parameters that may suit a part better, each with what to call it.
  private typealias Choice = (parameters: QuantizationParameters, text: String)

  /// The choice under which a part does least harm, if that is little.
  private func cure(
    _ culprit: Sensitivity.Entry, among choices: [Choice], _ samples: [[String: Tensor]]
  ) throws -> Choice? {
    var best: (noise: Double, choice: Choice)?
    for choice in choices {
      let other = try graph.requantizing(culprit.part, with: choice.parameters)
      let part = QuantizedPart.parts(of: other, reference: comparison.float).first { $0.name == culprit.part.name }
      let noise = try measure(other, parts: part.map { [$0] } ?? [], samples).entries.first?.noise
      if let noise, noise < best?.noise ?? .infinity { best = (noise, choice) }
    }
    guard let best, best.noise < Self.share * culprit.noise else { return nil }
    return best.choice
  }

  /// Whole and best ranges of activations, scales by channel for weights that have one.
  private func otherRanges(for parts: [QuantizedPart]) throws -> [String: [Choice]] {
    var choices: [String: [Choice]] = [:]
    var observers: [String: (part: String, extremes: MinMaxObserver, error: MSEObserver)] = [:]
    for part in parts {
      guard let parameters = part.parameters else { continue }
      let dtype = parameters.dtype
      switch part.kind {
      case .activation:
        let scheme: QuantizationScheme.Symmetry = dtype == .int8 && parameters.zeroPoints[0] == 0 ? .symmetric : .affine
        for value in part.values {
          observers[value] = (
            part.name, MinMaxObserver(dtype: dtype, scheme: scheme), MSEObserver(dtype: dtype, scheme: scheme)
          )
        }
      case .weight where parameters.isPerTensor && parameters.dtype == .int8:
        let readers = comparison.float.nodes.filter { part.nodes.contains($0.name) }
        guard readers.allSatisfy({ $0.op.kind == .conv || $0.op.kind == .linear }),
          let weight = comparison.float.parameters[part.name]?.value
        else { continue }
        var observer = PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric)
        try observer.observe(weight)
        choices[part.name] = [(try observer.calculateQParams(), "a scale for each channel")]
      case .weight, .dynamicActivation: break
      }
    }
    guard !observers.isEmpty else { return choices }
    let samples = try comparison.samples()
    let progress = Progress("ranges", total: samples.runCount)
    defer { progress.finish() }
    var done = 0
    while let run = try samples.next() {
      _ = try comparison.float.replay(comparison.float.inputs.map { run.inputs[$0.name]! }) { value, tensor in
        try observers[value]?.extremes.observe(tensor)
        try observers[value]?.error.observe(tensor)
        return tensor
      }
      done += 1
      progress.show(done)
    }
    var merged: [String: (extremes: MinMaxObserver, error: MSEObserver)] = [:]
    for (_, seen) in observers.sorted(by: { $0.key < $1.key }) {
      if merged[seen.part] == nil {
        merged[seen.part] = (seen.extremes, seen.error)
      } else {
        try merged[seen.part]!.extremes.merge(seen.extremes)
        try merged[seen.part]!.error.merge(seen.error)
      }
    }
    for (part, seen) in merged {
      choices[part] = [
        (try seen.extremes.calculateQParams(), "its whole range"),
        (try seen.error.calculateQParams(), "the range of least squared error"),
      ]
    }
    return choices
  }

  // MARK: - Measuring

  /// Those in which the quantized network is farthest from the float one: in others little may be seen.
  private func worstRuns() throws -> [[String: Tensor]] {
    let order = result.noiseOfRuns.indices.sorted { (-result.noiseOfRuns[$0], $0) < (-result.noiseOfRuns[$1], $1) }
    let chosen = Set(order.prefix(Self.runs.count))
    let samples = try comparison.samples()
    var runs: [[String: Tensor]] = []
    var number = 0
    while runs.count < chosen.count, let run = try samples.next() {
      if chosen.contains(number) { runs.append(run.inputs) }
      number += 1
    }
    return runs
  }

  private func measure(
    _ quantized: Graph, parts: [QuantizedPart]? = nil, _ samples: [[String: Tensor]]
  ) throws -> Sensitivity {
    var sensitivity = try Sensitivity(
      comparison.float.withoutLastFunctions(), quantized.withoutLastFunctions(), parts: parts)
    let count = sensitivity.entries.count
    let progress = Progress("what does harm", total: samples.count * count)
    defer { progress.finish() }
    for (index, inputs) in samples.enumerated() {
      try sensitivity.add(inputs) { progress.show(index * count + $0) }
      if (index + 2) * sensitivity.operationsOfARun > Self.runs.operations { break }
    }
    return sensitivity
  }
}

extension Graph {
  /// This graph with what the last softmax or sigmoid is computed from in the place of each output that is one: behind
  /// it, differences cannot be seen where a sample is beyond doubt.
  fileprivate func withoutLastFunctions() throws -> Graph {
    var graph = self
    let producers = producers
    for index in outputs.indices {
      var value = outputs[index].value
      while let node = producers[value].map({ nodes[$0] }), let operand = node.inputs.first ?? nil {
        let isPair = node.op.kind == .quantizeLinear || node.op.kind == .dequantizeLinear
        value = operand
        guard isPair else {
          if node.op.isSaturating { graph.outputs[index].value = operand }
          break
        }
      }
    }
    return try graph.removingDeadNodes()
  }
}

extension Op {
  fileprivate var isSaturating: Bool {
    switch self {
    case .softmax, .unary(.sigmoid): true
    default: false
    }
  }
}

extension Comparison.Result {
  /// Noise divided by signal, powers, summed over the outputs.
  fileprivate var noise: Double { outputs.reduce(0) { $0 + $1.noise_ratio } }
}
