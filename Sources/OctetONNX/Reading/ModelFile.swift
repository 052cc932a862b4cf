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
    model = try file.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else {
        throw OctetError(.invalidFile, "model", expected: "a protocol buffer", found: "an empty file")
      }
      // Not copied: parsing takes out of it what it keeps.
      return try Self.parse(
        Data(bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: bytes.count, deallocator: .none))
    }
    externalData = ExternalData(modelPath: path)
  }

  init(bytes: [UInt8]) throws {
    model = try Self.parse(Data(bytes))
    externalData = nil
  }

  /// The tensors of the graph, which the model does not have afterwards: who reads them can let go of them one by one.
  func takeInitializers() -> [Onnx_TensorProto] {
    defer { model.graph.initializer = [] }
    return model.graph.initializer
  }

  private static func parse(_ data: Data) throws -> Onnx_ModelProto {
    do {
      return try Onnx_ModelProto(serializedBytes: data)
    } catch {
      throw OctetError(.invalidFile, "model", expected: "a protocol buffer of ONNX", found: "other bytes")
    }
  }
}
