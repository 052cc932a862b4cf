import Foundation
public import OctetCore
import OctetFormats
import SwiftProtobuf

extension Tensor {
  /// Reads a tensor that stands alone in a file, as ONNX's test data do (`input_0.pb`). Types become ours as
  /// ``ONNXModel`` says.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be read, `invalidFile` if it is damaged, `unsupported` for an
  ///   element type that we have nothing for.
  public init(onnx path: String) throws {
    self = try naming(path) {
      let bytes = try MappedFile(path).withUnsafeBytes { Data($0) }
      let proto: Onnx_TensorProto
      do {
        proto = try Onnx_TensorProto(serializedBytes: bytes)
      } catch {
        throw OctetError(.invalidFile, "tensor", expected: "a protocol buffer of ONNX", found: "\(error)")
      }
      return try TensorReader(externalData: nil).tensor(proto, "tensor")
    }
  }
}
