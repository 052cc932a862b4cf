import ArgumentParser
import Octet

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert between .onnx files and saved models.",
    discussion: """
      The output is ONNX if its name ends in .onnx, and a saved model otherwise. Batch normalizations are folded into
      the layers before them, what only depends on constants is computed. From .onnx to .onnx, old operator sets become
      17 or newer. The output is written whole or not at all.
      """)

  @Argument(help: ArgumentHelp("The model to read: an .onnx file or a saved model.", valueName: "a"))
  var source: String

  @Argument(help: ArgumentHelp("The file to write.", valueName: "b"))
  var destination: String

  @OptionGroup var options: ModelOptions

  func run() throws {
    let model = try LoadedModel(source, dimensions: options.dimensions)
    let graph = try model.graph.foldingConstants().fused()
    try graph.write(to: destination, as: model.metadata)
    print("\(destination): \(graph.nodes.count) operations, \(graph.parameters.count) parameters")
  }
}
