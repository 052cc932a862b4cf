public import OctetCore

/// 2-d transposed convolution.
///
/// Input [n, inChannels, h, w], output [n, outChannels, h', w'] with
/// `h' = (h − 1)·stride − 2·padding + dilation·(kernelSize − 1) + outputPadding + 1`.
public final class ConvTranspose2d: Module {
  /// [inChannels, outChannels / groups, kernel height, kernel width]
  public let weight: Parameter
  /// [outChannels]
  public let bias: Parameter?
  public let attributes: Op.ConvTranspose

  /// - Precondition: channels are positive multiples of `groups`, sizes are positive.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Size2D, stride: Size2D = 1, padding: Padding2D = 0,
    outputPadding: Size2D = 0, groups: Int = 1, bias: Bool = true, dilation: Size2D = 1
  ) {
    precondition(
      groups > 0 && inChannels.isMultiple(of: groups) && outChannels.isMultiple(of: groups), "groups divide channels")
    attributes = Op.ConvTranspose(
      stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation, groups: groups)
    weight = zeros([inChannels, outChannels / groups, kernelSize.height, kernelSize.width])
    self.bias = bias ? zeros([outChannels]) : nil
    super.init()
    initializeAtRandom()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try apply(.convTranspose(attributes), [x, weight.value, bias?.value])[0]
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    try drawConvolution(weight, bias, using: &generator)
  }
}

/// 1-d transposed convolution: input [n, inChannels, l], output [n, outChannels, l'], as ``ConvTranspose2d``.
public final class ConvTranspose1d: Module {
  /// [inChannels, outChannels / groups, kernelSize]
  public let weight: Parameter
  /// [outChannels]
  public let bias: Parameter?
  public let attributes: Op.ConvTranspose

  /// - Precondition: channels are positive multiples of `groups`, sizes are positive.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Int, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0,
    groups: Int = 1, bias: Bool = true, dilation: Int = 1
  ) {
    precondition(
      groups > 0 && inChannels.isMultiple(of: groups) && outChannels.isMultiple(of: groups), "groups divide channels")
    attributes = Op.ConvTranspose(
      stride: Size2D(1, stride), padding: Padding2D(Size2D(0, padding)), outputPadding: Size2D(0, outputPadding),
      dilation: Size2D(1, dilation), groups: groups)
    weight = zeros([inChannels, outChannels / groups, kernelSize])
    self.bias = bias ? zeros([outChannels]) : nil
    super.init()
    initializeAtRandom()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try apply(.convTranspose(attributes), [x, weight.value, bias?.value])[0]
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    try drawConvolution(weight, bias, using: &generator)
  }
}
