import Octet
import TestSupport
import Testing

/// The network of PyTorch's MNIST example for images of 8 × 8, without dropout.
private final class Tutorial: Module {
  let conv1 = Conv2d(1, 32, kernelSize: 3), conv2 = Conv2d(32, 64, kernelSize: 3)
  let fc1 = Linear(256, 128), fc2 = Linear(128, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    let pooled = try maxPool2d(relu(conv2(relu(conv1(x)))), kernelSize: 2)
    return try fc2(relu(fc1(pooled.flatten(from: 1))))
  }
}

/// Batch normalization behind convolutions with and without bias, in groups, and behind a linear layer.
private final class Normalized: Module {
  let conv1 = Conv2d(1, 8, kernelSize: 3, padding: 1, bias: false), bn1 = BatchNorm2d(8)
  let conv2 = Conv2d(8, 12, kernelSize: 3, stride: 2, groups: 2), bn2 = BatchNorm2d(12)
  let fc1 = Linear(108, 16), bn3 = BatchNorm1d(16)
  let fc2 = Linear(16, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    let features = try relu(bn2(conv2(relu(bn1(conv1(x))))))
    return try fc2(bn3(fc1(features.flatten(from: 1))))
  }
}

/// 50 steps of quantization-aware training beside PyTorch's, from the same parameters and with the same batches
/// (scripts/vectors/qat.py).
@Suite("Quantization-aware training against PyTorch") struct QATVectorTests {
  static let cases = (try? VectorCase.load("qat")) ?? []

  @Test func theFileHoldsTheCasesThatTestsCount() { #expect(Self.cases.map(\.name) == ["normalized", "tutorial"]) }

  private func startValues(_ count: Int, seed: Int) -> [Float] {
    var generator = SeededGenerator(seed: UInt64(seed))
    return (0..<count).map { _ in Float(generator.next() >> 40) * 0x1p-24 - 0.5 }
  }

  private func start(_ network: Module) throws {
    for (seed, (name, parameter)) in network.namedParameters.filter({ $0.parameter.isTrainable }).enumerated() {
      let shape = parameter.value.shape
      let values = startValues(shape.reduce(1, *), seed: seed)
      let fan = Float(shape.dropFirst().reduce(1, *)).squareRoot()
      let isScale = name.contains("bn") && name.hasSuffix("weight")
      parameter.value = try Tensor(
        values.map { shape.count > 1 ? $0 * 4 / fan : isScale ? $0 * 2 + 0.5 : $0 * 0.2 }, shape: shape)
    }
  }

  @Test(arguments: cases) func fiftySteps(_ test: VectorCase) throws {
    let digits = try NpzFile(contentsOf: "\(packageRoot)/Examples/Data/digits.npz").tensors
    let images = try Tensor(
      #require(digits["images"]).scalars(as: UInt8.self).map { Float($0) * Float($0) / 256 }, shape: [1797, 1, 8, 8])
    let labels = try Tensor(#require(digits["labels"]).scalars(as: UInt8.self).map(Int64.init), shape: [1797])
    let network: Module = test.name == "tutorial" ? Tutorial() : Normalized()
    try start(network)
    let graph = try network.trace(TensorType(.float32, [.symbolic("n"), 1, 8, 8]))
    let prepared = try graph.prepareQAT(QConfigMap(.defaultQAT(for: .octet)))
    prepared.isTraining = true
    let optimizer = try SGD(
      [ParameterGroup(prepared.trainableParameters)], learningRate: test.float("rate"))
    let (batch, expected) = (try test.int("batch"), try test.tensor("losses").floats)
    var losses: [Float] = []
    for step in 0..<(try test.int("steps")) {
      if step == 30, test.name == "normalized" {
        try prepared.disableObservers()
        // (PyTorch's function leaves out what is behind linear layers.)
        try prepared.freezeBatchNorm("bn[12]")
      }
      let rows = try Tensor((0..<batch).map { Int64((step * batch + $0) % 1297) }, shape: [batch])
      let (loss, gradients) = try valueAndGradients(of: optimizer.parameters) {
        try crossEntropy(prepared(images.gather(rows)), labels.gather(rows))
      }
      try optimizer.step(gradients)
      losses.append(try loss.item(as: Float.self))
    }
    let worst = zip(losses, expected).map { abs($0 - $1) }.max()!
    #expect(worst < 1e-3, "losses differ by up to \(worst)")

    var (count, differing, furthest) = (0, 0, Float(0))
    func compare(_ fake: FakeQuantize, _ name: String) throws {
      for (a, b) in zip(try fake.scale, try test.tensor("\(name).scale").floats) { furthest = max(furthest, abs(a / b - 1)) }
      for (a, b) in zip(try fake.zeroPoint, try test.tensor("\(name).zero").scalars(as: Int64.self)) {
        count += 1
        if a != Int(b) { differing += 1 }
      }
    }
    let names = test.tensors.keys.filter { $0.hasPrefix("activation") && $0.hasSuffix(".scale") }.sorted()
    #expect(names.count == prepared.sites.count)
    for (site, name) in zip(prepared.sites, names) { try compare(#require(site.fakeQuantize), String(name.dropLast(6))) }
    for (name, module) in network.namedModules where module is Conv2d || module is Linear {
      try compare(#require(prepared.weightFakeQuantize(name)), "\(name).weight_fake_quant")
    }
    #expect(furthest < 1e-3, "scales differ by up to \(furthest)")
    #expect(differing * 100 <= count, "\(differing) of \(count) zero points differ")
    print("\(test.name): losses within \(worst), scales within \(furthest), \(differing) of \(count) zero points differ")

    let ends = test.tensors.keys.filter { $0.hasPrefix("end.") }
    for name in ends {
      // PyTorch has normalization as a part of the layer.
      let layers = ["conv1.bn": "bn1", "conv2.bn": "bn2", "fc1.bn": "bn3"]
      let own = layers.reduce(String(name.dropFirst(4))) { $0.replacing($1.key, with: $1.value) }
      let value = try #require(network.stateDict[own])
      #expect(try discrepancy(value, test.tensor(name), absolute: 1e-3, relative: 1e-3) == nil, "\(own)")
    }
  }
}
