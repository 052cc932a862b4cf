/// The closed list of operations, in ONNX's terms and semantics (opset 13 and later).
///
/// A case's payload carries its attributes and conforms to ``Operation``: what an operation means stands in one file per
/// family. Other modules switch over `Op` exhaustively, so that the compiler lists what a new operation owes.
public enum Op: Sendable {
  case conv(Convolution)
  case convTranspose(ConvTranspose)
  case linear(Linear)
  case matmul(MatMul)
  case batchNormalization(BatchNormalization)
  case normalize(Normalize)
  case unary(Unary)
  case clip(Clip)
  case prelu(PRelu)
  case binary(Binary)
  case compare(Compare)
  case `where`(Where)
  case cast(Cast)
  case softmax(Softmax)
  case dropout(Dropout)
  case pool(Pool)
  case adaptiveAveragePool(AdaptiveAveragePool)
  case resize(Resize)
  case concat(Concat)
  case split(Split)
  case slice(Slice)
  case gather(Gather)
  case positions(Positions)
  case reshape(Reshape)
  case flatten(Flatten)
  case squeeze(Squeeze)
  case unsqueeze(Unsqueeze)
  case expand(Expand)
  case transpose(Transpose)
  case pad(Pad)
  case reduce(Reduce)
  case argmax(ArgMax)
  case topK(TopK)
  case recurrent(Recurrent)
  case quantizeLinear(QuantizeLinear)
  case dequantizeLinear(DequantizeLinear)
  case dynamicQuantize(DynamicQuantize)
  case custom(Custom)

  /// What the operation means: its shape rule, its evaluation and its gradient.
  public var operation: any Operation {
    switch self {
    case .conv(let payload): payload
    case .convTranspose(let payload): payload
    case .linear(let payload): payload
    case .matmul(let payload): payload
    case .batchNormalization(let payload): payload
    case .normalize(let payload): payload
    case .unary(let payload): payload
    case .clip(let payload): payload
    case .prelu(let payload): payload
    case .binary(let payload): payload
    case .compare(let payload): payload
    case .where(let payload): payload
    case .cast(let payload): payload
    case .softmax(let payload): payload
    case .dropout(let payload): payload
    case .pool(let payload): payload
    case .adaptiveAveragePool(let payload): payload
    case .resize(let payload): payload
    case .concat(let payload): payload
    case .split(let payload): payload
    case .slice(let payload): payload
    case .gather(let payload): payload
    case .positions(let payload): payload
    case .reshape(let payload): payload
    case .flatten(let payload): payload
    case .squeeze(let payload): payload
    case .unsqueeze(let payload): payload
    case .expand(let payload): payload
    case .transpose(let payload): payload
    case .pad(let payload): payload
    case .reduce(let payload): payload
    case .argmax(let payload): payload
    case .topK(let payload): payload
    case .recurrent(let payload): payload
    case .quantizeLinear(let payload): payload
    case .dequantizeLinear(let payload): payload
    case .dynamicQuantize(let payload): payload
    case .custom(let payload): payload
    }
  }
}
