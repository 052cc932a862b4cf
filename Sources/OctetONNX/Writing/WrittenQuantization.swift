import OctetCore
import OctetGraph

extension NodeWriter {
  func quantizeLinear(_ op: Op.QuantizeLinear) throws -> String {
    let parameters = op.parameters
    var x = try input(0)
    // ONNX's integers end where their type ends.
    if parameters.range != parameters.dtype.quantizedRange { x = try clippedToRange(x, parameters) }
    let (scale, zero) = try writer.initializers(parameters, of: nil, shape: type(0).shape, named: value(0)!)
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
    let integers = try input(0)
    return try dequantized(
      integers, op.parameters, isWeight: writer.storedWeight(node) != nil, shape: type(0).shape, named: value(0)!)
  }

  func dequantized(
    _ integers: String, _ parameters: QuantizationParameters, isWeight: Bool = true, shape: [Dimension],
    named base: String
  ) throws -> String {
    let (scale, zero) = try writer.initializers(
      parameters, of: isWeight ? integers : nil, shape: shape, named: base)
    return emit("DequantizeLinear", [integers, scale, zero], attributes(parameters))
  }

  /// ONNX finds one scale for a whole tensor, over all of 0…255.
  func requireWritable(_ op: Op.DynamicQuantize) throws {
    guard op == Op.DynamicQuantize() else {
      throw unsupported("activations", expected: Op.DynamicQuantize().attributes, found: op.attributes)
    }
  }

  // MARK: - Constants in integers

  /// The bias of an integer convolution or linear layer: int32 in units of `scale of x · scale of the weight`, which is
  /// what integer kernels add to their sums. A bias stays real where that unit is too coarse for the result's scale, or
  /// too fine for 32 bits (channels of tiny weights).
  func bias() throws -> String {
    guard let scales = try biasScales() else { return try input(2) }
    let name = value(2)!
    let integers = zip(try parameter(2)!.scalars(as: Float.self), scales).map { bias, scale in
      Int32((bias / scale).rounded(.toNearestOrEven))
    }
    let shape = [scales.count]
    let stored = try writer.constant(Tensor(integers, shape: shape), named: "\(name)_quantized")
    let scale = try writer.constant(Tensor(scales, shape: shape), named: "\(name)_quantized_scale")
    return helper("DequantizeLinear", [stored, scale], [Attribute.int("axis", 0)])
  }

  /// The unit of each channel's bias if all of them do; `nil` otherwise.
  private func biasScales() throws -> [Float]? {
    guard let bias = try parameter(2)?.scalars(as: Float.self), let x = writer.activationParameters(value(0)!),
      let weight = writer.quantizedWeight(value(1)!), weight.parameters.isPerTensor || weight.parameters.axis == 0,
      weight.parameters.blockSize == nil,
      let result = writer.resultScale(node.outputs[0])
    else { return nil }
    let scales = bias.indices.map { x.scales[0] * weight.parameters.scales[weight.parameters.isPerTensor ? 0 : $0] }
    // An error of half a unit is at most 1/32 of a step.
    let fits = zip(bias, scales).allSatisfy { bias, scale in
      scale >= .leastNormalMagnitude && abs(bias / scale) <= 0x1p30 && scale <= result / 16
    }
    return fits ? scales : nil
  }

  /// Sums, differences and products. Beside integers one number becomes an integer too, exactly: one step of its own
  /// size. (ONNX Runtime has integer kernels where both operands are dequantized.)
  func binary(_ op: Op.Binary) throws -> String {
    for place in 0..<2 {
      guard let tensor = parameter(place), tensor.shape.allSatisfy({ $0 == 1 }), tensor.dtype == .float32,
        type(1 - place) == resultType,
        let x = writer.activationParameters(value(1 - place)!), writer.resultScale(node.outputs[0]) != nil
      else { continue }
      var number = try tensor.item(as: Float.self)
      var function = op
      if op == .sub, place == 1 { (function, number) = (.add, -number) }
      guard function == .add || function == .mul, number.isFinite, number != 0 else { continue }
      let isNegative = number < 0 && x.dtype == .uint8
      let parameters = try QuantizationParameters(scale: abs(number), zeroPoint: isNegative ? 1 : 0, dtype: x.dtype)
      let one = try quantize(Tensor(number), parameters)
      let stored = try writer.constant(one, named: "\(value(place)!)_quantized")
      let (scale, zero) = try writer.initializers(parameters, of: nil, shape: [], named: value(place)!)
      let operand = helper("DequantizeLinear", [stored, scale, zero])
      let other = try input(1 - place)
      return emit(function.operatorName, place == 0 ? [operand, other] : [other, operand])
    }
    return emit(op.operatorName, [try input(0), try input(1)])
  }

  private func attributes(_ parameters: QuantizationParameters) -> [Onnx_AttributeProto] {
    var attributes: [Onnx_AttributeProto] = []
    if let axis = parameters.axis { attributes.append(Attribute.int("axis", axis)) }
    if let size = parameters.blockSize { attributes.append(Attribute.int("block_size", size)) }
    return attributes
  }

  /// The integers are for layers that multiply them; all others read them dequantized.
  func dynamicQuantize(_ op: Op.DynamicQuantize) throws -> String {
    try requireWritable(op)
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
