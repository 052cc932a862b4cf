public import OctetCore

/// The largest element of each window of [n, c, h, w].
public final class MaxPool2d: Module {
  public let attributes: Op.Pool

  public init(
    kernelSize: Size2D, stride: Size2D? = nil, padding: Padding2D = 0, dilation: Size2D = 1, ceilMode: Bool = false
  ) {
    attributes = Op.Pool(
      .max, kernel: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try apply(.pool(attributes), [x])[0] }
}

/// The mean of each window of [n, c, h, w].
public final class AvgPool2d: Module {
  public let attributes: Op.Pool

  public init(
    kernelSize: Size2D, stride: Size2D? = nil, padding: Padding2D = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true
  ) {
    attributes = Op.Pool(
      .average, kernel: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode,
      countIncludePad: countIncludePad)
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try apply(.pool(attributes), [x])[0] }
}

/// Means over windows chosen so that the result is [n, c, outputSize].
public final class AdaptiveAvgPool2d: Module {
  public let outputSize: Size2D

  public init(_ outputSize: Size2D) {
    self.outputSize = outputSize
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try adaptiveAveragePool2d(x, outputSize: outputSize) }
}
