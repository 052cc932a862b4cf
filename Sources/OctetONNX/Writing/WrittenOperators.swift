import OctetCore
import OctetGraph

extension NodeWriter {
  /// Writes the node and returns the names of its results; an empty one for a result that nobody needs.
  func results() throws -> [String] {
    switch node.op {
    case .conv(let op): [try conv(op)]
    case .convTranspose(let op): [try convTranspose(op)]
    case .linear(let op): [try linear(op)]
    case .matmul: [emit("MatMul", [try input(0), try input(1)])]
    case .batchNormalization(let op): [try batchNormalization(op)]
    case .normalize(let op): [try normalize(op)]
    case .unary(let op): [try unary(op)]
    case .clip(let op): [try clipped(input(0), op.minimum, op.maximum)]
    case .prelu(let op): [try prelu(op)]
    case .binary(let op): [try binary(op)]
    case .compare(let op): [try compare(op)]
    case .where: [try select()]
    case .cast(let op): [emit("Cast", [try input(0)], [Attribute.int("to", ElementType(op.dtype).rawValue)])]
    case .softmax(let op):
      [emit(op.isLogarithm ? "LogSoftmax" : "Softmax", [try input(0)], [Attribute.int("axis", op.axis)])]
    case .dropout: [emit("Identity", [try input(0)])]
    case .pool(let op): [try pool(op)]
    case .adaptiveAveragePool(let op): [try adaptiveAveragePool(op)]
    case .resize(let op): [try resize(op)]
    case .concat(let op):
      [emit("Concat", try node.inputs.indices.map(input), [Attribute.int("axis", op.axis)])]
    case .split(let op): try split(op)
    case .slice(let op): [try slice(op)]
    case .gather(let op): [emit("Gather", [try input(0), try input(1)], [Attribute.int("axis", op.axis)])]
    case .positions(let op):
      [
        emit(
          "Range",
          [
            try writer.constant(Tensor(Int64(0)), named: "\(node.name)/start"),
            helper(
              "Gather",
              [
                helper("Shape", [try input(0)]),
                try writer.constant(Tensor(Int64(op.axis)), named: "\(node.name)/axis"),
              ]), try writer.constant(Tensor(Int64(1)), named: "\(node.name)/delta"),
          ])
      ]
    case .reshape(let op): [emit("Reshape", [try input(0), try integers(op.shape, "shape")])]
    case .flatten(let op): [try flatten(op)]
    case .squeeze(let op): [emit("Squeeze", [try input(0), try integers(op.axes, "axes")])]
    case .unsqueeze(let op): [emit("Unsqueeze", [try input(0), try integers(op.axes, "axes")])]
    // A size of 1 is what broadcasting keeps.
    case .expand(let op):
      [emit("Expand", [try input(0), try integers(op.shape.map { $0 == -1 ? 1 : $0 }, "shape")])]
    case .transpose(let op): [emit("Transpose", [try input(0)], [Attribute.ints("perm", op.permutation)])]
    case .pad(let op):
      [emit("Pad", [try input(0), try integers(op.before + op.after, "pads"), try scalar(op.value, "value")])]
    case .reduce(let op): [try reduce(op)]
    case .argmax(let op):
      [
        emit(
          op.smallest ? "ArgMin" : "ArgMax", [try input(0)],
          [Attribute.int("axis", op.axis), Attribute.flag("keepdims", op.keepDimensions)])
      ]
    case .topK(let op):
      emit(
        "TopK", [try input(0), try integers([op.count], "k")],
        [Attribute.int("axis", op.axis), Attribute.flag("largest", op.largest)], outputs: 2)
    case .recurrent(let op): try recurrent(op)
    case .quantizeLinear(let op): [try quantizeLinear(op)]
    case .dequantizeLinear(let op): [try dequantizeLinear(op)]
    case .dynamicQuantize(let op): [try dynamicQuantize(op)]
    case .custom(let op): throw unsupported("function", expected: "an operation of ONNX", found: op.name)
    }
  }
}

extension Graph {
  /// The first operator set, from 17 on, that has what a node is written as.
  func opset(of node: Node) -> Int {
    switch node.op {
    case .unary(.gelu): return 20
    case .normalize(let op):
      if case .group = op.domain { return 21 }
      return 17
    case .pool(let op): return op.kind == .average && op.dilation != 1 ? 19 : 17
    case .quantizeLinear(let op): return op.parameters.opset
    case .dequantizeLinear(let op): return op.parameters.opset
    default: return 17
    }
  }
}

extension QuantizationParameters {
  fileprivate var opset: Int { dtype.bitWidth == 8 && blockSize == nil ? 17 : 21 }
}
