import Octet

/// The network of PyTorch's MNIST example: two convolutions, max pooling, two linear layers. Input [n, 1, size, size],
/// output [n, classes].
public final class MNISTCNN: Module {
  let conv1: Conv2d
  let conv2: Conv2d
  let dropout1 = Dropout(0.25)
  let dropout2 = Dropout(0.5)
  let fc1: Linear
  let fc2: Linear

  /// - Parameter size: height and width of an image: 28 for MNIST, 8 for digits.
  public init(size: Int = 28, channels: (Int, Int) = (32, 64), hidden: Int = 128, classes: Int = 10) {
    conv1 = Conv2d(1, channels.0, kernelSize: 3)
    conv2 = Conv2d(channels.0, channels.1, kernelSize: 3)
    let pooled = (size - 4) / 2
    fc1 = Linear(channels.1 * pooled * pooled, hidden)
    fc2 = Linear(hidden, classes)
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor {
    let features = try maxPool2d(relu(conv2(relu(conv1(x)))), kernelSize: 2)
    return try fc2(dropout2(relu(fc1(dropout1(features).flatten(from: 1)))))
  }
}
