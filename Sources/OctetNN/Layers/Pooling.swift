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

/// The largest element of each window of [n, c, l].
public final class MaxPool1d: Module {
  public let attributes: Op.Pool

  public init(kernelSize: Int, stride: Int? = nil, padding: Int = 0, dilation: Int = 1, ceilMode: Bool = false) {
    attributes = Op.Pool(
      .max, kernel: Size2D(1, kernelSize), stride: Size2D(1, stride ?? kernelSize),
      padding: Padding2D(Size2D(0, padding)), dilation: Size2D(1, dilation), ceilMode: ceilMode)
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try apply(.pool(attributes), [x])[0] }
}

/// The mean of each window of [n, c, l].
public final class AvgPool1d: Module {
  public let attributes: Op.Pool

  public init(
    kernelSize: Int, stride: Int? = nil, padding: Int = 0, ceilMode: Bool = false, countIncludePad: Bool = true
  ) {
    attributes = Op.Pool(
      .average, kernel: Size2D(1, kernelSize), stride: Size2D(1, stride ?? kernelSize),
      padding: Padding2D(Size2D(0, padding)), ceilMode: ceilMode, countIncludePad: countIncludePad)
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try apply(.pool(attributes), [x])[0] }
}

/// Images [n, c, h, w] or signals [n, c, l] of another size.
public final class Upsample: Module {
  public enum Mode: Hashable, Sendable {
    case nearest
    /// For signals and images alike: PyTorch's `linear` and `bilinear`.
    case linear(alignCorners: Bool = false)
  }

  /// The lengths of the result; `nil`: by the scale factor.
  public let size: [Int]?
  public let scaleFactor: Float
  public let mode: Mode

  public init(scaleFactor: Float, mode: Mode = .nearest) {
    size = nil
    self.scaleFactor = scaleFactor
    self.mode = mode
    super.init()
  }

  /// - Parameter size: one number for each axis from the third on.
  public init(size: [Int], mode: Mode = .nearest) {
    self.size = size
    scaleFactor = 1
    self.mode = mode
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    let target =
      size.map { Op.Resize.Target.sizes($0) } ?? .scales([Float](repeating: scaleFactor, count: max(x.rank - 2, 0)))
    return switch mode {
    case .nearest: try interpolate(x, to: target)
    case .linear(let alignCorners): try interpolate(x, to: target, linear: true, alignCorners: alignCorners)
    }
  }
}
