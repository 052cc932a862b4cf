import Foundation
import Octet

/// The float model and the quantized one on the same data.
struct Figures: Encodable {
  struct Output: Encodable {
    let name: String
    /// `inf` if nothing differs.
    let sqnr_db: Double
    let argmax_agreement: Double?
  }

  let samples: Int
  let outputs: [Output]
  /// Milliseconds of one run: medians, one after the other.
  let float_ms: Double
  let quantized_ms: Double

  init(_ float: Graph, _ quantized: Graph, on path: String, batch: Int, threads: Int?) throws {
    let sessions = (
      Session(try Plan(float.foldingConstants().fused()), threads: threads),
      Session(try Plan(quantized), threads: threads)
    )
    let samples = try Samples(path, for: float, batch: batch)
    let names = float.outputs.map(\.name)
    var differences = [Difference](repeating: Difference(), count: names.count)
    let progress = Progress("compare", total: samples.runCount)
    defer { progress.finish() }
    var (done, first) = (0, [String: Tensor]())
    while let run = try samples.next() {
      let (expected, found) = (try sessions.0.run(run.inputs), try sessions.1.run(run.inputs))
      for (index, name) in names.enumerated() { try differences[index].add(found[name]!, reference: expected[name]!) }
      if done == 0 { first = run.inputs }
      done += 1
      progress.show(done)
    }
    self.samples = samples.sampleCount
    outputs = zip(names, differences).map {
      Output(name: $0, sqnr_db: $1.sqnr, argmax_agreement: $1.agreement)
    }
    float_ms = measure { _ = try? sessions.0.run(first) }.median * 1e3
    quantized_ms = measure { _ = try? sessions.1.run(first) }.median * 1e3
  }
}

/// What became of a model.
struct QuantizeReport: Encodable {
  struct Kept: Encodable {
    let reason: String
    let nodes: [String]
  }

  let model: String
  let output: String
  let mode: QuantizeCommand.Mode
  let quantized: Int
  /// The nodes that stay in float, by the reason.
  let kept: [Kept]
  let boundaries: Int
  let bytes_before: Int
  let bytes_after: Int
  let figures: Figures?

  init(
    model: String, output: String, mode: QuantizeCommand.Mode, _ outcome: Quantization.Outcome, figures: Figures?
  ) throws {
    func size(_ path: String) throws -> Int {
      (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.intValue ?? 0
    }
    (self.model, self.output, self.mode, self.figures) = (model, output, mode, figures)
    quantized = outcome.quantized.count
    // Reasons that name an operand of their own are the same reason.
    let groups = Dictionary(grouping: outcome.kept) { $0.reason.replacing(#/^operand \S+ is/#, with: "an operand is") }
    kept = groups.map { Kept(reason: $0, nodes: $1.map(\.node)) }
      .sorted { ($1.nodes.count, $0.reason) < ($0.nodes.count, $1.reason) }
    boundaries = outcome.boundaries
    (bytes_before, bytes_after) = (try size(model), try size(output))
  }

  func write(to path: String) throws {
    let json = try jsonData(self)
    try withoutInterruption { try writeWhole(to: path) { try $0.write([UInt8](json)) } }
  }

  func show() {
    let all = quantized + kept.reduce(0) { $0 + $1.nodes.count }
    print("\(mode.rawValue): \(quantized) of \(all) nodes quantized, \(boundaries) float ↔ int8 boundaries")
    for group in kept {
      let shown = group.nodes.prefix(4).joined(separator: ", ") + (group.nodes.count > 4 ? ", …" : "")
      print("  \(group.nodes.count) in float, \(group.reason): \(shown)")
    }
    let ratio = Double(bytes_after) / Double(max(bytes_before, 1))
    print("bytes: \(bytes_before) → \(bytes_after) (\(ratio.formatted(3)) ×)")
    if let figures {
      for output in figures.outputs {
        let decibels = output.sqnr_db == .infinity ? "∞" : output.sqnr_db.formatted(1)
        let agreement = output.argmax_agreement.map { ", same arg-max \((100 * $0).formatted(2)) %" } ?? ""
        print("\(output.name): SQNR \(decibels) dB\(agreement) (\(figures.samples) samples)")
      }
      let gain = figures.float_ms / figures.quantized_ms
      print(
        "a run: \(figures.float_ms.formatted(3)) → \(figures.quantized_ms.formatted(3)) ms (\(gain.formatted(2)) × as fast)"
      )
    }
    print(output)
  }
}
