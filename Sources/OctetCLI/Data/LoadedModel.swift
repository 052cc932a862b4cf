import ArgumentParser
import Foundation
import Octet
import OctetONNX

/// A model file: `.onnx`, or one that Octet has saved.
struct LoadedModel {
  let path: String
  private(set) var graph: Graph
  /// What an `.onnx` file says of itself; `nil` for a saved model.
  let metadata: ONNXMetadata?
  /// What was taken from data because the model cannot be read with open sizes.
  private(set) var taken: DataSizes?
  /// The inputs that the file declares, with open sizes.
  let declared: [Graph.Input]

  /// Tells the kinds of file apart by their contents.
  ///
  /// An `.onnx` file that cannot be read with open sizes gets those that data has: first of all axes but first ones, then of
  /// these too, then the values of single whole numbers.
  ///
  /// - Parameters:
  ///   - dimensions: sizes for symbolic dimensions of inputs, by name.
  ///   - data: what the model is going to run on, `batch` samples at a time.
  /// - Throws: `OctetError` as `ONNXModel` and `Graph(contentsOf:)`; `unknownName` for a dimension that is not there.
  init(_ path: String, dimensions: [String: Int] = [:], data: String? = nil, batch: Int = 1) throws {
    self.path = path
    let beginning = try MappedFile(path).withUnsafeBytes { Array($0.prefix(9)) }
    if beginning.starts(with: [0x50, 0x4B, 3, 4]) {
      throw OctetError(
        .invalidFile, path, expected: "a model: an .onnx file, or one that Octet has saved",
        found: "a zip archive (.npz?)")
    }
    // A safetensors file begins with the length of its header, a JSON object.
    if beginning.count == 9, beginning[8] == UInt8(ascii: "{"), beginning[7] == 0 {
      metadata = nil
      graph = try naming(path) { try Graph(contentsOf: path).fixing(dimensions) }
      declared = graph.inputs
      return
    }
    do {
      let model = try ONNXModel(contentsOf: path, dimensions: dimensions)
      (metadata, graph, declared) = (model.metadata, model.graph, model.graph.inputs)
    } catch let error as OctetError where [.unsupported, .shapeMismatch].contains(error.code) {
      declared = try ONNXModel.inputs(contentsOf: path, dimensions: dimensions)
      guard let data, let sizes = try DataSizes(of: data, for: declared, batch: batch) else { throw error }
      let model: ONNXModel
      (model, taken) = try Self.model(path, dimensions, sizes, after: error)
      (metadata, graph) = (model.metadata, model.graph)
    }
  }

  /// This model for inputs of other sizes.
  private init(_ model: LoadedModel, _ dimensions: [String: Int], _ sizes: DataSizes) throws {
    (path, declared, metadata) = (model.path, model.declared, model.metadata)
    let read: ONNXModel
    (read, taken) = try Self.model(path, dimensions, sizes)
    graph = read.graph
  }

  /// The model with as little taken from data as can be.
  private static func model(
    _ path: String, _ dimensions: [String: Int], _ sizes: DataSizes, after first: (any Error)? = nil
  ) throws -> (ONNXModel, DataSizes) {
    var failure = first
    for (withFirst, withNumbers) in [(false, false), (true, false), (true, true)] {
      // What would add nothing to the attempt before it.
      if withNumbers ? sizes.numbers.isEmpty : (withFirst ? sizes.first : sizes.inner).isEmpty { continue }
      var all = sizes.inner.merging(dimensions) { $1 }
      if withFirst { all.merge(sizes.first) { current, _ in current } }
      do {
        let model = try ONNXModel(
          contentsOf: path, dimensions: all, constants: withNumbers ? sizes.numbers : [:])
        return (model, sizes.keeping(first: withFirst, numbers: withNumbers))
      } catch let error as OctetError where [.unsupported, .shapeMismatch].contains(error.code) {
        failure = error
      }
    }
    throw failure
      ?? OctetError(
        .unsupported, path, expected: "open sizes that the data may fill in", found: "none among its inputs")
  }

  /// Sessions for inputs of any sizes that the file takes, which take the weights over.
  mutating func sessions(_ dimensions: [String: Int], threads: Int?) throws -> ModelSessions {
    let session = try takeSession(threads: threads)
    return try ModelSessions(self, session, threads: threads) { [self] in try LoadedModel(self, dimensions, $0) }
  }

  /// - Throws: `OctetError` (`unsupported`) if weights or activations are quantized already.
  func requireFloat() throws {
    let node = zip(graph.nodes, QuantizedForm(graph).roles).first { node, role in
      switch node.op {
      case .quantizeLinear, .dynamicQuantize: true
      case .recurrent(let payload): payload.activations != nil
      default: role == .parameter
      }
    }?.0
    guard let node else { return }
    throw OctetError(
      .unsupported, path, expected: "a float model", found: "one that is quantized already (node \(node.name))")
  }

  /// The model ready to run, fused.
  func session(threads: Int?) throws -> Session {
    try naming(path) { Session(try Plan(graph.fused()), threads: threads) }
  }

  /// The same, taking the weights over: ``graph`` has none of them afterwards, so that they leave memory while they are
  /// packed.
  mutating func takeSession(threads: Int?) throws -> Session {
    try naming(path) {
      let fused = try graph.fused()
      graph.parameters = [:]
      return Session(try Plan(consume fused), threads: threads)
    }
  }
}

/// Whether a file with this name is written as ONNX.
func isONNX(_ path: String) -> Bool { path.lowercased().hasSuffix(".onnx") }

/// The bytes of a model's file, with those of the files beside it that hold its weights.
func modelBytes(_ path: String) throws -> Int {
  try isONNX(path) ? ONNXModel.byteCount(contentsOf: path) : MappedFile(path).byteCount
}

extension Graph {
  /// An `.onnx` file if the name says so, otherwise a saved model.
  func write(to path: String, as metadata: ONNXMetadata?) throws {
    try withoutInterruption {
      if isONNX(path) {
        try saveONNX(
          to: path, name: metadata?.name ?? "octet", documentation: metadata?.documentation ?? "",
          properties: metadata?.properties ?? [:])
      } else {
        try save(to: path)
      }
    }
  }

  /// This graph with sizes for symbolic dimensions of its inputs.
  fileprivate func fixing(_ dimensions: [String: Int]) throws -> Graph {
    let names = Set(inputs.flatMap(\.type.shape).filter { $0.size == nil }.map(\.description))
    if let stranger = dimensions.keys.filter({ !names.contains($0) }).min() {
      throw OctetError(
        .unknownName, "dimensions", expected: names.isEmpty ? "none" : nearNames(to: stranger, in: names),
        found: stranger)
    }
    var graph = self
    for index in graph.inputs.indices {
      graph.inputs[index].type.shape = graph.inputs[index].type.shape.map { dimension in
        dimensions[dimension.description].map { .fixed($0) } ?? dimension
      }
    }
    return try graph.validated()
  }
}

/// Options of every command that reads a model.
struct ModelOptions: ParsableArguments {
  @Option(
    name: .customLong("dimension"),
    help: ArgumentHelp(
      "A size for a dimension of the inputs that the model leaves open; may be repeated.", valueName: "name=size"))
  var sizes: [String] = []

  var dimensions: [String: Int] {
    Dictionary(sizes.compactMap(Self.parse).map { ($0.name, $0.size) }) { $1 }
  }

  func validate() throws {
    if let wrong = sizes.first(where: { Self.parse($0) == nil }) {
      throw ValidationError("--dimension takes name=size with a size from 1 up, such as N=1, not \(wrong)")
    }
  }

  private static func parse(_ text: String) -> (name: String, size: Int)? {
    guard let sign = text.lastIndex(of: "="), let size = Int(text[text.index(after: sign)...]), size > 0 else {
      return nil
    }
    return (String(text[..<sign]), size)
  }
}

/// Options of every command that runs a model on data.
struct DataOptions: ParsableArguments {
  @Option(
    name: .customLong("inputs"),
    help: ArgumentHelp(
      "One .npz (arrays by input name, first axis = samples), or a folder of .npz (one run each).", valueName: "data"))
  var path: String

  @OptionGroup private var running: RunningOptions

  var batch: Int { running.batch }
  var threads: Int? { running.threads }
}

/// How a model runs on data.
struct RunningOptions: ParsableArguments {
  @Option(help: ArgumentHelp("How many samples of one .npz run at a time.", valueName: "n"))
  var batch = 1

  @Option(help: ArgumentHelp("Threads; all cores if not given.", valueName: "n"))
  var threads: Int?

  func validate() throws {
    guard batch >= 1 else { throw ValidationError("--batch takes a number from 1 up, not \(batch)") }
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads takes a number from 1 to 1024, not \(threads)")
    }
  }
}
