import OctetCore
import OctetGraph

extension NodeWriter {
  func quantizeLinear(_ op: Op.QuantizeLinear) throws -> String {
    let parameters = op.parameters
    var x = try input(0)
    // ONNX's integers end where their type ends.
    if parameters.range != parameters.dtype.quantizedRange { x = try clippedToRange(x, parameters) }
    let (scale, zero) = try writer.initializers(parameters, shape: type(0).shape, named: value(0)!)
    return emit("QuantizeLinear", [x, scale, zero], attributes(parameters))
  }

  private func clippedToRange(_ x: String, _ parameters: QuantizationParameters) throws -> String {
    guard parameters.isPerTensor else {
      throw unsupported("range", expected: "all of \(parameters.dtype.rawValue)", found: parameters.range)
    }
    let (scale, zero) = (parameters.scales[0], parameters.zeroPoints[0])
    return helper(
      "Clip",
      [
        x, try scalar(scale * Float(parameters.range.lowerBound - zero), "min"),
        try scalar(scale * Float(parameters.range.upperBound - zero), "max"),
      ])
  }

  func dequantizeLinear(_ op: Op.DequantizeLinear) throws -> String {
    try dequantized(input(0), op.parameters, shape: type(0).shape, named: value(0)!)
  }

  func dequantized(
    _ integers: String, _ parameters: QuantizationParameters, shape: [Dimension], named base: String
  ) throws -> String {
    let (scale, zero) = try writer.initializers(parameters, shape: shape, named: base)
    return emit("DequantizeLinear", [integers, scale, zero], attributes(parameters))
  }

  private func attributes(_ parameters: QuantizationParameters) -> [Onnx_AttributeProto] {
    var attributes: [Onnx_AttributeProto] = []
    if let axis = parameters.axis { attributes.append(Attribute.int("axis", axis)) }
    if let size = parameters.blockSize { attributes.append(Attribute.int("block_size", size)) }
    return attributes
  }

  /// The integers are for layers that multiply them; all others read them dequantized.
  func dynamicQuantize() throws -> String {
    let value = node.outputs[0]
    let results = emit("DynamicQuantizeLinear", [try input(0)], outputs: 3)
    let names = GraphWriter.DynamicNames(integers: results[0], scale: results[1], zeroPoint: results[2])
    writer.setDynamic(value, names)
    let areIntegers = writer.users(of: value)?.allSatisfy { user in
      NodeWriter(node: user, writer: writer).dynamicWeight != nil && user.inputs.filter { $0 == value }.count == 1
    }
    return areIntegers == true ? "" : emit("DequantizeLinear", results)
  }
}
