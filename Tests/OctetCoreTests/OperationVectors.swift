import OctetCore
import TestSupport

/// The cases of operations.safetensors, computed by the public functions.
enum OperationVectors {
  static let cases = (try? VectorCase.load("operations")) ?? []

  /// Operands that are not inputs of the network, and so are never traced.
  static let weights: Set<String> = ["weight", "bias", "running_mean", "running_var"]

  /// The result of a case; `replacing` operands first. `nil`: the operation is not known here.
  static func compute(_ test: VectorCase, replacing: [String: Tensor] = [:]) throws -> Tensor? {
    func tensor(_ name: String) throws -> Tensor { try replacing[name] ?? test.tensor(name) }
    func size(_ name: String) throws -> Size2D {
      let values = try test.ints(name)
      return Size2D(values[0], values[1])
    }
    func bias() throws -> Tensor? { try test.bool("bias") ? try tensor("bias") : nil }
    switch try test.string("op") {
    case "conv2d":
      return try conv2d(
        tensor("x"), weight: tensor("weight"), bias: bias(), stride: size("stride"),
        padding: Padding2D(size("padding")),
        dilation: size("dilation"), groups: test.int("groups"))
    case "linear": return try linear(tensor("x"), weight: tensor("weight"), bias: bias())
    case "matmul": return try matmul(tensor("a"), tensor("b"))
    case "add": return try tensor("a") + tensor("b")
    case "sub": return try tensor("a") - tensor("b")
    case "mul": return try tensor("a") * tensor("b")
    case "div": return try tensor("a") / tensor("b")
    case "batch_norm":
      let x = try tensor("x")
      var (mean, variance) = (try tensor("running_mean"), try tensor("running_var"))
      if try test.bool("training") {
        let axes = (0..<x.rank).filter { $0 != 1 }
        mean = try x.mean(axes)
        let centred = try x - x.mean(axes, keepDimensions: true)
        variance = try (centred * centred).mean(axes)
      }
      let op = Op.BatchNormalization(epsilon: try test.float("epsilon"))
      return try apply(.batchNormalization(op), [x, tensor("weight"), tensor("bias"), mean, variance])[0]
    case "relu": return try relu(tensor("x"))
    case "relu6": return try relu6(tensor("x"))
    case "softmax": return try softmax(tensor("x"), axis: test.int("axis"))
    case "concat":
      return try concat((0..<test.int("inputs")).map { try tensor("x\($0)") }, axis: test.int("axis"))
    case "max_pool2d":
      return try maxPool2d(
        tensor("x"), kernelSize: size("kernel"), stride: size("stride"), padding: Padding2D(size("padding")),
        dilation: size("dilation"), ceilMode: test.bool("ceil_mode"))
    case "avg_pool2d":
      return try averagePool2d(
        tensor("x"), kernelSize: size("kernel"), stride: size("stride"), padding: Padding2D(size("padding")),
        ceilMode: test.bool("ceil_mode"), countIncludePad: test.bool("count_include_pad"))
    case "adaptive_avg_pool2d": return try adaptiveAveragePool2d(tensor("x"), outputSize: size("output"))
    case "reshape": return try tensor("x").reshape(test.ints("shape"))
    case "flatten": return try tensor("x").flatten(from: test.int("start"), to: test.int("end"))
    case "permute": return try tensor("x").transpose(test.ints("axes"))
    case "mean": return try tensor("x").mean(test.ints("axes"), keepDimensions: test.bool("keep_dimensions"))
    case "pad":
      return try pad(tensor("x"), before: test.ints("begin"), after: test.ints("end"), value: test.float("value"))
    default: return nil
    }
  }
}

/// A tracer that only infers types.
final class TypeTracer: Tracer {
  var scope: String { "" }
  func enter(_ module: AnyObject) {}
  func leave() {}

  func record(_ op: Op, _ inputs: [Tensor?]) throws -> [Tensor] {
    try op.operation.outputTypes(inputs.map { $0?.type }).map { value("result", $0) }
  }

  func value(_ name: String, _ type: TensorType) -> Tensor {
    Tensor(traced: TracedValue(tracer: self, name: name, type: type))
  }
}
