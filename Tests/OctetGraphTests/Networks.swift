import OctetCore
import OctetGraph
import OctetNN
import TestSupport

/// A module whose forward is a closure over layers that have paths.
final class Lambda: Module {
  let layers: [Module]
  let body: ([Module], [Tensor]) throws -> [Tensor]

  init(_ layers: [Module] = [], _ body: @escaping ([Module], [Tensor]) throws -> [Tensor]) {
    self.layers = layers
    self.body = body
    super.init()
  }

  override var children: [(name: String, module: Module)] { layers.enumerated().map { ("\($0)", $1) } }

  override func forward(_ inputs: [Tensor?]) throws -> [Tensor] { try body(layers, inputs.map { $0! }) }
}

/// The `residual` cases of layers.safetensors.
final class ResidualBlock: Module {
  let conv1: Conv2d, bn1: BatchNorm2d, conv2: Conv2d, bn2: BatchNorm2d, downsample: Sequential

  init(_ inChannels: Int, _ channels: Int, stride: Int) {
    conv1 = Conv2d(inChannels, channels, kernelSize: 3, stride: Size2D(stride), padding: 1, bias: false)
    bn1 = BatchNorm2d(channels)
    conv2 = Conv2d(channels, channels, kernelSize: 3, padding: 1, bias: false)
    bn2 = BatchNorm2d(channels)
    downsample = Sequential(
      Conv2d(inChannels, channels, kernelSize: 1, stride: Size2D(stride), bias: false), BatchNorm2d(channels))
    super.init()
  }

  override func forward(_ x: Tensor) throws -> Tensor {
    try relu(bn2(conv2(relu(bn1(conv1(x))))) + downsample(x))
  }
}

/// The `fmnist_cnn` case: the demo's network in miniature.
final class FashionCNN: Module {
  let f = Sequential(
    Conv2d(1, 4, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(4), ReLU(),
    Conv2d(4, 6, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(6), ReLU(), MaxPool2d(kernelSize: 2),
    Conv2d(6, 8, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(8), ReLU(), MaxPool2d(kernelSize: 2))
  let l1 = Linear(32, 12)
  let l2 = Linear(12, 10)

  override func forward(_ x: Tensor) throws -> Tensor { try l2(relu(l1(f(x).flatten(from: 1)))) }
}

enum Networks {
  static let cases = ((try? VectorCase.load("layers")) ?? []).filter { (try? $0.string("kind")) == "network" }

  /// The network of a case, with its state loaded.
  static func network(_ test: VectorCase) throws -> Module? {
    let network: Module
    switch test.name {
    case "conv_bn_relu":
      network = Sequential(
        Conv2d(3, 4, kernelSize: 3, padding: 1), BatchNorm2d(4), ReLU(),
        Conv2d(4, 5, kernelSize: 3, stride: 2, bias: false), BatchNorm2d(5), ReLU())
    case "mlp": network = Sequential(Linear(6, 8), ReLU(), Dropout(0.5), Linear(8, 4))
    case "residual": network = ResidualBlock(3, 4, stride: try test.int("stride"))
    case "residual_strided": network = ResidualBlock(4, 6, stride: try test.int("stride"))
    case "fmnist_cnn": network = FashionCNN()
    default: return nil
    }
    try network.load(test.tensors(below: "state/"))
    return network
  }

  /// The type of the case's input, its batch symbolic.
  static func inputType(_ test: VectorCase) throws -> TensorType {
    var type = try test.tensor("x").type
    type.shape[0] = .symbolic("n")
    return type
  }

  /// Batch normalization that does something.
  static func batchNorm(_ channels: Int, seed: UInt64, epsilon: Float = 1e-5) throws -> BatchNorm2d {
    var generator = SeededGenerator(seed: seed)
    let layer = BatchNorm2d(channels, epsilon: epsilon)
    layer.weight.value = try .random([channels], in: -1.5...1.5, using: &generator)
    layer.bias.value = try .random([channels], using: &generator)
    layer.runningMean.value = try .random([channels], using: &generator)
    layer.runningVar.value = try .random([channels], in: 0.3...2, using: &generator)
    return layer
  }
}

extension Graph {
  var kinds: [Op.Kind] { nodes.map(\.op.kind) }

  func node(_ name: String) -> Node? { nodes.first { $0.name == name } }
}
