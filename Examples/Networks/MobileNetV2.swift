import Octet

/// MobileNetV2 (Sandler et al., 2018) with torchvision's names of parameters. Input [n, 3, h, w], output [n, classes].
public final class MobileNetV2: Module {
  let features: Sequential
  let classifier: Sequential

  /// One row of the paper's table: expansion, channels, repetitions, first stride.
  public struct Stage: Sendable {
    let expansion, channels, count, stride: Int

    public init(_ expansion: Int, _ channels: Int, _ count: Int, _ stride: Int) {
      (self.expansion, self.channels, self.count, self.stride) = (expansion, channels, count, stride)
    }
  }

  public static let stages = [
    Stage(1, 16, 1, 1), Stage(6, 24, 2, 2), Stage(6, 32, 3, 2), Stage(6, 64, 4, 2), Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2), Stage(6, 320, 1, 1),
  ]

  public init(first: Int = 32, stages: [Stage] = stages, last: Int = 1280, classes: Int = 1000) {
    var layers: [Module] = [convolution(3, first, kernelSize: 3, stride: 2)]
    var channels = first
    for stage in stages {
      for index in 0..<stage.count {
        layers.append(
          InvertedResidual(
            channels, stage.channels, stride: index == 0 ? stage.stride : 1, expansion: stage.expansion))
        channels = stage.channels
      }
    }
    layers.append(convolution(channels, last, kernelSize: 1))
    features = Sequential(layers)
    classifier = Sequential(Dropout(0.2), Linear(last, classes))
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try classifier(adaptiveAveragePool2d(features(x), outputSize: 1).flatten(from: 1))
  }
}

/// Convolution, batch normalization, ReLU6.
private func convolution(_ inputs: Int, _ outputs: Int, kernelSize: Int, stride: Int = 1, groups: Int = 1) -> Sequential
{
  let padding = (kernelSize - 1) / 2
  return Sequential(
    Conv2d(
      inputs, outputs, kernelSize: Size2D(kernelSize, kernelSize), stride: Size2D(stride, stride),
      padding: Padding2D(Size2D(padding, padding)), groups: groups, bias: false),
    BatchNorm2d(outputs), ReLU6())
}

/// 1×1 up, depthwise 3×3, 1×1 down without activation; plus x where the shape stays.
final class InvertedResidual: Module {
  let conv: Sequential
  private let isResidual: Bool

  init(_ inputs: Int, _ outputs: Int, stride: Int, expansion: Int) {
    let hidden = inputs * expansion
    conv = Sequential(
      (expansion == 1 ? [] : [convolution(inputs, hidden, kernelSize: 1)])
        + [
          convolution(hidden, hidden, kernelSize: 3, stride: stride, groups: hidden),
          Conv2d(hidden, outputs, kernelSize: 1, bias: false), BatchNorm2d(outputs),
        ])
    isResidual = stride == 1 && inputs == outputs
    super.init()
  }

  override func forward(_ x: Tensor) throws -> Tensor { isResidual ? try x + conv(x) : try conv(x) }
}
