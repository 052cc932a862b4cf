import ArgumentParser
import Octet

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert between .onnx files and saved models.",
    discussion: """
      The output is ONNX if its name ends in .onnx, and a saved model otherwise. Batch normalizations are folded into \
      the layers before them, what only depends on constants is computed. From .onnx to .onnx, old operator sets become \
      17 or newer. The output is written whole or not at all.

      Example: octet convert net.onnx net.safetensors
      """)

  @Argument(help: ArgumentHelp("The model to read: an .onnx file or a saved model.", valueName: "a"))
  var source: String

  @Argument(help: ArgumentHelp("The file to write.", valueName: "b"))
  var destination: String

  @OptionGroup var options: ModelOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    let output: String
    let operations: Int
    let parameters: Int
    let bytes_before: Int
    let bytes_after: Int
  }

  func run() throws {
    try checkPlace(destination)
    let before = try modelBytes(source)
    let model = try LoadedModel(source, dimensions: options.dimensions)
    let graph = try model.graph.foldingConstants().fused()
    try graph.write(to: destination, as: model.metadata)
    if json {
      return try printJSON(
        Report(
          output: destination, operations: graph.nodes.count, parameters: graph.parameters.count,
          bytes_before: before, bytes_after: modelBytes(destination)))
    }
    print("\(destination): \(graph.nodes.count) operations, \(graph.parameters.count) parameters")
  }
}
