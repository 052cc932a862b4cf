import ArgumentParser
import Octet

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a model on data and write its outputs.",
    discussion: """
      The model is an .onnx file or one that Octet has saved. The data is either one .npz with an array for each input, whose \
      first axis counts samples: they run --batch at a time, and the output is one .npz with the outputs stacked. Or it is a \
      folder of .npz files, each of them one run with arrays of any shapes that the model takes: then the output is a folder \
      with files of the same names.

      Whether the first axis of an input is a batch is read from the model. Where it is not (a sequence comes first), samples \
      have an axis of their own in front; an array that holds what one run takes is used for every run. Data is \
      streamed. Files are written whole or not at all, and replace those that were there.

      Example: octet run net.onnx --inputs images.npz --output scores.npz --batch 32
      """)

  @Argument(help: "The model file.")
  var model: String

  @OptionGroup var data: DataOptions

  @Option(help: ArgumentHelp("The .npz, or the folder, for the outputs.", valueName: "out"))
  var output: String

  @OptionGroup var options: ModelOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    struct Output: Encodable {
      let name: String
      let dtype: String
      let shape: [Int]
    }

    let samples: Int
    let runs: Int
    let seconds: Double
    let output: String
    /// The stacked outputs; none for a folder.
    let outputs: [Output]
  }

  func run() throws {
    returnLargeBlocks()
    try requirePlace(("--output", output), besides: [("--inputs", data.path), ("the model", model)])
    var model = try LoadedModel(model, dimensions: options.dimensions, data: data.path, batch: data.batch)
    let samples = try Samples(data.path, for: model.graph, interface: model.interface, batch: data.batch)
    let file = try OutputFile(output, for: samples)
    let sessions = try model.sessions(options.dimensions, threads: data.threads)
    let progress = Progress("run", total: samples.runCount)
    var (done, seconds) = (0, 0.0)
    while let run = try samples.next() {
      let start = now()
      let outputs = try naming(run.place) { try sessions.run(run.inputs) }
      seconds += now() - start
      try file.add(outputs, of: run)
      done += 1
      progress.show(done)
    }
    try file.finish()
    progress.finish()

    let outputs = file.types.sorted { $0.key < $1.key }
      .map { Report.Output(name: $0, dtype: $1.dtype.rawValue, shape: $1.fixedShape ?? []) }
    if json {
      return try printJSON(
        Report(
          samples: samples.sampleCount, runs: samples.runCount, seconds: seconds, output: output, outputs: outputs))
    }
    print("\(samples.counted), \(seconds.formatted(3)) s: \(output)")
    for output in outputs { print("  \(output.name): \(output.dtype) \(output.shape)") }
    if !samples.unusedNames.isEmpty {
      print("  not used, as the model has no such input: \(samples.unusedNames.joined(separator: ", "))")
    }
  }
}
