import CKernels
import OctetCore

/// The weights of a linear layer as they were quantized, in the kernels' layout: what they take in memory is what they
/// took before, with padding to whole panels.
struct WeightOnlyWeights: Sendable {
  let dtype: DType
  let shape: octet_weights_shape
  let packed: TensorStorage
  /// float32 [n]
  private let bias: Tensor?

  /// - Parameters:
  ///   - weight: integers [n, k] whose parameters have no `weightOnlyObstacle`
  ///   - bias: float32 [n]
  init(_ weight: Tensor, _ parameters: QuantizationParameters, bias: Tensor?) {
    let (n, k) = (weight.shape[0], weight.shape[1])
    let isSigned = weight.dtype == .int8 || weight.dtype == .int4
    var shape = octet_weights_shape(
      n: n, k: k, bits: Int32(weight.dtype.bitWidth), is_signed: isSigned, group: parameters.blockSize ?? 0,
      has_zeros: !parameters.hasZeroZeroPoints)
    // One scale for the whole weight is the same one for every channel.
    let isPerTensor = parameters.scales.count == 1
    let scales = isPerTensor ? Array(repeating: parameters.scales[0], count: n) : parameters.scales
    let zeros = (isPerTensor ? Array(repeating: parameters.zeroPoints[0], count: n) : parameters.zeroPoints)
      .map(Int32.init)
    let family = InstructionSet.current.weights
    packed = TensorStorage(byteCount: octet_weights_packed_size(family, &shape), zeroed: false)
    let to = packed.base
    weight.withUnsafeBytes { octet_weights_pack(family, &shape, $0.baseAddress!, scales, zeros, to) }
    dtype = weight.dtype
    self.shape = shape
    self.bias = bias
  }

  /// Calls `body` with the address of the bias, if there is one.
  func withBias(_ body: (UnsafePointer<Float>?) -> Void) {
    guard let bias else { return body(nil) }
    bias.withUnsafeBytes { body($0.baseAddress!.assumingMemoryBound(to: Float.self)) }
  }
}
