import OctetCore
import OctetFormats
public import OctetGraph

import struct Foundation.Data

extension Graph {
  /// Writes the graph as an `.onnx` file, whole or not at all.
  ///
  ///     let (quantized, report) = try prepared.convert()
  ///     try quantized.saveONNX(to: "detector-int8.onnx")
  ///
  /// Names of inputs, outputs, nodes and parameters are kept, and symbolic dimensions. The operator set is 17, or the
  /// first that has everything the graph needs: 20 for GELU, 21 for integers of 4 or 16 bits, scales for blocks and
  /// group normalization.
  ///
  /// What is fused is written as its parts, quantization as ONNX's tools have it: QuantizeLinear and DequantizeLinear
  /// around each operation, weights as integers behind a DequantizeLinear; DynamicQuantizeLinear and MatMulInteger
  /// where a layer quantizes its operand while it runs. ONNX Runtime makes integer operations of both. Where ONNX has
  /// less than Octet, the file is the nearest that it has:
  ///
  /// * scales for each row of an operand become one for the whole operand;
  /// * a dynamic LSTM or GRU has integer weights and computes in float;
  /// * biases are float, as they are here (ONNX Runtime rounds them for its integer kernels itself).
  ///
  /// - Parameters:
  ///   - name: the name of the graph in the file.
  ///   - documentation: free text.
  ///   - properties: free entries by key. `octet.activations`, `octet.weights` and `octet.dynamic` are added: what was
  ///     quantized how.
  /// - Throws: `OctetError`: `unsupported`, naming the node, for what ONNX cannot say (a projection in an LSTM, average
  ///   pooling to a size that does not divide the image), or if the file would be larger than 2 GiB; `fileAccess` if it
  ///   cannot be written.
  public func saveONNX(
    to path: String, name: String = "octet", documentation: String = "", properties: [String: String] = [:]
  ) throws {
    let data = try onnxData(name: name, documentation: documentation, properties: properties)
    try writeWhole(to: path) { file in try data.withUnsafeBytes { try file.write($0) } }
  }

  /// What ``saveONNX(to:name:documentation:properties:)`` writes, for ``ONNXModel/init(bytes:dimensions:constants:)``.
  ///
  /// - Throws: the same, apart from `fileAccess`.
  public func onnxBytes(
    name: String = "octet", documentation: String = "", properties: [String: String] = [:]
  ) throws -> [UInt8] {
    Array(try onnxData(name: name, documentation: documentation, properties: properties))
  }

  private func onnxData(name: String, documentation: String, properties: [String: String]) throws -> Data {
    let writer = GraphWriter(self)
    var model = Onnx_ModelProto()
    model.graph = try writer.write(name: name)
    model.irVersion = writer.opset > 20 ? 10 : (writer.opset > 19 ? 9 : 8)
    var opset = Onnx_OperatorSetIdProto()
    opset.domain = ""
    opset.version = Int64(writer.opset)
    model.opsetImport = [opset]
    model.producerName = "octet"
    model.producerVersion = ONNXMetadata.writerVersion
    model.docString = documentation
    let entries = properties.merging(QuantizationSummary(self).entries) { $1 }
    model.metadataProps = entries.sorted { $0.key < $1.key }.map { key, value in
      var entry = Onnx_StringStringEntryProto()
      (entry.key, entry.value) = (key, value)
      return entry
    }
    do {
      return try model.serializedData()
    } catch {
      throw OctetError(.unsupported, "model", expected: "what a protocol buffer holds", found: "\(error)")
    }
  }
}

extension ONNXMetadata {
  /// The version that files written here name as their producer's.
  static let writerVersion = "0.1.0"
}
