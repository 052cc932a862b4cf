import ArgumentParser
import Foundation
import Octet
import OctetONNX

struct QATCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qat",
    abstract: "Train a float model on until it is good in int8 (quantization-aware training).",
    discussion: """
      For models that lose too much by 'octet quantize'. Values and weights are rounded as they will be in integers while the \
      model learns, from labels or, without them, from what the float model itself says of the same inputs (distillation).

      --data is one .npz: arrays by input name, first axis = samples, and with --labels one more: classes [n] (integers) for \
      the losses of classes, or what the output should be for mse.

      Losses:
        cross-entropy  labels are classes; the output is logits, or their softmax
        mse            labels are what the output should be
        distill        no labels: outputs as those of the teacher; by the divergence of the classes' probabilities where the \
      output is a softmax, by squared differences elsewhere

      Scales and zero points start from calibration on the data and follow the network for the first half of the epochs. \
      Batch normalization keeps its statistics, unless --batch-norm-epochs says otherwise; dropout is left out. Of all epochs, and what there was \
      before them, the best is kept: by accuracy if there are labels of classes, then by loss; on --validation if that is \
      given.

      Example: octet qat net.onnx --data train.npz --labels y --validation test.npz --output net-int8.onnx
      """)

  enum Loss: String, CaseIterable, ExpressibleByArgument, Encodable {
    case crossEntropy = "cross-entropy"
    case mse, distill
  }

  @Argument(help: "The float model.")
  var model: String

  @Option(help: ArgumentHelp("What to learn from: see above.", valueName: "file.npz"))
  var data: String

  @Option(help: ArgumentHelp("The array of --data that has the labels.", valueName: "name"))
  var labels: String?

  @Option(
    help: ArgumentHelp(
      "What to judge by, with arrays as --data has; --data itself if not given.", valueName: "file.npz"))
  var validation: String?

  @Option(help: ArgumentHelp("For distill: another float model with the same inputs and outputs.", valueName: "model"))
  var teacher: String?

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var output: String

  @Option(
    help: ArgumentHelp(
      "How often to go through the data; by default so often that there are 300 steps, 5 to 60 times.", valueName: "n"))
  var epochs: Int?

  @Option(
    help: ArgumentHelp(
      "How wrong the model is: see above. By default cross-entropy with labels, distill without.", valueName: "loss"))
  var loss: Loss?

  @Option(help: ArgumentHelp("Bits of weights, 8 or 4. (They are stored in bytes.)", valueName: "n"))
  var bits = 8

  @Option(
    help: ArgumentHelp(
      "A backend (\(Backend.allCases.map(\.rawValue).joined(separator: ", "))) or a QConfigMap in a .json file.",
      valueName: "name"))
  var qconfig: String?

  @Flag(help: "Scales and zero points learn too, once they follow nothing any more (learned step size).")
  var learnedScales = false

  @Option(parsing: .singleValue, help: ArgumentHelp("Layers that stay in float; may be repeated.", valueName: "glob"))
  var skip: [String] = []

  @Option(help: ArgumentHelp("How far a step goes: Adam's rate at first; it falls along a cosine.", valueName: "rate"))
  var learningRate: Float = 5e-4

  @Option(help: ArgumentHelp("Epochs in which batch normalization goes by the batch.", valueName: "n"))
  var batchNormEpochs = 0

  @Option(help: ArgumentHelp("How many samples a step goes by.", valueName: "n"))
  var batch = 32

  @Option(help: ArgumentHelp("What the order of samples comes from.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("Threads; all cores if not given.", valueName: "n"))
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "A folder for a checkpoint after each epoch; if it has one, training goes on from there.", valueName: "folder"))
  var checkpoint: String?

  @OptionGroup var options: ModelOptions

  @Flag(help: "Print JSON.")
  var json = false

  /// What the loss is, if it is not said.
  var chosenLoss: Loss { loss ?? (labels == nil ? .distill : .crossEntropy) }

  func validate() throws {
    guard bits == 8 || bits == 4 else { throw ValidationError("--bits takes 8 or 4, not \(bits)") }
    guard (1...1 << 20).contains(batch) else { throw ValidationError("--batch takes 1 to \(1 << 20), not \(batch)") }
    guard batchNormEpochs >= 0 else {
      throw ValidationError("--batch-norm-epochs takes 0 or more, not \(batchNormEpochs)")
    }
    if let epochs, !(1...10_000).contains(epochs) {
      throw ValidationError("--epochs takes 1 to 10000, not \(epochs)")
    }
    guard learningRate > 0, learningRate.isFinite else {
      throw ValidationError("--learning-rate takes a number above 0, not \(learningRate)")
    }
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads takes a number from 1 to 1024, not \(threads)")
    }
    if chosenLoss == .distill {
      if labels != nil { throw ValidationError("--loss distill learns from outputs, not from --labels") }
    } else {
      if labels == nil { throw ValidationError("--loss \(chosenLoss.rawValue) wants --labels") }
      if teacher != nil { throw ValidationError("--teacher is for --loss distill") }
    }
    if let qconfig, qconfig.hasSuffix(".json"), !skip.isEmpty || bits != 8 {
      throw ValidationError("--skip and --bits are for the QConfig of a backend; \(qconfig) says it itself")
    }
  }

  func run() throws {
    let read = [
      ("the model", model), ("--data", data), ("--validation", validation), ("--teacher", teacher),
      ("--qconfig", qconfig),
    ]
    try requirePlace(("--output", output), besides: read)
    try checkPlace(output)
    if let checkpoint { try makeFolder(checkpoint) }
    let source = try LoadedModel(model, dimensions: options.dimensions, data: data, batch: batch)
    try source.requireFloat()
    let run = try withThreads(threads ?? ProcessInfo.processInfo.activeProcessorCount) {
      let run = try QATRun(of: source, by: self)
      try run.train()
      return run
    }
    let outcome = try run.result()
    try outcome.graph.write(to: output, as: source.metadata)
    let report = try QATReport(model: source, output: output, run, outcome)
    if json { try printJSON(report) } else { report.show() }
  }
}
