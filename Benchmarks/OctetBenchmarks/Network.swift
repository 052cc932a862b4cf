import Octet

/// The network of `octet demo`, with random weights: images [n, 1, 28, 28] to logits [n, 10].
final class Network: Module {
  let features = Sequential(
    Conv2d(1, 16, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(16), ReLU(),
    Conv2d(16, 32, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(32), ReLU(), MaxPool2d(kernelSize: 2),
    Conv2d(32, 64, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(64), ReLU(), MaxPool2d(kernelSize: 2))
  let hidden = Linear(3136, 64)
  let head = Linear(64, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    try head(relu(hidden(features(x).flatten(from: 1))))
  }

  static func make() throws -> Network {
    let network = Network()
    try network.initialize(seed: 1)
    return network
  }

  static let input = TensorType(.float32, [.symbolic("n"), 1, 28, 28])

  static func fused() throws -> Graph { try make().trace(input).fused() }

  static func images(_ count: Int) throws -> Tensor { try Tensor(numbers(count * 784), shape: [count, 1, 28, 28]) }

  /// A graph that has seen four batches of eight images.
  static func calibrated() throws -> PreparedGraph {
    let prepared = try fused().prepare(QConfigMap(.default))
    try prepared.calibrate((0..<4).map { _ in try images(8) })
    return prepared
  }
}

/// Numbers in −1…1, the same every time.
func numbers(_ count: Int) -> [Float] {
  var state: UInt32 = 1
  return (0..<count).map { _ in
    state = state &* 1_664_525 &+ 1_013_904_223
    return Float(Int32(bitPattern: state)) / Float(Int32.max)
  }
}
