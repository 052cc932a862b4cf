import Octet

/// A small network of our own: images [n, 3, 16, 16] to scores [n, 4].
final class Classifier: Module {
  let features = Sequential(
    Conv2d(3, 16, kernelSize: 3, padding: 1), BatchNorm2d(16), ReLU(), MaxPool2d(kernelSize: 2),
    Conv2d(16, 32, kernelSize: 3, padding: 1), BatchNorm2d(32), ReLU(), AdaptiveAvgPool2d(1))
  let head = Linear(32, 4)

  override func forward(_ x: Tensor) throws -> Tensor {
    try head(features(x).flatten(from: 1))
  }
}

/// Images of smooth noise, the same on every run.
func images(_ count: Int, seed: Float) throws -> Tensor {
  let scalars = (0..<count * 3 * 16 * 16).map { i in
    let x = Float(i) * 0.618 + seed
    return x - x.rounded(.down) - 0.5
  }
  return try Tensor(scalars, shape: [count, 3, 16, 16])
}

@main
struct Downstream {
  static func main() throws {
    let network = Classifier()
    try network.initialize(seed: 7)

    let graph = try network.trace(TensorType(.float32, [.symbolic("n"), 3, 16, 16])).fused()
    let prepared = try graph.prepare(QConfigMap(.default))
    try prepared.calibrate((0..<8).lazy.map { try! images(4, seed: Float($0) * 0.1) })
    let (quantized, report) = try prepared.convert()
    print(report)

    let session = Session(try Plan(quantized), threads: 1)
    let input = try images(2, seed: 0.05)
    let expected = try network(input).scalars(as: Float.self)
    let found = try session(input).scalars(as: Float.self)
    let largest = zip(expected, found).map { abs($0 - $1) }.max()!
    let range = expected.map(abs).max()!
    print("float32  \(expected)")
    print("int8     \(found)")
    precondition(largest < 0.05 * range, "int8 is off by \(largest) of \(range)")
  }
}
