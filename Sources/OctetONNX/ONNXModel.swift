public import OctetCore
import OctetFormats
public import OctetGraph

/// A network from an `.onnx` file: its graph in Octet's operations, and what the file says of itself.
///
///     let model = try ONNXModel(contentsOf: "detector.onnx", dimensions: ["height": 480, "width": 640])
///     let outputs = try Session(Plan(model.graph.fused())).run(["image": image])
///
/// Operator sets 7 to 24 are read, each operator as its version defines it. Names of inputs, outputs and nodes are kept. What
/// only depends on constants and shapes (arithmetic with sizes, a chosen branch of an `If`) is computed while reading.
///
/// Element types that Octet lacks become the nearest ones it has: float16, bfloat16 and double float32, uint32 and uint64
/// int64; the graph computes in float32, and has inputs and outputs of these types.
public struct ONNXModel: Sendable {
  public let graph: Graph
  public let metadata: ONNXMetadata

  /// Reads the file at `path`. Weights in files beside it are found if they lie below its folder.
  ///
  /// - Parameters:
  ///   - dimensions: sizes for symbolic dimensions, by name. A dimension without a name is called after its input and
  ///     axis: `x.2`.
  ///   - constants: values for inputs, which the graph then does not have; what depends on them alone is computed while
  ///     reading.
  /// - Throws: `OctetError`: `fileAccess` if a file cannot be read; `invalidFile` if the file is damaged or breaks ONNX's
  ///   rules; `unsupported` if Octet lacks something that the outputs need: the error names the first such node and lists
  ///   everything that is lacking; `unknownName` if there is no such dimension or input. The subject names file and node.
  public init(contentsOf path: String, dimensions: [String: Int] = [:], constants: [String: Tensor] = [:]) throws {
    self = try naming(path) {
      try ONNXModel(ModelFile(path), dimensions: dimensions, constants: constants)
    }
  }

  /// Reads a model from memory, which has no folder for weights in other files. Otherwise as
  /// ``init(contentsOf:dimensions:constants:)``.
  public init(bytes: [UInt8], dimensions: [String: Int] = [:], constants: [String: Tensor] = [:]) throws {
    try self.init(ModelFile(bytes: bytes), dimensions: dimensions, constants: constants)
  }

  /// The inputs that a file declares and that have no default, read without its nodes.
  ///
  /// - Throws: `OctetError` as ``init(contentsOf:dimensions:constants:)``.
  package static func inputs(contentsOf path: String, dimensions: [String: Int] = [:]) throws -> [Graph.Input] {
    try naming(path) { try GraphReader(ModelFile(path), dimensions: dimensions, constants: [:]).declaredInputs() }
  }

  /// The names of the inputs that have no default.
  package static func inputNames(of bytes: [UInt8]) throws -> [String] {
    let graph = try ModelFile(bytes: bytes).model.graph
    let defaults = Set(graph.initializer.map(\.name))
    return graph.input.map(\.name).filter { !defaults.contains($0) }
  }

  /// Every operator that can be read: `Conv`, `com.microsoft.QGemm`.
  package static var operators: Set<String> { Operator.names }

  /// The operators of a model's own nodes.
  package static func operators(in bytes: [UInt8]) throws -> Set<String> {
    Set(
      try ModelFile(bytes: bytes).model.graph.node.map {
        let domain = Operator.canonical(domain: $0.domain)
        return domain.isEmpty ? $0.opType : "\(domain).\($0.opType)"
      })
  }

  /// The bytes of a file, and of the files with weights that it names.
  package static func byteCount(contentsOf path: String) throws -> Int {
    let file = try ModelFile(path)
    let external = file.model.graph.initializer.compactMap { tensor in
      tensor.externalData.first { $0.key == "location" }?.value
    }
    return try MappedFile(path).byteCount
      + Set(external).reduce(0) { try $0 + (file.externalData?.file($1).byteCount ?? 0) }
  }

  /// Why inputs or outputs of a model cannot be had: of a type that Octet lacks.
  package static func unreadableType(in bytes: [UInt8]) throws -> OctetError? {
    let graph = try ModelFile(bytes: bytes).model.graph
    for value in graph.input + graph.output {
      guard case .tensorType(let tensor) = value.type.value else {
        return OctetError(.unsupported, value.name, expected: "a tensor", found: "another type")
      }
      do {
        _ = try ElementType(number: Int(tensor.elemType), value.name).requireDType(value.name)
      } catch let error as OctetError where error.code == .unsupported {
        return error
      }
    }
    return nil
  }

  private init(_ file: ModelFile, dimensions: [String: Int], constants: [String: Tensor]) throws {
    metadata = try ONNXMetadata(file.model)
    let reader = GraphReader(file, dimensions: dimensions, constants: constants)
    graph = try reader.graph(opsets: metadata.opsets)
  }
}

extension Graph {
  /// The graph of an `.onnx` file: see ``ONNXModel/init(contentsOf:dimensions:constants:)``.
  public init(onnx path: String, dimensions: [String: Int] = [:]) throws {
    self = try ONNXModel(contentsOf: path, dimensions: dimensions).graph
  }
}
