import Foundation
import OctetCore
public import OctetGraph

// A saved model is a safetensors file: the parameters as its tensors, the graph as JSON in its metadata.

private let graphKey = "octet.graph"
private let formatVersion = 1

extension Graph {
  /// Writes the graph and its parameters to one file, whole or not at all. The same graph gives the same bytes.
  ///
  /// - Throws: `OctetError` (`fileAccess`) if the file cannot be written.
  public func save(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .octet
    var tensors = parameters.mapValues(\.value)
    let record = try GraphRecord(self, storingIn: &tensors)
    let json = String(decoding: try encoder.encode(record), as: UTF8.self)
    try SafetensorsFile.write(tensors, metadata: [graphKey: json], to: path)
  }

  /// Reads a graph that ``save(to:)`` has written.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be read, `invalidFile` if it is damaged, `unsupported` if a
  ///   newer version of Octet wrote it. The subject names file and field.
  public init(contentsOf path: String) throws {
    let file = try SafetensorsFile(contentsOf: path)
    self = try naming(path) {
      guard let json = file.metadata[graphKey] else {
        throw OctetError(
          .invalidFile, "__metadata__", expected: "a graph (the entry \(graphKey), as Graph.save(to:) writes it)",
          found: "parameters alone")
      }
      return try naming(graphKey) { try Self.decode(Data(json.utf8), file.tensors) }
    }
  }

  private static func decode(_ json: Data, _ tensors: [String: Tensor]) throws -> Graph {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .octet
    do {
      return try explainingDecoding("graph") {
        let version = try decoder.decode(VersionRecord.self, from: json).version
        guard version == formatVersion else {
          throw OctetError(.unsupported, "version", expected: "\(formatVersion)", found: "\(version)")
        }
        return try decoder.decode(GraphRecord.self, from: json).graph(tensors)
      }
    } catch let error as OctetError {
      // Whatever the contents break, it is the file that is at fault.
      throw error.code == .unsupported
        ? error : OctetError(.invalidFile, error.subject, expected: error.expected, found: error.found)
    } catch {
      throw OctetError(.invalidFile, "JSON", expected: "a well-formed object", found: "\(error)")
    }
  }
}

private struct VersionRecord: Codable {
  let version: Int
}

private struct GraphRecord: Codable {
  struct Input: Codable {
    let name: String
    let dtype: DType
    let shape: [DimensionRecord]
  }

  struct Output: Codable {
    let name: String
    let value: String
  }

  struct Node: Codable {
    let name: String
    let op: OpRecord
    let inputs: [String?]
    let outputs: [String]
    let modules: [String]
    /// What `op`, which has the first scale alone, does not say of parameters by channel.
    let channels: ChannelsRecord?
  }

  let version: Int
  let inputs: [Input]
  let nodes: [Node]
  let outputs: [Output]

  /// - Parameter tensors: those of the file, to which scales and zero points by channel are added.
  init(_ graph: Graph, storingIn tensors: inout [String: Tensor]) throws {
    version = formatVersion
    inputs = graph.inputs.map {
      Input(name: $0.name, dtype: $0.type.dtype, shape: $0.type.shape.map(DimensionRecord.init))
    }
    nodes = try graph.nodes.map { node in
      var op = node.op
      let channels = try ChannelsRecord(takenFrom: &op, of: node.name, storingIn: &tensors)
      return Node(
        name: node.name, op: OpRecord(op: op), inputs: node.inputs, outputs: node.outputs, modules: node.modules,
        channels: channels)
    }
    outputs = graph.outputs.map { Output(name: $0.name, value: $0.value) }
  }

  func graph(_ tensors: [String: Tensor]) throws -> Graph {
    let stored = Set(nodes.flatMap { [$0.channels?.scales, $0.channels?.zeroPoints].compactMap { $0 } })
    return try Graph(
      inputs: inputs.map {
        Graph.Input(name: $0.name, type: TensorType($0.dtype, $0.shape.map(\.dimension)))
      },
      nodes: nodes.map { node in
        OctetGraph.Node(
          name: node.name,
          op: try node.channels.map { channels in try naming(node.name) { try channels.op(node.op.op, tensors) } }
            ?? node.op.op,
          inputs: node.inputs, outputs: node.outputs, modules: node.modules)
      },
      outputs: outputs.map { Graph.Output(name: $0.name, value: $0.value) },
      parameters: tensors.filter { !stored.contains($0.key) }
        .mapValues { Parameter($0, isTrainable: $0.dtype == .float32) })
  }
}

/// A dimension as a number or a name.
private struct DimensionRecord: Codable {
  let dimension: OctetCore.Dimension

  init(_ dimension: OctetCore.Dimension) { self.dimension = dimension }

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let size = try? value.decode(Int.self) {
      guard size >= 0 else {
        throw DecodingError.dataCorruptedError(in: value, debugDescription: "a negative dimension")
      }
      dimension = .fixed(size)
    } else {
      dimension = .symbolic(try value.decode(String.self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var value = encoder.singleValueContainer()
    switch dimension {
    case .fixed(let size): try value.encode(size)
    case .symbolic(let name): try value.encode(name)
    }
  }
}

extension JSONEncoder.NonConformingFloatEncodingStrategy {
  fileprivate static var octet: Self { .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan") }
}

extension JSONDecoder.NonConformingFloatDecodingStrategy {
  fileprivate static var octet: Self {
    .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  }
}
