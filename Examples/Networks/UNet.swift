import Octet

/// A U-Net (Ronneberger et al., 2015) of three levels with batch normalization and padded convolutions. Input
/// [n, inputs, h, w] with h and w divisible by 4, output [n, classes, h, w].
public final class UNet: Module {
  let down1, down2, bottom, up2, up1: Sequential
  let upsample2, upsample1: ConvTranspose2d
  let head: Conv2d

  public init(inputs: Int = 3, classes: Int = 2, width: Int = 64) {
    func block(_ inputs: Int, _ outputs: Int) -> Sequential {
      Sequential(
        Conv2d(inputs, outputs, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(outputs), ReLU(),
        Conv2d(outputs, outputs, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(outputs), ReLU())
    }
    down1 = block(inputs, width)
    down2 = block(width, 2 * width)
    bottom = block(2 * width, 4 * width)
    upsample2 = ConvTranspose2d(4 * width, 2 * width, kernelSize: 2, stride: 2)
    up2 = block(4 * width, 2 * width)
    upsample1 = ConvTranspose2d(2 * width, width, kernelSize: 2, stride: 2)
    up1 = block(2 * width, width)
    head = Conv2d(width, classes, kernelSize: 1)
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    let first = try down1(x)
    let second = try down2(maxPool2d(first, kernelSize: 2))
    let deepest = try bottom(maxPool2d(second, kernelSize: 2))
    let middle = try up2(concat([second, upsample2(deepest)], axis: 1))
    return try head(up1(concat([first, upsample1(middle)], axis: 1)))
  }
}
