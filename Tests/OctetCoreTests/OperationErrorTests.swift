import OctetCore
import TestSupport
import Testing

/// Operands that do not fit: every operation throws a typed error whose subject begins with its name.
@Suite("Errors of operations")
struct OperationErrorTests {
  struct Mistake: Sendable, CustomStringConvertible {
    let description: String
    let op: Op
    let inputs: [Tensor?]
    let code: OctetError.Code
    let subject: String

    init(_ description: String, _ op: Op, _ inputs: [Tensor?], _ code: OctetError.Code, _ subject: String) {
      self.description = "\(op.kind.rawValue): \(description)"
      self.op = op
      self.inputs = inputs
      self.code = code
      self.subject = subject
    }
  }

  static func float(_ shape: Int...) -> Tensor { try! Tensor(zeros: shape) }
  static func bytes(_ shape: Int...) -> Tensor { try! Tensor(zeros: shape, dtype: .int8) }

  static let mistakes: [Mistake] = {
    let image = float(1, 4, 6, 6)
    let weight = float(2, 4, 3, 3)
    let perTensor = try! QuantizationParameters(scale: 1, zeroPoint: 0, dtype: .int8)
    let perChannel = try! QuantizationParameters(scales: [1, 1], zeroPoints: [0, 0], dtype: .int8, axis: 1)
    let perBlock = try! QuantizationParameters(
      scales: [1, 1], zeroPoints: [0, 0], dtype: .int8, axis: 0, blockSize: 2)
    var list: [Mistake] = [
      .init("rank of x", .conv(.init()), [float(6, 6), weight], .shapeMismatch, "conv: x"),
      .init("dtype of x", .conv(.init()), [bytes(1, 4, 6, 6), weight], .dtypeMismatch, "conv: x"),
      .init("rank of weight", .conv(.init()), [image, float(2, 4)], .shapeMismatch, "conv: weight"),
      .init("dtype of weight", .conv(.init()), [image, bytes(2, 4, 3, 3)], .dtypeMismatch, "conv: weight"),
      .init("channels", .conv(.init()), [image, float(2, 3, 3, 3)], .shapeMismatch, "conv: weight"),
      .init("groups", .conv(.init(groups: 2)), [image, weight], .shapeMismatch, "conv: weight"),
      .init("outputs by groups", .conv(.init(groups: 4)), [image, float(2, 1, 3, 3)], .shapeMismatch, "conv: weight"),
      .init("no groups", .conv(.init(groups: 0)), [image, weight], .invalidArgument, "conv"),
      .init("no stride", .conv(.init(stride: 0)), [image, weight], .invalidArgument, "conv"),
      .init("no dilation", .conv(.init(dilation: Size2D(1, 0))), [image, weight], .invalidArgument, "conv"),
      .init("negative padding", .conv(.init(padding: -1)), [image, weight], .invalidArgument, "conv"),
      .init("no kernel", .conv(.init()), [image, float(2, 4, 0, 3)], .invalidArgument, "conv"),
      .init("kernel larger than x", .conv(.init()), [image, float(2, 4, 7, 3)], .shapeMismatch, "conv: x"),
      .init("bias", .conv(.init()), [image, weight, float(3)], .shapeMismatch, "conv: bias"),
      .init("dtype of bias", .conv(.init()), [image, weight, bytes(2)], .dtypeMismatch, "conv: bias"),
      .init("residual", .conv(.init()), [image, weight, nil, float(1, 2, 6, 6)], .shapeMismatch, "conv: residual"),
      .init("no weight", .conv(.init()), [image], .invalidArgument, "conv: weight"),
      .init(
        "activation", .conv(.init(activation: .clip(minimum: 1, maximum: 0))), [image, weight], .invalidArgument,
        "conv: activation"),

      .init("last axis", .linear(.init()), [float(2, 5), float(3, 4)], .shapeMismatch, "linear: x"),
      .init("scalar x", .linear(.init()), [float(), float(3, 4)], .shapeMismatch, "linear: x"),
      .init("rank of weight", .linear(.init()), [float(2, 4), float(4)], .shapeMismatch, "linear: weight"),
      .init("dtype", .linear(.init()), [bytes(2, 4), float(3, 4)], .dtypeMismatch, "linear: x"),
      .init("bias", .linear(.init()), [float(2, 4), float(3, 4), float(4)], .shapeMismatch, "linear: bias"),
      .init(
        "activation", .linear(.init(activation: .clip(minimum: .nan, maximum: 0))), [float(2, 4), float(3, 4)],
        .invalidArgument, "linear: activation"),

      .init("inner axes", .matmul(.init()), [float(2, 4), float(5, 3)], .shapeMismatch, "matmul: b"),
      .init("leading axes", .matmul(.init()), [float(2, 4, 4), float(3, 4, 4)], .shapeMismatch, "matmul: operands"),
      .init("scalar", .matmul(.init()), [float(), float(5, 3)], .shapeMismatch, "matmul: a"),
      .init("dtype", .matmul(.init()), [float(2, 4), bytes(4, 3)], .dtypeMismatch, "matmul: b"),

      .init(
        "statistics", .batchNormalization(.init()), [image, float(4), float(4), float(4), float(3)], .shapeMismatch,
        "batchNormalization: variance"),
      .init(
        "rank", .batchNormalization(.init()), [float(4), float(4), float(4), float(4), float(4)], .shapeMismatch,
        "batchNormalization: x"),
      .init(
        "dtype", .batchNormalization(.init()), [image, bytes(4), float(4), float(4), float(4)], .dtypeMismatch,
        "batchNormalization: scale"),
      .init("missing", .batchNormalization(.init()), [image, float(4)], .invalidArgument, "batchNormalization: bias"),

      .init("dtype", .unary(.relu), [bytes(3)], .dtypeMismatch, "relu: x"),
      .init("missing", .unary(.relu), [nil], .invalidArgument, "relu: x"),
      .init("dtype", .clip(.init(minimum: 0, maximum: 1)), [bytes(3)], .dtypeMismatch, "clip: x"),
      .init("range", .clip(.init(minimum: 1, maximum: 0)), [float(3)], .invalidArgument, "clip"),
      .init("NaN", .clip(.init(minimum: 0, maximum: .nan)), [float(3)], .invalidArgument, "clip"),

      .init("axis", .softmax(.init(axis: 2)), [float(2, 3)], .shapeMismatch, "softmax: axis"),
      .init("scalar", .softmax(.init()), [float()], .shapeMismatch, "softmax: x"),
      .init("dtype", .softmax(.init()), [bytes(3)], .dtypeMismatch, "softmax: x"),

      .init("rank", .pool(.init(.max, kernel: 2)), [float(6, 6)], .shapeMismatch, "maxPool: x"),
      .init("dtype", .pool(.init(.max, kernel: 2)), [bytes(1, 4, 6, 6)], .dtypeMismatch, "maxPool: x"),
      .init("size", .pool(.init(.average, kernel: 7)), [image], .shapeMismatch, "averagePool: x"),
      .init("no stride", .pool(.init(.max, kernel: 2, stride: 0)), [image], .invalidArgument, "maxPool: pool"),
      .init("padding", .pool(.init(.average, kernel: 2, padding: 2)), [image], .invalidArgument, "averagePool: pool"),
      .init("size", .adaptiveAveragePool(.init(0)), [image], .invalidArgument, "adaptiveAveragePool: size"),
      .init("rank", .adaptiveAveragePool(.init(1)), [float(4)], .shapeMismatch, "adaptiveAveragePool: x"),
      .init("dtype", .adaptiveAveragePool(.init(1)), [bytes(1, 4, 6, 6)], .dtypeMismatch, "adaptiveAveragePool: x"),

      .init("nothing", .concat(.init(axis: 0)), [], .invalidArgument, "concat: operand 0"),
      .init("axis", .concat(.init(axis: 1)), [float(3)], .shapeMismatch, "concat: axis"),
      .init("shapes", .concat(.init(axis: 0)), [float(2, 3), float(2, 4)], .shapeMismatch, "concat: operand 1"),
      .init("ranks", .concat(.init(axis: 0)), [float(2, 3), float(2)], .shapeMismatch, "concat: operand 1"),
      .init("dtypes", .concat(.init(axis: 0)), [float(2), bytes(2)], .dtypeMismatch, "concat: operand 1"),

      .init("count", .reshape(.init([5])), [float(2, 3)], .shapeMismatch, "reshape: x"),
      .init("indivisible", .reshape(.init([4, -1])), [float(2, 3)], .shapeMismatch, "reshape: x"),
      .init("two open", .reshape(.init([-1, -1])), [float(2, 3)], .invalidArgument, "reshape: shape"),
      .init("negative", .reshape(.init([-2, 3])), [float(2, 3)], .invalidArgument, "reshape: shape"),
      .init("copied axis", .reshape(.init([2, 3, 0])), [float(2, 3)], .shapeMismatch, "reshape: x"),
      .init("axis", .flatten(.init(from: 2)), [float(2, 3)], .shapeMismatch, "flatten: axis"),
      .init("order", .flatten(.init(from: 1, to: 0)), [float(2, 3)], .invalidArgument, "flatten"),
      .init("rank", .transpose(.init([1, 0])), [float(2, 3, 4)], .invalidArgument, "transpose: permutation"),
      .init("twice", .transpose(.init([0, 0])), [float(2, 3)], .invalidArgument, "transpose: permutation"),
      .init("axis", .transpose(.init([0, 2])), [float(2, 3)], .shapeMismatch, "transpose: axis"),
      .init("axis", .reduce(.init(.mean, axes: [2])), [float(2, 3)], .shapeMismatch, "mean: axis"),
      .init("dtype", .reduce(.init(.sum, axes: [0])), [bytes(2, 3)], .dtypeMismatch, "sum: x"),
      .init("rank", .pad(.init(before: [1], after: [1])), [float(2, 3)], .invalidArgument, "pad"),
      .init("negative", .pad(.init(before: [-1], after: [1])), [float(2)], .invalidArgument, "pad"),
      .init("dtype", .pad(.init(before: [1], after: [1])), [bytes(2)], .dtypeMismatch, "pad: x"),

      .init(
        "rank", .recurrent(.init(.lstm)), [float(2, 3), float(8, 3), float(8, 2)], .shapeMismatch, "lstm: x"),
      .init(
        "gates", .recurrent(.init(.gru)), [float(1, 2, 3), float(8, 3), float(8, 2)], .shapeMismatch,
        "gru: weightInput"),
      .init("dtype", .dynamicQuantize(.init()), [bytes(2)], .dtypeMismatch, "dynamicQuantize: x"),

      .init("dtype", .quantizeLinear(.init(perTensor)), [bytes(2)], .dtypeMismatch, "quantizeLinear: x"),
      .init("channels", .quantizeLinear(.init(perChannel)), [float(2, 3)], .shapeMismatch, "quantizeLinear: scales"),
      .init("axis", .quantizeLinear(.init(perChannel)), [float(2)], .shapeMismatch, "quantizeLinear: axis"),
      .init("blocks", .quantizeLinear(.init(perBlock)), [float(5)], .shapeMismatch, "quantizeLinear: scales"),
      .init("dtype", .dequantizeLinear(.init(perTensor)), [float(2)], .dtypeMismatch, "dequantizeLinear: q"),
      .init(
        "channels", .dequantizeLinear(.init(perChannel)), [bytes(2, 3)], .shapeMismatch, "dequantizeLinear: scales"),
    ]
    list += convTransposeMistakes + elementwiseMistakes + normalizationMistakes + selectionMistakes + axisMistakes
    for op in [Op.Binary.add, .sub, .mul, .div, .pow, .minimum, .maximum] {
      list.append(.init("shapes", .binary(op), [float(2), float(3)], .shapeMismatch, "\(op.rawValue): operands"))
      list.append(.init("dtype", .binary(op), [float(2), bytes(2)], .dtypeMismatch, "\(op.rawValue): b"))
      list.append(.init("missing", .binary(op), [float(2)], .invalidArgument, "\(op.rawValue): b"))
    }
    return list
  }()

  static let convTransposeMistakes: [Mistake] = {
    let (image, weight) = (float(1, 4, 6, 6), float(4, 2, 3, 3))
    func mistake(
      _ description: String, _ op: Op.ConvTranspose, _ inputs: [Tensor?], _ code: OctetError.Code, _ operand: String
    ) -> Mistake {
      .init(description, .convTranspose(op), inputs, code, "convTranspose" + (operand.isEmpty ? "" : ": \(operand)"))
    }
    return [
      mistake("rank of x", .init(), [float(4, 6), weight], .shapeMismatch, "x"),
      mistake("rank of weight", .init(), [float(1, 4, 6), weight], .shapeMismatch, "weight"),
      mistake("dtype", .init(), [image, bytes(4, 2, 3, 3)], .dtypeMismatch, "weight"),
      mistake("channels", .init(), [image, float(2, 4, 3, 3)], .shapeMismatch, "weight"),
      mistake("groups", .init(groups: 3), [image, weight], .shapeMismatch, "weight"),
      mistake("no groups", .init(groups: 0), [image, weight], .invalidArgument, ""),
      mistake("no stride", .init(stride: 0), [image, weight], .invalidArgument, ""),
      mistake("output padding", .init(outputPadding: 1), [image, weight], .invalidArgument, ""),
      mistake("padding", .init(padding: 4), [image, weight], .shapeMismatch, "x"),
      mistake("bias", .init(groups: 2), [image, weight, float(2)], .shapeMismatch, "bias"),
      mistake(
        "height of a signal", .init(stride: 2), [float(1, 4, 6), float(4, 2, 3)], .invalidArgument, "attributes"),
      .init(
        "height of a signal", .conv(.init(padding: 1)), [float(1, 4, 6), float(2, 4, 3)], .invalidArgument,
        "conv: attributes"),
      .init("height of a signal", .pool(.init(.max, kernel: 2)), [float(1, 4, 6)], .invalidArgument, "maxPool: pool"),
    ]
  }()

  static let elementwiseMistakes: [Mistake] = {
    let functions: [Op.Unary] = [
      .sigmoid, .tanh, .exp, .log, .sqrt, .erf, .abs, .neg, .reciprocal, .floor, .sin, .cos, .softplus, .silu,
      .hardSwish,
      .hardSigmoid(alpha: 1, beta: 0), .leakyRelu(alpha: 0.1), .elu(alpha: 1), .gelu(.none),
    ]
    let index = try! Tensor([Int64(1)], shape: [1])
    return functions.map {
      .init("dtype", .unary($0), [bytes(3)], .dtypeMismatch, "\(Op.unary($0).kind.rawValue): x")
    } + [
      .init("NaN", .unary(.leakyRelu(alpha: .nan)), [float(3)], .invalidArgument, "leakyRelu: attributes"),
      .init(
        "NaN", .unary(.hardSigmoid(alpha: 1, beta: .infinity)), [float(3)], .invalidArgument, "hardSigmoid: attributes"),
      .init("slope", .prelu(.init()), [float(2, 3), float(2)], .shapeMismatch, "prelu: slope"),
      .init("axis", .prelu(.init(axis: 2)), [float(2, 3), float(3)], .shapeMismatch, "prelu: axis"),
      .init("probability", .dropout(.init(1)), [float(3)], .invalidArgument, "dropout: probability"),
      .init("probability", .dropout(.init(.nan)), [float(3)], .invalidArgument, "dropout: probability"),
      .init("dtype", .dropout(.init()), [bytes(3)], .dtypeMismatch, "dropout: x"),
      .init("broadcast", .prelu(.init(axis: nil)), [float(3), float(2, 3)], .shapeMismatch, "prelu: slope"),
      .init("dtype", .where(.init()), [float(2), float(2), float(2)], .dtypeMismatch, "where: condition"),
      .init("to bytes", .cast(.init(to: .int8)), [float(2)], .unsupported, "cast"),
      .init("from bytes", .cast(.init(to: .float32)), [bytes(2)], .dtypeMismatch, "cast: x"),
    ]
      + [Op.Compare.equal, .less, .lessOrEqual, .greater, .greaterOrEqual].map {
        .init("dtypes", .compare($0), [float(1), index], .dtypeMismatch, "\($0.rawValue): b")
      }
  }()

  static let normalizationMistakes: [Mistake] = [
    .init("axis", .normalize(.init(.layer(axis: 2))), [float(2, 3)], .shapeMismatch, "layerNormalization: axis"),
    .init("dtype", .normalize(.init(.layer(axis: 1))), [bytes(2, 3)], .dtypeMismatch, "layerNormalization: x"),
    .init(
      "scale", .normalize(.init(.layer(axis: 1))), [float(2, 3), float(2)], .shapeMismatch, "layerNormalization: scale"),
    .init("groups", .normalize(.init(.group(2))), [float(2, 3, 4)], .invalidArgument, "groupNormalization: groups"),
    .init("none", .normalize(.init(.group(0))), [float(2, 3, 4)], .invalidArgument, "groupNormalization: groups"),
    .init(
      "bias", .normalize(.init(.group(3))), [float(2, 3), nil, float(2)], .shapeMismatch, "groupNormalization: bias"),
    .init("rank", .normalize(.init(.instance)), [float(3)], .shapeMismatch, "instanceNormalization: x"),
    .init("axis", .softmax(.init(axis: 2, isLogarithm: true)), [float(2, 3)], .shapeMismatch, "logSoftmax: axis"),
  ]

  static let selectionMistakes: [Mistake] = {
    let index = try! Tensor([Int64(1), -4], shape: [2])
    return [
      .init("axis", .gather(.init(axis: 2)), [float(3, 2), index], .shapeMismatch, "gather: axis"),
      .init("dtype", .gather(.init()), [float(3, 2), float(1)], .dtypeMismatch, "gather: indices"),
      .init("axis", .positions(.init(axis: 1)), [float(3)], .shapeMismatch, "positions: axis"),
      .init("index", .gather(.init()), [float(3, 2), index], .invalidArgument, "gather: indices"),
      .init(
        "axis", .slice(.init(starts: [0], ends: [1], axes: [2])), [float(3, 2)], .shapeMismatch, "slice: axis"),
      .init(
        "twice", .slice(.init(starts: [0, 0], ends: [1, 1], axes: [1, -1])), [float(3, 2)], .invalidArgument,
        "slice"),
      .init(
        "no step", .slice(.init(starts: [0], ends: [1], axes: [0], steps: [0])), [float(3)], .invalidArgument,
        "slice"),
      .init(
        "numbers", .slice(.init(starts: [0], ends: [], axes: [0])), [float(3)], .invalidArgument, "slice"),
      .init("sum", .split(.init([1, 1], axis: 0)), [float(3)], .shapeMismatch, "split: x"),
      .init("negative", .split(.init([4, -1], axis: 0)), [float(3)], .shapeMismatch, "split: x"),
      .init("axis", .argmax(.init(axis: 1)), [float(3)], .shapeMismatch, "argmax: axis"),
      .init("nothing", .argmax(.init(axis: 1, smallest: true)), [float(3, 0)], .shapeMismatch, "argmin: x"),
      .init("count", .topK(.init(4)), [float(3)], .invalidArgument, "topK: count"),
      .init("negative", .topK(.init(-1)), [float(3)], .invalidArgument, "topK: count"),
    ]
      + Op.Reduce.Kind.allCases.map {
        .init("axis", .reduce(.init($0, axes: [1])), [float(3)], .shapeMismatch, "\($0.rawValue): axis")
      }
  }()

  static let axisMistakes: [Mistake] = {
    func resize(_ target: Op.Resize.Target) -> Op {
      .resize(.init(target, mode: .linear, coordinates: .halfPixel))
    }
    return [
      .init("size", .squeeze(.init([0])), [float(3, 1)], .shapeMismatch, "squeeze: x"),
      .init("axis", .squeeze(.init([2])), [float(3, 1)], .shapeMismatch, "squeeze: axis"),
      .init("axis", .unsqueeze(.init([3])), [float(3, 1)], .invalidArgument, "unsqueeze: axes"),
      .init("twice", .unsqueeze(.init([0, -4])), [float(3, 1)], .invalidArgument, "unsqueeze: axes"),
      .init("sizes", .expand(.init([2])), [float(3)], .shapeMismatch, "expand: operands"),
      .init("negative", .expand(.init([-2, 3])), [float(3)], .invalidArgument, "expand: shape"),
      .init("rank", resize(.sizes([2])), [float(2, 3)], .shapeMismatch, "resize: x"),
      .init("number", resize(.sizes([2])), [float(1, 2, 3, 4)], .invalidArgument, "resize"),
      .init("zero", resize(.sizes([0])), [float(1, 2, 3)], .invalidArgument, "resize: sizes"),
      .init("NaN", resize(.scales([.nan])), [float(1, 2, 3)], .invalidArgument, "resize: scales"),
      .init("nothing left", resize(.scales([0.1])), [float(1, 2, 3)], .shapeMismatch, "resize: x"),
      .init("nothing there", resize(.sizes([2])), [float(1, 2, 0)], .shapeMismatch, "resize: x"),
      .init("no operand", .custom(.init(RoundSTE())), [], .invalidArgument, "custom: RoundSTE"),
    ]
  }()

  @Test("a typed error names the operation", arguments: mistakes)
  func mistake(_ mistake: Mistake) {
    let error = octetError { try apply(mistake.op, mistake.inputs) }
    #expect(error?.code == mistake.code, "\(error.map { "\($0)" } ?? "no error")")
    #expect(error?.subject == mistake.subject, "\(error.map { "\($0)" } ?? "no error")")
  }

  /// A few elements of a kernel that lie far apart, and strides far beyond the image, are errors instead of memory or time
  /// without end.
  @Test func convolutionsThatReachTooFar() throws {
    let x = try Tensor(zeros: [1, 1, 4, 4])
    let kernel = try Tensor(zeros: [1, 1, 3, 3])
    let far = octetError { try conv2d(x, weight: kernel, padding: 100_000, dilation: 100_000) }
    #expect(far?.code == .unsupported)
    let point = try Tensor(zeros: [1, 1, 1, 1])
    let long = octetError {
      try apply(
        .convTranspose(Op.ConvTranspose(stride: Size2D(1 << 20, 1 << 20), padding: Padding2D(Size2D(1 << 19)))),
        [Tensor(zeros: [1, 1, 2, 2]), point])
    }
    #expect(long?.code == .unsupported, "\(String(describing: long))")
  }

  @Test func everyKindOfOperationHasAMistake() {
    #expect(Set(Self.mistakes.map(\.op.kind)) == Set(Op.Kind.allCases))
  }

  /// Attributes as a damaged file may have them: an error, not an arithmetic overflow.
  @Test("absurd attributes", arguments: [Int.max, Int.max / 2, 1 << 62, 1 << 40])
  func absurd(_ huge: Int) throws {
    let image = TensorType(.float32, [1, 4, 6, 6])
    let weight = TensorType(.float32, [4, 4, 3, 3])
    let ops: [(Op, [TensorType])] = [
      (.conv(.init(stride: Size2D(huge))), [image, weight]),
      (.conv(.init(padding: Padding2D(Size2D(huge)))), [image, weight]),
      (.conv(.init(dilation: Size2D(huge))), [image, weight]), (.conv(.init(groups: huge)), [image, weight]),
      (.pool(.init(.max, kernel: Size2D(huge))), [image]),
      (.pool(.init(.max, kernel: 2, stride: Size2D(huge))), [image]),
      (.pool(.init(.average, kernel: 2, padding: Padding2D(Size2D(huge)))), [image]),
      (.pool(.init(.max, kernel: 2, dilation: Size2D(huge))), [image]),
      (.adaptiveAveragePool(.init(Size2D(huge))), [image]),
      (.pad(.init(before: [huge, 0, 0, 0], after: [huge, 0, 0, 0])), [image]),
      (.reshape(.init([huge, huge, 4])), [image]), (.reshape(.init([huge, -1, 2])), [image]),
      (.softmax(.init(axis: huge)), [image]), (.softmax(.init(axis: -huge)), [image]),
      (.concat(.init(axis: huge)), [image]),
      (.flatten(.init(from: huge)), [image]), (.transpose(.init([0, 1, 2, huge])), [image]),
      (.reduce(.init(.mean, axes: [huge])), [image]),
      (.convTranspose(.init(stride: Size2D(huge))), [image, weight]),
      (.convTranspose(.init(padding: Padding2D(Size2D(huge)))), [image, weight]),
      (.convTranspose(.init(dilation: Size2D(huge))), [image, weight]),
      (.convTranspose(.init(stride: Size2D(2), outputPadding: Size2D(huge))), [image, weight]),
      (.convTranspose(.init(groups: huge)), [image, weight]),
      (.slice(.init(starts: [0], ends: [1], axes: [huge])), [image]),
      (.slice(.init(starts: [0], ends: [1], axes: [0], steps: [huge])), [image]),
      (.split(.init([huge, huge], axis: 1)), [image]), (.split(.init([1], axis: huge)), [image]),
      (.gather(.init(axis: huge)), [image, TensorType(.int64, [1])]),
      (.squeeze(.init([huge])), [image]), (.unsqueeze(.init([huge])), [image]), (.unsqueeze(.init([-huge])), [image]),
      (.normalize(.init(.layer(axis: huge))), [image]), (.normalize(.init(.group(huge))), [image]),
      (.argmax(.init(axis: huge)), [image]), (.topK(.init(huge)), [image]),
      (.resize(.init(.sizes([huge, 1]), mode: .linear, coordinates: .halfPixel)), [image]),
      (.prelu(.init(axis: huge)), [image, TensorType(.float32, [4])]),
    ]
    for (op, types) in ops {
      #expect(octetError { try op.operation.outputTypes(types) } != nil, "\(op)")
    }
    let blocks = try QuantizationParameters(scales: [1], zeroPoints: [0], dtype: .int8, axis: 0, blockSize: huge)
    #expect(try quantize(Tensor([Float(2), 3], shape: [2]), blocks).scalars(as: Int8.self) == [2, 3])
  }

  /// Results that no machine has memory for, or that have more elements than anything.
  @Test(arguments: [[1 << 46], [1 << 62, 1 << 62], [0, 1 << 62, 4]]) func resultsWithoutEnd(_ shape: [Int]) throws {
    let error = octetError { try Self.float(1).expand(shape) }
    #expect(error?.subject.hasPrefix("expand: result") == true, "\(String(describing: error))")
  }
}
