import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport

/// A convolution, its normalization, and a linear layer.
final class SmallNet: Module {
  let conv1 = Conv2d(1, 4, kernelSize: 3), bn1 = BatchNorm2d(4), fc1 = Linear(16, 3)

  override func forward(_ x: Tensor) throws -> Tensor {
    try fc1(maxPool2d(relu(bn1(conv1(x))), kernelSize: 2).flatten(from: 1))
  }
}

/// What tests of quantization-aware training begin with.
protocol QATSuite {}

extension QATSuite {
  var qat: QConfigMap { QConfigMap(.defaultQAT(for: .octet)) }

  func small(learning: FakeQuantize.Learning = .observed) throws -> (net: SmallNet, prepared: PreparedGraph) {
    let net = SmallNet()
    try net.initialize(seed: 3)
    return (net, try net.trace(TensorType(.float32, [.symbolic("n"), 1, 6, 6])).prepareQAT(qat, learning: learning))
  }

  func batch(_ seed: UInt64, shape: [Int] = [8, 1, 6, 6]) throws -> Tensor { try .random(shape, seed: seed) }

  @discardableResult
  func train(_ prepared: PreparedGraph, _ optimizer: Optimizer, seeds: Range<UInt64>) throws -> [Float] {
    try seeds.map { seed in
      let labels = try Tensor((0..<8).map { Int64($0 % 3) }, shape: [8])
      let (loss, gradients) = try valueAndGradients(of: optimizer.parameters) {
        try crossEntropy(prepared(batch(seed)), labels)
      }
      try optimizer.step(gradients)
      return try loss.item(as: Float.self)
    }
  }

  func optimizer(_ prepared: PreparedGraph, rate: Float = 0.05) throws -> Optimizer {
    try SGD([ParameterGroup(prepared.trainableParameters)], learningRate: rate, momentum: 0.9)
  }
}
