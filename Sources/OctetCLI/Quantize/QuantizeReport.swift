import Foundation
import Octet

/// The float model and the quantized one on the calibration data.
struct Figures: Encodable {
  let samples: Int
  let outputs: [Comparison.Output]
  /// Milliseconds of one run.
  let float_ms: Double
  let quantized_ms: Double
  /// What the guard did; `nil` if it had nothing to do.
  let `guard`: GuardReport?
}

/// What the guard did.
struct GuardReport: Encodable {
  let outputs_before: [Comparison.Output]
  let findings: [Guard.Finding]
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
  /// Open sizes and numbers that the file has for good, as in the calibration data; `nil` if none were needed.
  let taken_from_data: String?
  let bytes_before: Int
  let bytes_after: Int
  let figures: Figures?

  init(
    model: LoadedModel, output: String, mode: QuantizeCommand.Mode, _ outcome: Quantization.Outcome, figures: Figures?
  ) throws {
    (self.model, self.output, self.mode, self.figures) = (model.path, output, mode, figures)
    taken_from_data = model.taken?.description
    (quantized, kept, boundaries) = (outcome.quantized.count, outcome.keptByReason, outcome.boundaries)
    (bytes_before, bytes_after) = (try modelBytes(model.path), try modelBytes(output))
  }

  func write(to path: String) throws {
    let json = try jsonData(self)
    try withoutInterruption { try writeWhole(to: path) { try $0.write([UInt8](json)) } }
  }

  func show() {
    func decibels(_ output: Comparison.Output) -> String {
      output.sqnr_db == .infinity ? "∞" : output.sqnr_db.formatted(1)
    }
    showNodes(mode.rawValue, quantized, kept, boundaries)
    if let taken_from_data { print("as in the data, for good: \(taken_from_data)") }
    showBytes(bytes_before, bytes_after)
    if let figures {
      for (index, output) in figures.outputs.enumerated() {
        let before = figures.guard.map { "\(decibels($0.outputs_before[index])) → " } ?? ""
        let agreement = output.argmax_agreement.map { now in
          let before =
            figures.guard?.outputs_before[index].argmax_agreement.map { "\((100 * $0).formatted(2)) → " } ?? ""
          return ", same arg-max \(before)\((100 * now).formatted(2)) %"
        }
        print(
          "\(output.name): SQNR \(before)\(decibels(output)) dB\(agreement ?? "") (\(figures.samples) \(figures.samples == 1 ? "sample" : "samples"))"
        )
      }
      if let report = figures.guard {
        print("the guard (without it: the figures before →):")
        for finding in report.findings {
          let nodes = finding.nodes.prefix(3).joined(separator: ", ") + (finding.nodes.count > 3 ? ", …" : "")
          print(
            "  \(finding.kind.words) \(finding.value), alone \(finding.sqnr_alone_db.formatted(1)) dB: \(finding.remedy) (\(nodes))"
          )
        }
      }
      let gain = figures.float_ms / figures.quantized_ms
      print(
        "a run: \(figures.float_ms.formatted(3)) → \(figures.quantized_ms.formatted(3)) ms (\(gain.formatted(2)) × as fast)"
      )
    }
    print(output)
  }
}

extension Quantization.Outcome {
  /// The nodes that stay in float, by the reason; what is most frequent first.
  var keptByReason: [QuantizeReport.Kept] {
    // Reasons that name an operand of their own are the same reason.
    let groups = Dictionary(grouping: kept) { $0.reason.replacing(#/^operand \S+ is/#, with: "an operand is") }
    return groups.map { QuantizeReport.Kept(reason: $0, nodes: $1.map(\.node)) }
      .sorted { ($1.nodes.count, $0.reason) < ($0.nodes.count, $1.reason) }
  }
}

/// Prints what became of the nodes.
func showNodes(_ title: String, _ quantized: Int, _ kept: [QuantizeReport.Kept], _ boundaries: Int) {
  let all = quantized + kept.reduce(0) { $0 + $1.nodes.count }
  print("\(title): \(quantized) of \(all) nodes quantized, \(boundaries) float ↔ int8 boundaries")
  for group in kept {
    let shown = group.nodes.prefix(4).joined(separator: ", ") + (group.nodes.count > 4 ? ", …" : "")
    print("  \(group.nodes.count) in float, \(group.reason): \(shown)")
  }
}

/// Prints how large the model was and is.
func showBytes(_ before: Int, _ after: Int) {
  print("bytes: \(before) → \(after) (\((Double(after) / Double(max(before, 1))).formatted(3)) ×)")
}

extension QuantizedPart.Kind {
  fileprivate var words: String {
    switch self {
    case .activation: "activations"
    case .weight: "weight"
    case .dynamicActivation: "activations of each run"
    }
  }
}
