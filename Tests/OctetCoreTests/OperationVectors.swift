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
    case "pow": return try pow(tensor("a"), tensor("b"))
    case "minimum": return try minimum(tensor("a"), tensor("b"))
    case "maximum": return try maximum(tensor("a"), tensor("b"))
    default: return try computeOthers(test, tensor) ?? computeUnary(test.string("op"), try tensor("x"))
    }
  }

  private static func computeUnary(_ op: String, _ x: @autoclosure () throws -> Tensor) throws -> Tensor? {
    switch op {
    case "sigmoid": try sigmoid(x())
    case "tanh": try tanh(x())
    case "exp": try exp(x())
    case "log": try log(x())
    case "sqrt": try sqrt(x())
    case "erf": try erf(x())
    case "abs": try abs(x())
    case "neg": try -x()
    case "reciprocal": try reciprocal(x())
    case "floor": try floor(x())
    case "sin": try sin(x())
    case "cos": try cos(x())
    case "softplus": try softplus(x())
    case "silu": try silu(x())
    case "hardswish": try hardSwish(x())
    case "hardsigmoid": try hardSigmoid(x())
    case "leaky_relu": try leakyRelu(x(), alpha: 0.2)
    case "elu": try elu(x(), alpha: 1.5)
    case "gelu": try gelu(x())
    case "gelu_tanh": try gelu(x(), approximate: .tanh)
    default: nil
    }
  }

  private static func computeOthers(_ test: VectorCase, _ tensor: (String) throws -> Tensor) throws -> Tensor? {
    func size(_ name: String) throws -> Size2D {
      let values = try test.ints(name)
      return Size2D(values[0], values[1])
    }
    func axis() throws -> Int { try test.int("axis") }
    func affine(_ name: String) throws -> Tensor? { try test.bool("affine") ? try tensor(name) : nil }
    func pool(_ kind: Op.Pool.Kind) throws -> Tensor {
      let pool = Op.Pool(
        kind, kernel: Size2D(1, try test.int("kernel")), stride: Size2D(1, try test.int("stride")),
        padding: Padding2D(Size2D(0, try test.int("padding"))), ceilMode: try test.bool("ceil_mode"))
      return try apply(.pool(pool), [tensor("x")])[0]
    }
    switch try test.string("op") {
    case "conv1d":
      return try conv1d(
        tensor("x"), weight: tensor("weight"), bias: test.bool("bias") ? tensor("bias") : nil,
        stride: test.int("stride"), padding: test.int("padding"), dilation: test.int("dilation"),
        groups: test.int("groups"))
    case "max_pool1d": return try pool(.max)
    case "avg_pool1d": return try pool(.average)
    case "conv_transpose":
      return try convTranspose2d(
        tensor("x"), weight: tensor("weight"), bias: test.bool("bias") ? tensor("bias") : nil, stride: size("stride"),
        padding: Padding2D(size("padding")), outputPadding: size("output_padding"), dilation: size("dilation"),
        groups: test.int("groups"))
    case "prelu": return try prelu(tensor("x"), slope: tensor("weight"))
    case "eq": return try tensor("a") .== tensor("b")
    case "lt": return try tensor("a") .< tensor("b")
    case "le": return try tensor("a") .<= tensor("b")
    case "gt": return try tensor("a") .> tensor("b")
    case "ge": return try tensor("a") .>= tensor("b")
    case "where": return try `where`(tensor("condition"), tensor("a"), tensor("b"))
    case "cast": return try tensor("x").cast(to: DType(rawValue: test.string("dtype"))!)
    case "layer_norm":
      return try layerNorm(
        tensor("x"), axis: axis(), weight: affine("weight"), bias: affine("bias"), epsilon: test.float("epsilon"))
    case "group_norm":
      return try groupNorm(
        tensor("x"), groups: test.int("groups"), weight: affine("weight"), bias: affine("bias"),
        epsilon: test.float("epsilon"))
    case "instance_norm":
      return try instanceNorm(
        tensor("x"), weight: affine("weight"), bias: affine("bias"), epsilon: test.float("epsilon"))
    case "log_softmax": return try logSoftmax(tensor("x"), axis: axis())
    case "reduce":
      let kinds: [String: Op.Reduce.Kind] = [
        "sum": .sum, "amax": .max, "amin": .min, "logsumexp": .logSumExp, "prod": .prod, "l1": .l1, "l2": .l2,
      ]
      return try tensor("x").reduce(
        kinds[test.string("kind")]!, test.ints("axes"), keepDimensions: test.bool("keep_dimensions"))
    case "argmax": return try tensor("x").argmax(axis: axis(), keepDimensions: test.bool("keep_dimensions"))
    case "argmin": return try tensor("x").argmin(axis: axis(), keepDimensions: test.bool("keep_dimensions"))
    case "topk_values":
      return try tensor("x").topK(test.int("count"), axis: axis(), largest: test.bool("largest")).values
    case "topk_indices":
      return try tensor("x").topK(test.int("count"), axis: axis(), largest: test.bool("largest")).indices
    case "squeeze": return try tensor("x").squeeze(test.ints("axes"))
    case "unsqueeze": return try tensor("x").unsqueeze(test.ints("axes"))
    case "expand": return try tensor("x").expand(test.ints("shape"))
    case "slice":
      return try tensor("x").slice(axis: axis(), from: test.int("start"), to: test.int("end"), by: test.int("step"))
    case "split": return try tensor("x").split(test.ints("sizes"), axis: axis())[test.int("part")]
    case "gather": return try tensor("weight").gather(tensor("indices"), axis: axis())
    case "resize":
      let target: Op.Resize.Target =
        test.attributes["sizes"] == nil ? .scales(try test.floats("scales")) : .sizes(try test.ints("sizes"))
      let kind = try test.string("kind")
      return try interpolate(tensor("x"), to: target, linear: kind != "nearest", alignCorners: kind == "corners")
    case "attention":
      return try scaledDotProductAttention(
        tensor("q"), tensor("k"), tensor("v"), mask: test.bool("mask") ? tensor("mask") : nil)
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
