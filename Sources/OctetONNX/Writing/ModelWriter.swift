import Foundation
import OctetCore
import OctetFormats
import OctetGraph

/// A graph as a file, or as two: the model, and its large weights beside it.
struct ModelWriter {
  private let writer: GraphWriter
  private var model = Onnx_ModelProto()

  /// A protocol buffer of more bytes cannot be read; the rest of the model needs some of them.
  private static let mostBytesWithin = (1 << 31) - (1 << 24)

  init(_ graph: Graph, name: String, documentation: String, properties: [String: String]) throws {
    let graph = try graph.removingDropout().withUnsignedSharedWeights()
    writer = GraphWriter(graph)
    model.graph = try writer.write(name: name)
    model.irVersion = Int64(writer.irVersion)
    model.opsetImport = ([("", writer.opset)] + writer.domains.sorted().map { ($0, 1) }).map { domain, version in
      var opset = Onnx_OperatorSetIdProto()
      (opset.domain, opset.version) = (domain, Int64(version))
      return opset
    }
    model.producerName = "octet"
    model.producerVersion = ONNXMetadata.writerVersion
    model.docString = documentation
    model.metadataProps = Onnx_StringStringEntryProto.entries(
      properties.merging(QuantizationSummary(graph).entries) { $1 })
  }

  /// The model in one piece.
  func data() throws -> Data {
    guard writer.byteCount <= Self.mostBytesWithin else {
      throw OctetError(
        .unsupported, "model", expected: "at most 2 GiB of parameters (a file may have more)",
        found: "\(writer.byteCount) bytes")
    }
    return try serialized(writer.initializersWithin())
  }

  private func serialized(_ initializers: [Onnx_TensorProto]) throws -> Data {
    var model = self.model
    model.graph.initializer = initializers
    do {
      return try model.serializedData()
    } catch {
      throw OctetError(.unsupported, "model", expected: "what a protocol buffer holds", found: "\(error)")
    }
  }

  func write(to path: String, largestFile: Int) throws {
    // Both files lie behind the link, if there is one.
    let path = try followingLinks(path)
    guard writer.byteCount > min(largestFile, Self.mostBytesWithin) else {
      let data = try data()
      try writeWhole(to: path) { file in try data.withUnsafeBytes { try file.write($0) } }
      removeWeights(beside: path, except: nil)
      return
    }
    let fileName = path.split(separator: "/").last.map(String.init) ?? path
    // The name does not change what lies where.
    let contents = writer.initializers(beside: "").file
    let location = "\(fileName).\(Self.digest(contents)).data"
    let weights = path.dropLast(fileName.count) + location
    let isNew = !FileManager.default.fileExists(atPath: String(weights))
    do {
      try writeWhole(to: String(weights)) { file in
        for (offset, content) in contents {
          try file.write([UInt8](repeating: 0, count: offset - file.byteCount))
          try content.withUnsafeBytes { try file.write($0) }
        }
      }
      let data = try serialized(writer.initializers(beside: location).protos)
      try writeWhole(to: path) { file in try data.withUnsafeBytes { try file.write($0) } }
    } catch {
      if isNew { try? FileManager.default.removeItem(atPath: String(weights)) }
      throw error
    }
    removeWeights(beside: path, except: location)
  }

  /// Removes weights of a model that has been replaced. (Whoever has them open keeps them.)
  private func removeWeights(beside path: String, except location: String?) {
    let fileName = path.split(separator: "/").last.map(String.init) ?? path
    let folder = String(path.dropLast(fileName.count))
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
    for file in files where file != location && file.hasPrefix("\(fileName).") {
      guard file.dropFirst(fileName.count).wholeMatch(of: #/\.[0-9a-f]{16}\.data/#) != nil else { continue }
      try? FileManager.default.removeItem(atPath: folder + file)
    }
  }

  /// Of what the file holds, by words of eight bytes, after FNV-1a.
  private static func digest(_ contents: [(offset: Int, content: Tensor)]) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ word: UInt64) {
      hash = (hash ^ word) &* 0x100_0000_01b3
      // A product carries upwards only.
      hash ^= hash >> 32
    }
    for (offset, content) in contents {
      add(UInt64(offset))
      content.withUnsafeBytes { bytes in
        let words = bytes.count / 8
        for index in 0..<words { add(bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)) }
        for byte in bytes[(words * 8)...] { add(UInt64(byte)) }
      }
    }
    let text = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
}
