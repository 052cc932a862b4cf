import OctetCore
import OctetGraph

// Convolutions, products and what is fused into them.

extension NodeWriter {
  func conv(_ op: Op.Convolution) throws -> String {
    let window = try Window(self, op.stride, op.padding, op.dilation)
    var value = emit(
      "Conv", [try input(0), try input(1), try bias()], window.attributes + [Attribute.int("group", op.groups)])
    if self.value(3) != nil { value = emit("Add", [value, try input(3)]) }
    return try activated(value, op.activation)
  }

  func convTranspose(_ op: Op.ConvTranspose) throws -> String {
    let window = try Window(self, op.stride, op.padding, op.dilation)
    let more = window.axes == 1 ? [op.outputPadding.width] : [op.outputPadding.height, op.outputPadding.width]
    let value = emit(
      "ConvTranspose", [try input(0), try input(1), try input(2)],
      window.attributes + [Attribute.int("group", op.groups), Attribute.ints("output_padding", more)])
    return try activated(value, op.activation)
  }

  /// Gemm with the weight as it is; a product with the transposed weight for operands of other ranks, for scales of
  /// blocks and for operands that are quantized while the network runs: those forms have integer kernels in ONNX
  /// Runtime.
  func linear(_ op: Op.Linear) throws -> String {
    let product: String
    if let weight = dynamicWeight {
      product = try dynamicProduct(weight)
    } else if isGemm {
      return try activated(
        emit("Gemm", [try input(0), try input(1), try bias()], [Attribute.int("transB", 1)]), op.activation)
    } else {
      product = emit("MatMul", [try input(0), try transposedWeight()])
    }
    return try activated(self.value(2) == nil ? product : emit("Add", [product, try input(2)]), op.activation)
  }

  /// Whether a linear layer is written as a Gemm.
  private var isGemm: Bool {
    guard type(0).rank == 2, dynamicWeight == nil else { return false }
    return writer.quantizedWeight(value(1)!)?.parameters.blockSize == nil
  }

  /// The integers of a linear layer's weight, if it multiplies them with what is quantized while the network runs.
  var dynamicWeight: GraphWriter.QuantizedWeight? {
    guard case .linear = node.op, let x = value(0), case .dynamicQuantize = writer.producer(of: x)?.op,
      let weight = writer.quantizedWeight(value(1)!), weight.parameters.dtype.bitWidth == 8,
      weight.parameters.blockSize == nil, weight.parameters.axis.map({ $0 == 0 || $0 == -2 }) ?? true
    else { return nil }
    return weight
  }

  /// Whether only linear layers use a value, as their weight in transposed form.
  private func isOnlyTransposed(_ value: String) -> Bool {
    guard let users = writer.users(of: value) else { return false }
    return users.allSatisfy { user in
      guard case .linear = user.op, user.inputs[0] != value, user.inputs[1] == value,
        user.inputs.count < 3 || user.inputs[2] != value
      else { return false }
      return !NodeWriter(node: user, writer: writer).isGemm
    }
  }

  private func transposedWeight() throws -> String {
    let name = value(1)!
    if let weight = parameter(1) {
      return try writer.transposed(name, isOnlyForm: isOnlyTransposed(name)) {
        try apply(.transpose(Op.Transpose([1, 0])), [weight])[0]
      }
    }
    guard let weight = writer.quantizedWeight(name) else {
      return helper("Transpose", [try input(1)], [Attribute.ints("perm", [1, 0])])
    }
    let (stored, parameters) = try transposed(weight)
    return try NodeWriter(node: writer.producer(of: name)!, writer: writer)
      .dequantized(stored, parameters, shape: type(1).shape.reversed(), named: weight.name)
  }

  private func transposed(
    _ weight: GraphWriter.QuantizedWeight
  ) throws -> (name: String, parameters: QuantizationParameters) {
    let (integers, parameters) = try weight.parameters.transposed(weight.integers)
    let isOnlyForm = isOnlyTransposed(value(1)!) && writer.users(of: weight.name)?.count == 1
    return (try writer.transposed(weight.name, isOnlyForm: isOnlyForm) { integers }, parameters)
  }

  /// `Cast(MatMulInteger(q, w, z)) · (s · sw)`, where q, s and z are what DynamicQuantizeLinear makes of the operand.
  private func dynamicProduct(_ weight: GraphWriter.QuantizedWeight) throws -> String {
    let (stored, parameters) = try transposed(weight)
    let x = writer.dynamic(value(0)!)!
    let (scale, zero) = try writer.initializers(
      parameters, of: stored, shape: type(1).shape.reversed(), named: weight.name)
    let sums = emit("MatMulInteger", [x.integers, stored, x.zeroPoint, parameters.hasZeroZeroPoints ? "" : zero])
    let real = emit("Cast", [sums], [Attribute.int("to", ElementType.float.rawValue)])
    return emit("Mul", [real, helper("Mul", [x.scale, scale])])
  }

  func activated(_ value: String, _ activation: Activation?) throws -> String {
    switch activation {
    case nil: value
    case .relu: emit("Relu", [value])
    case .clip(let minimum, let maximum): try clipped(value, minimum, maximum)
    }
  }

  /// Limits that no number passes are left out.
  func clipped(_ value: String, _ minimum: Float, _ maximum: Float) throws -> String {
    let low = minimum > -.infinity ? try scalar(minimum, "min") : ""
    let high = maximum < .infinity ? try scalar(maximum, "max") : ""
    return emit("Clip", [value, low, high])
  }
}

/// The attributes of windows that move over one or two axes.
struct Window {
  let axes: Int
  let attributes: [Onnx_AttributeProto]

  /// - Parameter kernel: `nil`: that of the weight, which is operand 1.
  init(
    _ node: NodeWriter, _ stride: Size2D, _ padding: Padding2D, _ dilation: Size2D, kernel: Size2D? = nil
  ) throws {
    let axes = node.type(0).rank - 2
    func numbers(_ size: Size2D) -> [Int] { axes == 1 ? [size.width] : [size.height, size.width] }
    let shape =
      try kernel.map(numbers)
      ?? node.type(1).shape[2...].map { size in
        guard let size = size.size else {
          throw node.unsupported("weight", expected: "a fixed shape", found: node.type(1))
        }
        return size
      }
    self.axes = axes
    attributes = [
      Attribute.ints("kernel_shape", shape), Attribute.ints("strides", numbers(stride)),
      Attribute.ints(
        "pads", numbers(Size2D(padding.top, padding.left)) + numbers(Size2D(padding.bottom, padding.right))),
      Attribute.ints("dilations", numbers(dilation)),
    ]
  }
}
