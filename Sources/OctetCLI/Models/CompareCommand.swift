import ArgumentParser
import Foundation
import Octet

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare a model with another form of it on data: outputs, and layer by layer.",
    discussion: """
      Both models are .onnx files or ones that Octet has saved, with the same inputs; the data is as for 'octet run'.

      Of each output: the ratio of signal to noise in dB (∞: no difference), the largest difference, and how often the largest \
      element of a row is at the same place (the class of a classifier). Then, of the first --layers runs, the \
      values that both models have by the same name, the worst ones first; for these both are computed operation by operation.

      Example: octet compare net.onnx net-int8.safetensors --inputs images.npz --batch 32
      """)

  @Argument(help: "The float model, which is taken as right.")
  var float: String

  @Argument(help: "The model that is compared with it.")
  var model: String

  @OptionGroup var data: DataOptions

  @Option(help: ArgumentHelp("How many runs are compared layer by layer.", valueName: "n"))
  var layers = 8

  @OptionGroup var options: ModelOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    struct Row: Encodable {
      let name: String
      let operation: String?
      let elements: Int
      /// `inf` if nothing differs.
      let sqnr_db: Double
      let largest_difference: Double
      let argmax_agreement: Double?

      init(_ name: String, _ operation: String?, _ difference: Difference) {
        (self.name, self.operation, elements) = (name, operation, difference.elements)
        (sqnr_db, largest_difference) = (difference.sqnr, difference.largest)
        argmax_agreement = operation == nil ? difference.agreement : nil
      }
    }

    let samples: Int
    let runs: Int
    let outputs: [Row]
    let layer_runs: Int
    let layers: [Row]
  }

  func validate() throws {
    guard layers >= 0 else { throw ValidationError("--layers takes a number from 0 up, not \(layers)") }
  }

  func run() throws {
    let reference = try LoadedModel(float, dimensions: options.dimensions, data: data.path, batch: data.batch)
    let other = try LoadedModel(model, dimensions: options.dimensions, data: data.path, batch: data.batch)
    let names = try commonOutputs(reference.graph, other.graph)
    let samples = try Samples(data.path, for: reference.graph, batch: data.batch)
    let sessions = (try reference.session(threads: data.threads), try other.session(threads: data.threads))
    var differences = [Difference](repeating: Difference(), count: names.count)
    var layerwise = LayerComparison(reference.graph, other.graph)
    let layerRuns = layerwise.layers.isEmpty ? 0 : min(layers, samples.runCount)
    let progress = Progress("compare", total: samples.runCount)
    var done = 0
    while let run = try samples.next() {
      try naming(run.place) {
        let (expected, found) = (try sessions.0.run(run.inputs), try sessions.1.run(run.inputs))
        for (index, name) in names.enumerated() {
          try naming(name) { try differences[index].add(found[name]!, reference: expected[name]!) }
        }
        if done < layerRuns { try layerwise.add(run.inputs) }
      }
      done += 1
      progress.show(done)
    }
    progress.finish()
    let report = Report(
      samples: samples.sampleCount, runs: samples.runCount,
      outputs: zip(names, differences).map { Report.Row($0, nil, $1) },
      layer_runs: layerRuns,
      layers: layerRuns == 0 ? [] : layerwise.worstFirst.map { Report.Row($0.value, $0.kind.rawValue, $0.difference) })
    if json { return try printJSON(report) }
    show(report, samples, taken: reference.taken?.description)
  }

  /// The names of the outputs of both, in the order of the first.
  private func commonOutputs(_ reference: Graph, _ graph: Graph) throws -> [String] {
    let (wanted, given) = (reference.inputs.map(\.name).sorted(), graph.inputs.map(\.name).sorted())
    guard wanted == given else {
      throw OctetError(
        .invalidArgument, model, expected: "the inputs of \(float): \(wanted.joined(separator: ", "))",
        found: given.joined(separator: ", "))
    }
    for input in reference.inputs {
      let other = graph.inputs.first { $0.name == input.name }!
      guard input.type.accepts(other.type) else {
        throw OctetError(
          .invalidArgument, "\(model): input \(input.name)", expected: "\(input.type), as \(float) has",
          found: "\(other.type)")
      }
    }
    let names = reference.outputs.map(\.name).filter { name in graph.outputs.contains { $0.name == name } }
    guard !names.isEmpty else {
      throw OctetError(
        .invalidArgument, model,
        expected: "an output of \(float): \(reference.outputs.map(\.name).joined(separator: ", "))",
        found: graph.outputs.map(\.name).joined(separator: ", "))
    }
    return names
  }

  private func show(_ report: Report, _ samples: Samples, taken: String?) {
    func decibels(_ row: Report.Row) -> String { row.sqnr_db == .infinity ? "∞" : row.sqnr_db.formatted(1) }
    func significant(_ x: Double) -> String { String(format: "%.3g", x) }
    print("\(samples.counted)\(taken.map { "; as in the data: \($0)" } ?? "")\n")
    var outputs = Table(["output", "SQNR dB", "largest difference", "same arg-max"], trailing: [1, 2, 3])
    for row in report.outputs {
      outputs.append(
        row.name, decibels(row), significant(row.largest_difference),
        row.argmax_agreement.map { "\((100 * $0).formatted(2)) %" } ?? "–")
    }
    print(outputs)
    guard report.layer_runs > 0 else { return print("\nno layer by layer figures") }
    var layers = Table(["layer", "operation", "SQNR dB", "largest difference"], trailing: [2, 3])
    for row in report.layers {
      layers.append(row.name, row.operation!, decibels(row), significant(row.largest_difference))
    }
    print(
      "\n\(layers)\n\nlayers: of the first \(report.layer_runs == 1 ? "run" : "\(report.layer_runs) runs"), the worst first"
    )
  }
}
