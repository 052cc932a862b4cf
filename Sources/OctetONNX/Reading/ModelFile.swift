import Foundation
import OctetCore
import OctetFormats
import SwiftProtobuf

/// A parsed model, and the folder where its weights may lie.
final class ModelFile {
  private(set) var model: Onnx_ModelProto
  let externalData: ExternalData?

  init(_ path: String) throws {
    let file = try MappedFile(path)
    guard file.byteCount > 0 else {
      throw OctetError(.invalidFile, "model", expected: "a protocol buffer", found: "an empty file")
    }
    model = try file.withUnsafeBytes { try Self.parse($0, consumed: file.release) }
    externalData = ExternalData(modelPath: path)
  }

  init(bytes: [UInt8]) throws {
    model = try bytes.withUnsafeBytes { try Self.parse($0) { _ in } }
    externalData = nil
  }

  /// The tensors of the graph, which the model does not have afterwards: who reads them can let go of them one by one.
  func takeInitializers() -> [Onnx_TensorProto] {
    defer { model.graph.initializer = [] }
    return model.graph.initializer
  }

  /// `consumed` is told which bytes are not needed any more.
  private static func parse(
    _ bytes: UnsafeRawBufferPointer, consumed: (Range<Int>) -> Void
  ) throws -> Onnx_ModelProto {
    do {
      do {
        return try parseInParts(bytes, consumed: consumed)
      } catch is WireFields.Indivisible {
        return try Onnx_ModelProto(serializedBytes: data(bytes, 0..<bytes.count))
      }
    } catch {
      throw OctetError(.invalidFile, "model", expected: "a protocol buffer of ONNX", found: "other bytes")
    }
  }

  /// A message is the sum of its fields: those of a graph are parsed some at a time, so that large weights need not lie
  /// in memory twice, here and in all of the file.
  private static func parseInParts(
    _ bytes: UnsafeRawBufferPointer, consumed: (Range<Int>) -> Void
  ) throws -> Onnx_ModelProto {
    let graphField: UInt64 = 7
    let partSize = 1 << 20
    var model = Onnx_ModelProto()
    var graph: Onnx_GraphProto?
    var fields = WireFields(of: bytes, in: 0..<bytes.count)
    while let run = try fields.next(upTo: partSize, single: graphField) {
      guard run.number == graphField, let contents = run.contents else {
        try model.merge(serializedBytes: data(bytes, run.range))
        continue
      }
      var merged = graph.take() ?? Onnx_GraphProto()
      var parts = WireFields(of: bytes, in: contents)
      while let part = try parts.next(upTo: partSize) {
        try merged.merge(serializedBytes: data(bytes, part.range))
        consumed(part.range)
      }
      graph = merged
    }
    if let graph { model.graph = graph }
    return model
  }

  /// Not copied: parsing takes out of it what it keeps.
  private static func data(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Data {
    guard !range.isEmpty, let base = bytes.baseAddress else { return Data() }
    return Data(
      bytesNoCopy: UnsafeMutableRawPointer(mutating: base + range.lowerBound), count: range.count, deallocator: .none)
  }
}
