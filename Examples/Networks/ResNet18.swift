import Octet

/// ResNet-18 (He et al., 2015) with torchvision's names of parameters. Input [n, 3, h, w], output [n, classes].
public final class ResNet18: Module {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let layer1, layer2, layer3, layer4: Sequential
  let fc: Linear

  /// - Parameter width: the channels of the first stage; each further stage has twice as many.
  public init(width: Int = 64, classes: Int = 1000) {
    conv1 = Conv2d(3, width, kernelSize: 7, stride: 2, padding: 3, bias: false)
    bn1 = BatchNorm2d(width)
    func stage(_ inputs: Int, _ outputs: Int, stride: Int) -> Sequential {
      Sequential(BasicBlock(inputs, outputs, stride: stride), BasicBlock(outputs, outputs, stride: 1))
    }
    layer1 = stage(width, width, stride: 1)
    layer2 = stage(width, 2 * width, stride: 2)
    layer3 = stage(2 * width, 4 * width, stride: 2)
    layer4 = stage(4 * width, 8 * width, stride: 2)
    fc = Linear(8 * width, classes)
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    let stem = try maxPool2d(relu(bn1(conv1(x))), kernelSize: 3, stride: 2, padding: 1)
    let features = try layer4(layer3(layer2(layer1(stem))))
    return try fc(adaptiveAveragePool2d(features, outputSize: 1).flatten(from: 1))
  }
}

/// `relu(bn2(conv2(relu(bn1(conv1(x))))) + x)`, with a 1×1 convolution of x where the shape changes.
final class BasicBlock: Module {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let conv2: Conv2d
  let bn2: BatchNorm2d
  let downsample: Sequential?

  init(_ inputs: Int, _ outputs: Int, stride: Int) {
    conv1 = Conv2d(inputs, outputs, kernelSize: 3, stride: Size2D(stride, stride), padding: 1, bias: false)
    bn1 = BatchNorm2d(outputs)
    conv2 = Conv2d(outputs, outputs, kernelSize: 3, padding: 1, bias: false)
    bn2 = BatchNorm2d(outputs)
    downsample =
      stride == 1 && inputs == outputs
      ? nil
      : Sequential(
        Conv2d(inputs, outputs, kernelSize: 1, stride: Size2D(stride, stride), bias: false), BatchNorm2d(outputs))
    super.init()
  }

  override func forward(_ x: Tensor) throws -> Tensor {
    let y = try bn2(conv2(relu(bn1(conv1(x)))))
    return try relu(y + (downsample.map { try $0(x) } ?? x))
  }
}
