import OctetCore
import OctetFormats
public import OctetGraph

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
  /// * a dynamic LSTM is ONNX Runtime's DynamicQuantizeLSTM where that means the same; any other one and a GRU have integer
  ///   weights and an entry in the node's metadata (`octet.dynamic`), by which Octet computes in integers, others in float;
  /// * the biases of integer layers are int32 in units of the product of their scales, as integer kernels add them,
  ///   wherever that is at most 1/32 of a step away; here they are float.
  ///
  /// A file cannot hold more than 2 GiB. Of a larger model the weights stand in a file beside it, whose name begins with
  /// the model's, ends in `.data` and says what it holds (`net.onnx.5be1f3a2c0d94e77.data`): the model is put in its
  /// place when its weights are complete, and one that was there before keeps its own until then.
  ///
  /// - Parameters:
  ///   - name: the name of the graph in the file.
  ///   - documentation: free text.
  ///   - properties: free entries by key. `octet.activations`, `octet.weights` and `octet.dynamic` are added: what was
  ///     quantized how.
  ///   - largestFile: how many bytes of weights a model without a file beside it may have.
  /// - Throws: `OctetError`: `unsupported`, naming the node, for what ONNX cannot say (a projection in an LSTM, average
  ///   pooling to a size that does not divide the image, scales for each row that are found while running);
  ///   `fileAccess` if it cannot be written.
  public func saveONNX(
    to path: String, name: String = "octet", documentation: String = "", properties: [String: String] = [:],
    largestFile: Int = (1 << 31) - (1 << 24)
  ) throws {
    let writer = try ModelWriter(self, name: name, documentation: documentation, properties: properties)
    try writer.write(to: path, largestFile: largestFile)
  }

  /// What ``saveONNX(to:name:documentation:properties:largestFile:)`` writes, for
  /// ``ONNXModel/init(bytes:dimensions:constants:)``.
  ///
  /// - Throws: the same, apart from `fileAccess`; `unsupported` for more than 2 GiB.
  public func onnxBytes(
    name: String = "octet", documentation: String = "", properties: [String: String] = [:]
  ) throws -> [UInt8] {
    Array(try ModelWriter(self, name: name, documentation: documentation, properties: properties).data())
  }
}

extension ONNXMetadata {
  /// The version that files written here name as their producer's.
  static let writerVersion = "0.1.0"
}
