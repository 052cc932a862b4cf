/// The closed list of operations, in ONNX's terms and semantics.
///
/// A case's payload carries its attributes and conforms to ``Operation``: what an operation means stands in one file per
/// family. Other modules switch over `Op` exhaustively, so that the compiler lists what a new operation owes.
public enum Op: Sendable {
  case conv(Convolution)
  case linear(Linear)
  case matmul(MatMul)
  case batchNormalization(BatchNormalization)
  case unary(Unary)
  case clip(Clip)
  case binary(Binary)
  case softmax(Softmax)
  case pool(Pool)
  case adaptiveAveragePool(AdaptiveAveragePool)
  case concat(Concat)
  case reshape(Reshape)
  case flatten(Flatten)
  case transpose(Transpose)
  case reduce(Reduce)
  case pad(Pad)
  case recurrent(Recurrent)
  case quantizeLinear(QuantizeLinear)
  case dequantizeLinear(DequantizeLinear)
  case dynamicQuantize(DynamicQuantize)

  /// The operation without its attributes.
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    case conv, linear, matmul, batchNormalization
    case relu, clip
    case add, sub, mul, div
    case softmax
    case maxPool, averagePool, adaptiveAveragePool
    case concat, reshape, flatten, transpose
    case mean, sum
    case pad
    case lstm, gru
    case quantizeLinear, dequantizeLinear, dynamicQuantize
  }

  public var kind: Kind {
    switch self {
    case .conv: .conv
    case .linear: .linear
    case .matmul: .matmul
    case .batchNormalization: .batchNormalization
    case .unary(.relu): .relu
    case .clip: .clip
    case .binary(.add): .add
    case .binary(.sub): .sub
    case .binary(.mul): .mul
    case .binary(.div): .div
    case .softmax: .softmax
    case .pool(let pool): pool.kind == .max ? .maxPool : .averagePool
    case .adaptiveAveragePool: .adaptiveAveragePool
    case .concat: .concat
    case .reshape: .reshape
    case .flatten: .flatten
    case .transpose: .transpose
    case .reduce(let reduce): reduce.kind == .mean ? .mean : .sum
    case .pad: .pad
    case .recurrent(let recurrent): recurrent.kind == .lstm ? .lstm : .gru
    case .quantizeLinear: .quantizeLinear
    case .dequantizeLinear: .dequantizeLinear
    case .dynamicQuantize: .dynamicQuantize
    }
  }

  /// What the operation means: its shape rule and its evaluation.
  public var operation: any Operation {
    switch self {
    case .conv(let payload): payload
    case .linear(let payload): payload
    case .matmul(let payload): payload
    case .batchNormalization(let payload): payload
    case .unary(let payload): payload
    case .clip(let payload): payload
    case .binary(let payload): payload
    case .softmax(let payload): payload
    case .pool(let payload): payload
    case .adaptiveAveragePool(let payload): payload
    case .concat(let payload): payload
    case .reshape(let payload): payload
    case .flatten(let payload): payload
    case .transpose(let payload): payload
    case .reduce(let payload): payload
    case .pad(let payload): payload
    case .recurrent(let payload): payload
    case .quantizeLinear(let payload): payload
    case .dequantizeLinear(let payload): payload
    case .dynamicQuantize(let payload): payload
    }
  }
}
