public import OctetCore

/// 2-d convolution.
///
/// Input [n, inChannels, h, w], output [n, outChannels, h', w'] with
/// `h' = ⌊(h + 2·padding − dilation·(kernelSize − 1) − 1) / stride⌋ + 1`.
public final class Conv2d: Module {
  /// [outChannels, inChannels / groups, kernel height, kernel width]
  public let weight: Parameter
  /// [outChannels]
  public let bias: Parameter?
  public let attributes: Op.Convolution

  /// - Precondition: channels are positive multiples of `groups`, sizes are positive.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Size2D, stride: Size2D = 1, padding: Padding2D = 0,
    dilation: Size2D = 1, groups: Int = 1, bias: Bool = true
  ) {
    precondition(
      groups > 0 && inChannels.isMultiple(of: groups) && outChannels.isMultiple(of: groups), "groups divide channels")
    attributes = Op.Convolution(stride: stride, padding: padding, dilation: dilation, groups: groups)
    weight = zeros([outChannels, inChannels / groups, kernelSize.height, kernelSize.width])
    self.bias = bias ? zeros([outChannels]) : nil
    super.init()
    initializeAtRandom()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try apply(.conv(attributes), [x, weight.value, bias?.value])[0]
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    try drawConvolution(weight, bias, using: &generator)
  }
}

/// 1-d convolution.
///
/// Input [n, inChannels, l], output [n, outChannels, l'] with
/// `l' = ⌊(l + 2·padding − dilation·(kernelSize − 1) − 1) / stride⌋ + 1`.
public final class Conv1d: Module {
  /// [outChannels, inChannels / groups, kernelSize]
  public let weight: Parameter
  /// [outChannels]
  public let bias: Parameter?
  public let attributes: Op.Convolution

  /// - Precondition: channels are positive multiples of `groups`, sizes are positive.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1,
    groups: Int = 1, bias: Bool = true
  ) {
    precondition(
      groups > 0 && inChannels.isMultiple(of: groups) && outChannels.isMultiple(of: groups), "groups divide channels")
    attributes = Op.Convolution(
      stride: Size2D(1, stride), padding: Padding2D(Size2D(0, padding)), dilation: Size2D(1, dilation), groups: groups)
    weight = zeros([outChannels, inChannels / groups, kernelSize])
    self.bias = bias ? zeros([outChannels]) : nil
    super.init()
    initializeAtRandom()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try apply(.conv(attributes), [x, weight.value, bias?.value])[0]
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    try drawConvolution(weight, bias, using: &generator)
  }
}

/// Draws the weight and the bias of a convolution: PyTorch counts inputs by the second axis, also of transposed ones.
func drawConvolution(
  _ weight: Parameter, _ bias: Parameter?, using generator: inout some RandomNumberGenerator
) throws {
  let shape = weight.value.shape
  let fanIn = shape[1...].reduce(1, *)
  weight.value = try uniform(shape: shape, fanIn: fanIn, using: &generator)
  if let bias { bias.value = try uniform(shape: bias.value.shape, fanIn: fanIn, using: &generator) }
}
