import ArgumentParser
import Foundation
import Octet
import OctetONNX

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert between .onnx files and saved models.",
    discussion: """
      A file is ONNX if its name ends in .onnx, and a saved model otherwise. Batch normalizations are folded into the
      layers before them, what only depends on constants is computed. From .onnx to .onnx, old operator sets become 17
      or newer. The output is written whole or not at all.
      """)

  @Argument(help: ArgumentHelp("The model to read.", valueName: "a"))
  var source: String

  @Argument(help: ArgumentHelp("The file to write.", valueName: "b"))
  var destination: String

  @Option(
    name: .customLong("dimension"), parsing: .singleValue,
    help: ArgumentHelp("A size for a symbolic dimension of an .onnx file; can be repeated.", valueName: "name=size"))
  var dimensions: [String] = []

  func validate() throws { _ = try sizes() }

  func run() throws {
    let sizes = try sizes()
    var graph: Graph
    var metadata: ONNXMetadata?
    if Self.isONNX(source) {
      let model = try ONNXModel(contentsOf: source, dimensions: sizes)
      (graph, metadata) = (model.graph, model.metadata)
    } else {
      guard sizes.isEmpty else {
        throw OctetError(.invalidArgument, "--dimension", expected: "an .onnx file", found: source)
      }
      graph = try Graph(contentsOf: source)
    }
    graph = try graph.foldingConstants().fused()
    if Self.isONNX(destination) {
      try graph.saveONNX(
        to: destination, name: metadata?.name ?? "octet", documentation: metadata?.documentation ?? "",
        properties: metadata?.properties ?? [:])
    } else {
      try graph.save(to: destination)
    }
    print("\(destination): \(graph.nodes.count) operations, \(graph.parameters.count) parameters")
  }

  private static func isONNX(_ path: String) -> Bool { path.lowercased().hasSuffix(".onnx") }

  private func sizes() throws -> [String: Int] {
    var sizes: [String: Int] = [:]
    for text in dimensions {
      // A name may hold a sign of equality, a size does not.
      guard let sign = text.lastIndex(of: "="), let size = Int(text[text.index(after: sign)...]), size >= 0 else {
        throw ValidationError("--dimension: expected name=size, found '\(text)'")
      }
      sizes[String(text[..<sign])] = size
    }
    return sizes
  }
}
