import Foundation
import Octet
import TestSupport

/// A float network with its parameters, what it is calibrated on and what it is tried on, as in
/// scripts/vectors/fx_defaults.py.
struct ComparedNetwork: Sendable {
  let name: String
  let graph: Graph
  let batches: [Tensor]
  let images: Tensor
  let labels: [Int]?
  /// How many values PyTorch observes.
  let siteCount: Int

  /// The name here of a value that PyTorch calls `name`.
  func name(ofValue name: String) -> String {
    name == "adaptive_avg_pool2d" ? "pool" : name.replacingOccurrences(of: "_", with: ".")
  }

  static func fashion() throws -> ComparedNetwork {
    let folder = "\(packageRoot)/Sources/OctetCLI/Resources"
    let network = FashionNet()
    try network.load(contentsOf: "\(folder)/fmnist_cnn.safetensors")
    let calibration = try pictures("\(folder)/fashion-mnist-calibration-256.npz", white: 255).images
    let test = try pictures("\(folder)/fashion-mnist-test-1k.npz", white: 255)
    return ComparedNetwork(
      name: "fmnist_cnn", graph: try fused(network, [1, 28, 28]), batches: try batches(calibration),
      images: test.images, labels: test.labels, siteCount: 9)
  }

  static func digits() throws -> ComparedNetwork {
    let folder = "\(packageRoot)/Examples/Data"
    let network = DigitsNet()
    try network.load(contentsOf: "\(folder)/digits_cnn.safetensors")
    let (images, labels) = try pictures("\(folder)/digits.npz", white: 16)
    let first = labels.count - 500
    return ComparedNetwork(
      name: "digits_cnn", graph: try fused(network, [1, 8, 8]), batches: try batches(images[0..<256]),
      images: try images[first..<labels.count], labels: Array(labels[first...]), siteCount: 8)
  }

  /// The tutorial's network with random parameters, on noise.
  static func observerCNN() throws -> ComparedNetwork {
    let vector = try VectorCase.load("observer_cnn")[0]
    let network = ObserverCNN()
    try network.load(vector.tensors(below: "state/"))
    let (x, divisor) = (try vector.tensor("x"), try vector.float("input_divisor"))
    let shape = Array(x.shape.dropFirst())
    let batches = try (0..<x.shape[0]).map { index in
      try Tensor(x[index..<index + 1].scalars(as: Int8.self).map { Float($0) / divisor }, shape: shape)
    }
    return ComparedNetwork(
      name: "observer_cnn", graph: try fused(network, [3, 32, 32]), batches: batches,
      images: try noise([200, 3, 32, 32]), labels: nil, siteCount: 6)
  }

  private static func fused(_ network: Module, _ shape: [Int]) throws -> Graph {
    try network.trace(TensorType(.float32, [.symbolic("n")] + shape.map { .fixed($0) })).fused()
  }

  private static func pictures(_ path: String, white: Float) throws -> (images: Tensor, labels: [Int]) {
    let file = try NpzFile(contentsOf: path)
    guard let images = file.tensors["images"], let labels = file.tensors["labels"] else {
      throw OctetError(.invalidFile, path, expected: "images and labels", found: "\(file.tensors.keys.sorted())")
    }
    let pixels = try images.scalars(as: UInt8.self).map { Float($0) / white }
    let shape = [images.shape[0], 1] + images.shape.dropFirst()
    return (try Tensor(pixels, shape: shape), try labels.scalars(as: UInt8.self).map { Int($0) })
  }

  private static func batches(_ images: Tensor) throws -> [Tensor] {
    try stride(from: 0, to: images.shape[0], by: 16).map { try images[$0..<$0 + 16] }
  }

  /// Nearly normal: the sum of the eight bytes of a number.
  private static func noise(_ shape: [Int]) throws -> Tensor {
    var generator = SeededGenerator(seed: 1)
    let numbers = (0..<shape.reduce(1, *)).map { _ -> Float in
      var (number, sum) = (generator.next(), 0)
      for _ in 0..<8 {
        sum += Int(number & 255)
        number >>= 8
      }
      return Float(Double(sum - 1020) / 208)
    }
    return try Tensor(numbers, shape: shape)
  }
}

private func convolution(_ inputs: Int, _ outputs: Int) -> [Module] {
  [Conv2d(inputs, outputs, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(outputs), ReLU()]
}

private final class FashionNet: Module {
  let f = Sequential(
    convolution(1, 16) + convolution(16, 32) + [MaxPool2d(kernelSize: 2)] + convolution(32, 64)
      + [MaxPool2d(kernelSize: 2)])
  let l1 = Linear(3136, 64)
  let l2 = Linear(64, 10)

  override func forward(_ x: Tensor) throws -> Tensor { try l2(relu(l1(f(x).flatten(from: 1)))) }
}

private final class DigitsNet: Module {
  let f = Sequential(
    convolution(1, 16) + convolution(16, 32) + [MaxPool2d(kernelSize: 2)] + convolution(32, 32)
      + [AdaptiveAvgPool2d(1)])
  let l = Linear(32, 10)

  override func forward(_ x: Tensor) throws -> Tensor { try l(f(x).flatten(from: 1)) }
}

private final class ObserverCNN: Module {
  let conv1 = Conv2d(3, 16, kernelSize: 3, padding: 1)
  let conv2 = Conv2d(16, 32, kernelSize: 3, padding: 1)
  let pool = AdaptiveAvgPool2d(1)
  let fc = Linear(32, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    try fc(pool(relu(conv2(relu(conv1(x))))).flatten(from: 1))
  }
}
