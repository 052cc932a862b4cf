import Octet

/// A small convolutional network for Fashion-MNIST: images [n, 1, 28, 28] to logits [n, 10], 224,826 parameters.
final class FashionMNISTNet: Module {
  let f = Sequential(
    Conv2d(1, 16, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(16), ReLU(),
    Conv2d(16, 32, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(32), ReLU(), MaxPool2d(kernelSize: 2),
    Conv2d(32, 64, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(64), ReLU(), MaxPool2d(kernelSize: 2))
  let l1 = Linear(3136, 64)
  let l2 = Linear(64, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    try l2(relu(l1(f(x).flatten(from: 1))))
  }
}
