import ArgumentParser
import Octet

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Quantize a float model to int8 or int4.",
    discussion: """
      Modes:
        static       weights and activations int8; ranges of activations from --calibration (recurrent layers: dynamic)
        dynamic      weights int8, ranges of activations found while it runs; no data. Of convolutions and embeddings \
      only the weights
        weight-only  weights int8, or int4 in groups of 32 with --int4; with --calibration by GPTQ, else rounded
        auto         static with --calibration; without, dynamic where products of matrices or recurrent layers prevail

      The data is as for 'octet run': some hundred samples of what the model will see. With data the result is compared \
      with the float model on it. The output is ONNX if its name ends in .onnx, and a saved model otherwise; it is \
      written whole or not at all.

      Example: octet quantize net.onnx --calibration images.npz --output net-int8.onnx
      """)

  enum Mode: String, CaseIterable, ExpressibleByArgument, Encodable {
    case auto, `static`, dynamic
    case weightOnly = "weight-only"
  }

  @Argument(help: "The float model.")
  var model: String

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var output: String

  @Option(help: ArgumentHelp("One of \(Mode.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "mode"))
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
    if !skip.isEmpty, !only.isEmpty { throw ValidationError("--skip and --only exclude each other") }
    if let qconfig, qconfig.hasSuffix(".json"), !(skip + only).isEmpty {
      throw ValidationError("--skip and --only are for the QConfig of a backend; \(qconfig) says it itself")
    }
  }

  func run() throws {
    let source = try LoadedModel(model, dimensions: options.dimensions, data: calibration, batch: batch)
    let quantization = try Quantization(of: source, by: self)
    let outcome = try quantization.run()
    let figures = try calibration.map {
      try Figures(source.graph, outcome.graph, on: $0, batch: batch, threads: threads)
    }
    try outcome.graph.write(to: output, as: source.metadata)
    let summary = try QuantizeReport(
      model: model, output: output, mode: quantization.mode, outcome, figures: figures)
    if let path = self.report { try naming(path) { try summary.write(to: path) } }
    if json { try printJSON(summary) } else { summary.show() }
  }
}
