import ArgumentParser
import Octet

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Quantize a float model to int8 or int4.",
    discussion: """
      Modes:
        static       weights and activations int8; ranges of activations from
                     --calibration (recurrent layers: dynamic)
        dynamic      weights int8, ranges of activations found while it runs;
                     no data. Of convolutions and embeddings only the weights
        weight-only  weights int8, or int4 in groups of 32 with --int4; with
                     --calibration by GPTQ, else rounded
        auto         static with --calibration; without, dynamic where products
                     of matrices or recurrent layers prevail

      The data is as for 'octet run': some hundred samples of what the model will see. With data the result is compared \
      with the float model on it, in every mode. If it is bad, the guard finds the parts that ruin it and gives them \
      other ranges, or takes them out of integer arithmetic (weights stay int8 where that does no harm). The output is ONNX if its name ends in .onnx, and a saved model otherwise; it is \
      written whole or not at all.

      Example: octet quantize net.onnx --calibration images.npz --output net-int8.onnx
      """)

  enum Mode: String, CaseIterable, ExpressibleByArgument, Encodable {
    case auto, `static`, dynamic
    case weightOnly = "weight-only"
  }

  /// As a QConfig in JSON names them.
  enum ActivationObserver: String, CaseIterable, ExpressibleByArgument {
    case histogram, minMax, movingAverageMinMax, percentile, entropy, mse
  }

  @Argument(help: "The float model.")
  var model: String

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var output: String

  @Option(help: ArgumentHelp("How: see above.", valueName: "mode"))
  var mode = Mode.auto

  @Option(
    help: ArgumentHelp(
      "One .npz (arrays by input name, first axis = samples), or a folder of .npz (one run each).", valueName: "data"))
  var calibration: String?

  @OptionGroup private var running: RunningOptions

  var batch: Int { running.batch }
  var threads: Int? { running.threads }

  @Option(
    help: ArgumentHelp(
      "Static: a backend (\(Backend.allCases.map(\.rawValue).joined(separator: ", "))) or a QConfigMap in a .json file.",
      valueName: "name"))
  var qconfig: String?

  @Option(parsing: .singleValue, help: ArgumentHelp("Layers that stay in float; may be repeated.", valueName: "glob"))
  var skip: [String] = []

  @Option(parsing: .singleValue, help: ArgumentHelp("Quantize these layers alone; may be repeated.", valueName: "glob"))
  var only: [String] = []

  @Option(
    help: ArgumentHelp(
      "Static: how ranges of activations are found, one of \(ActivationObserver.allCases.map(\.rawValue).joined(separator: ", ")).",
      valueName: "name"))
  var observer: ActivationObserver?

  @Flag(name: .customLong("no-guard"), help: "Leave a result as it is, however far it is from the float model.")
  var noGuard = false

  @Flag(help: "Weight-only: 4 bits in groups of 32.")
  var int4 = false

  @Option(help: ArgumentHelp("Write the figures to this file, as JSON.", valueName: "file"))
  var report: String?

  @OptionGroup var options: ModelOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if int4, mode != .weightOnly { throw ValidationError("--int4 is for --mode weight-only") }
    if qconfig != nil, mode == .dynamic || mode == .weightOnly {
      throw ValidationError("--qconfig is for static quantization, not for --mode \(mode.rawValue)")
    }
    if observer != nil, mode == .dynamic || mode == .weightOnly {
      throw ValidationError("--observer is for static quantization, not for --mode \(mode.rawValue)")
    }
    if !skip.isEmpty, !only.isEmpty { throw ValidationError("--skip and --only exclude each other") }
    if let qconfig, qconfig.hasSuffix(".json"), !(skip + only).isEmpty || observer != nil {
      throw ValidationError("--skip, --only and --observer are for the QConfig of a backend; \(qconfig) says it itself")
    }
  }

  func run() throws {
    let read = [("the model", model), ("--calibration", calibration), ("--qconfig", qconfig)]
    try requirePlace(("--output", output), besides: read)
    try requirePlace(("--report", self.report), besides: read + [("--output", output)])
    for path in [output, self.report].compactMap({ $0 }) { try checkPlace(path) }
    let source = try LoadedModel(model, dimensions: options.dimensions, data: calibration, batch: batch)
    try source.requireFloat()
    let quantization = try Quantization(of: source, by: self)
    var outcome = try quantization.run()
    let figures = try calibration.map { data in
      let comparison = try Comparison(quantization.graph, on: data, batch: batch, threads: threads)
      return try check(&outcome, comparison)
    }
    try outcome.graph.write(to: output, as: source.metadata)
    let summary = try QuantizeReport(
      model: source, output: output, mode: quantization.mode, outcome, figures: figures)
    if let path = self.report { try naming(path) { try summary.write(to: path) } }
    if json { try printJSON(summary) } else { summary.show() }
  }

  /// Compares with the float model, and lets the guard mend what is bad.
  private func check(_ outcome: inout Quantization.Outcome, _ comparison: Comparison) throws -> Figures {
    let plain = try comparison.result(of: outcome.graph)
    var `guard` = Guard(outcome.graph, plain, comparison)
    if !noGuard { try `guard`.run() }
    if !`guard`.findings.isEmpty { outcome.accept(`guard`.graph) }
    let times = try comparison.milliseconds(of: outcome.graph)
    return Figures(
      samples: plain.samples, outputs: `guard`.result.outputs, float_ms: times.float,
      quantized_ms: times.quantized,
      guard: `guard`.findings.isEmpty ? nil : GuardReport(outputs_before: plain.outputs, findings: `guard`.findings))
  }
}
