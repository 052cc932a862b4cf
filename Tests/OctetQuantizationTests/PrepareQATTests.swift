import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// Every layer that batch normalization can become a part of.
private final class NormalizedNet: Module {
  let conv1 = Conv2d(2, 6, kernelSize: 3, bias: false), bn1 = BatchNorm2d(6)
  let conv2 = Conv2d(6, 4, kernelSize: 3, padding: 1, groups: 2), bn2 = BatchNorm2d(4)
  let up = ConvTranspose2d(4, 6, kernelSize: 2, stride: 2, groups: 2), bn3 = BatchNorm2d(6)
  let bn4 = BatchNorm2d(6)
  let fc1 = Linear(6, 5), bn5 = BatchNorm1d(5)
  let fc2 = Linear(5, 3)

  override func forward(_ x: Tensor) throws -> Tensor {
    let a = try relu(bn1(conv1(x)))
    let b = try relu(bn3(up(relu(bn2(conv2(a))))))
    let pooled = try bn4(b).mean([2, 3])
    return try fc2(bn5(fc1(pooled)))
  }
}

@Suite("prepareQAT") struct PrepareQATTests: QATSuite {
  /// Where nothing is rounded, a prepared network trains as its module does: losses, parameters and statistics.
  @Test func unroundedItIsTheFloatNetwork() throws {
    func make() throws -> NormalizedNet {
      let net = NormalizedNet()
      try net.initialize(seed: 5)
      var generator = SeededGenerator(seed: 6)
      for (name, parameter) in net.namedParameters where name.hasPrefix("bn") {
        let range: ClosedRange<Float> = name.hasSuffix("var") ? 0.5...2 : -1...1
        parameter.value = try .random(parameter.value.shape, in: range, using: &generator)
      }
      // One channel is switched off, one is nearly.
      for bn in [net.bn1, net.bn2, net.bn3] {
        bn.weight.value = try Tensor([0, 1e-30] + bn.weight.value.floats.dropFirst(2), shape: bn.weight.value.shape)
      }
      return net
    }
    let (plain, twin) = (try make(), try make())
    let prepared = try twin.trace(TensorType(.float32, [.symbolic("n"), 2, 6, 6])).prepareQAT(qat)
    try prepared.enableFakeQuantize(false)
    (plain.isTraining, prepared.isTraining) = (true, true)
    let own = try SGD(plain.parameters, learningRate: 0.02, momentum: 0.9)
    // In the order of the plain network's.
    let named = Dictionary(uniqueKeysWithValues: twin.namedParameters.map { ($0.name, $0.parameter) })
    let theirs = try SGD(
      plain.namedParameters.filter { $0.parameter.isTrainable }.map { named[$0.name]! }, learningRate: 0.02,
      momentum: 0.9)
    #expect(
      Set(try prepared.trainableParameters.map(ObjectIdentifier.init))
        == Set(theirs.parameters.map(ObjectIdentifier.init)))
    let labels = try Tensor((0..<8).map { Int64($0 % 3) }, shape: [8])
    for seed in UInt64(0)..<4 {
      let x = try batch(seed, shape: [8, 2, 6, 6])
      let a = try valueAndGradients(of: own.parameters) { try crossEntropy(plain(x), labels) }
      let b = try valueAndGradients(of: theirs.parameters) { try crossEntropy(prepared(x), labels) }
      #expect(try discrepancy(b.value, a.value, absolute: 1e-5, relative: 1e-5) == nil)
      for (index, (gradient, expected)) in zip(b.gradients, a.gradients).enumerated() {
        let problem = try discrepancy(gradient, expected, absolute: 1e-5, relative: 1e-3)
        #expect(problem == nil, "step \(seed), parameter \(index)")
      }
      try own.step(a.gradients)
      try theirs.step(b.gradients)
    }
    for (name, value) in plain.stateDict {
      #expect(try discrepancy(named[name]!.value, value, absolute: 1e-5, relative: 1e-4) == nil, "\(name)")
    }
    // Evaluated, and converted without rounding anything, it is the float network too.
    (plain.isTraining, prepared.isTraining) = (false, false)
    let x = try batch(9, shape: [3, 2, 6, 6])
    #expect(try discrepancy(prepared(x), plain(x), absolute: 1e-5, relative: 1e-4) == nil)
  }

  /// Normalization behind normalization is folded at once; one that two layers share keeps each one's factor; and a layer in float
  /// reads what is made in float as it will when it is converted.
  @Test func oddPlacesOfNormalization() throws {
    final class Odd: Module {
      let conv1 = Conv2d(2, 3, kernelSize: 3), conv2 = Conv2d(2, 3, kernelSize: 3),
        skipped = Conv2d(2, 3, kernelSize: 3)
      let bn1 = BatchNorm2d(3), bn2 = BatchNorm2d(3), shared = BatchNorm2d(3)
      override func forward(_ x: Tensor) throws -> Tensor {
        let (a, b) = try (conv1(x), conv2(x))
        return try (shared(a) + shared(b)) + bn2(bn1(conv2(x))) + relu(skipped(x))
      }
    }
    let net = Odd()
    try net.initialize(seed: 2)
    net.bn2.weight.value = try Tensor([4 as Float, -2, 0.5], shape: [3])
    net.bn1.runningVar.value = try Tensor([0.2 as Float, 3, 1], shape: [3])
    let graph = try net.trace(TensorType(.float32, [.symbolic("n"), 2, 6, 6]))
    var map = qat
    map["skipped"] = .float
    let prepared = try graph.prepareQAT(map)
    let x = try batch(1, shape: [4, 2, 6, 6])
    try prepared.enableFakeQuantize(false)
    #expect(try discrepancy(prepared(x), net(x), absolute: 1e-5, relative: 1e-4) == nil)
    (prepared.isTraining, net.isTraining) = (true, false)
    _ = try prepared(x)
    try prepared.enableFakeQuantize()
    _ = try prepared(x)
    // Conversion changes nothing, in training too.
    let state = try prepared.state
    let converted = try prepared.convert().graph
    for (name, value) in try prepared.state {
      #expect(try discrepancy(value, state[name]!, absolute: 0, relative: 0) == nil, "\(name)")
    }
    prepared.isTraining = false
    let step = try prepared.sites[prepared.sites.count - 1].calculateQParams().scales[0]
    #expect(try discrepancy(converted.replay([x])[0], prepared(x), absolute: step * 1.01, relative: 1e-5) == nil)
  }

  /// A factor of 0 divides nothing: gradients are finite, and lead away from it.
  @Test func channelsThatAreSwitchedOffLearn() throws {
    let (net, prepared) = try small()
    net.bn1.weight.value = try Tensor([0 as Float, 1e-38, -1e-20, 1], shape: [4])
    net.bn1.bias.value = try Tensor(repeating: Float(0.1), shape: [4])
    prepared.isTraining = true
    let losses = try train(prepared, optimizer(prepared), seeds: 0..<5)
    #expect(losses.allSatisfy { $0.isFinite })
    for (name, value) in net.stateDict {
      #expect(try value.floats.allSatisfy { $0.isFinite }, "\(name)")
    }
    #expect(try net.bn1.weight.value.floats.allSatisfy { abs($0) > 1e-6 })
    prepared.isTraining = false
    #expect(try prepared.convert().graph.replay([batch(7)])[0].floats.allSatisfy { $0.isFinite })
  }

  @Test func sitesAndWeightsHaveFakeQuantizes() throws {
    let (_, prepared) = try small()
    #expect(prepared.sites.map(\.name) == ["x", "relu", "fc1.linear"])
    let site = try #require(prepared.sites["conv1"])
    #expect(site.name == "relu")
    #expect(site.values == ["relu", "max_pool", "flatten"] || site.values.count == 3)
    let fake = try #require(site.fakeQuantize)
    #expect(try fake.scale == [1])
    prepared.isTraining = true
    _ = try prepared(batch(1))
    // Values that are moved count too.
    #expect(fake.observations == 3)
    #expect(try fake.scale != [1])
    #expect(fake.minVal == [0])
    #expect(try site.calculateQParams() == fake.calculateQParams())
    #expect(try prepared.weightFakeQuantize("conv1")?.scale.count == 4)
    #expect(prepared.weightFakeQuantize("bn1") === prepared.weightFakeQuantize("conv1"))
    #expect(prepared.weightFakeQuantize("nothing") == nil)
    #expect("\(prepared.tabular())".contains("MovingAverageMinMaxObserver"))
    // Evaluation observes nothing.
    prepared.isTraining = false
    _ = try prepared(batch(2))
    #expect(fake.observations == 3)
  }

  /// Calibration sets ranges as it does for static quantization, and those of weights.
  @Test func calibrationIsABeginning() throws {
    let (net, prepared) = try small()
    net.bn1.runningVar.value = try Tensor([0.1 as Float, 0.4, 2, 9], shape: [4])
    let batches = try (0..<4).map { try batch($0) }
    try prepared.calibrate(batches)
    let fixed = try net.trace(TensorType(.float32, [.symbolic("n"), 1, 6, 6])).fused().prepare(qat)
    try fixed.calibrate(batches)
    for (site, expected) in zip(prepared.sites, fixed.sites) {
      #expect(try site.calculateQParams() == expected.calculateQParams())
    }
    let (a, b) = (try prepared.convert().graph, try fixed.convert().graph)
    // (The largest weights lie between two integers, where the two choose differently.)
    let step = try prepared.sites["fc1"]!.calculateQParams().scales[0]
    #expect(
      try discrepancy(a.replay([batches[0]])[0], b.replay([batches[0]])[0], absolute: step * 2.01, relative: 0) == nil)
    let (_, fresh) = try small()
    #expect(octetError { try fresh.convert() }?.code == .notObserved)
  }

  /// Scales learn once their observers are off, and are those of the integer network.
  @Test func scalesLearn() throws {
    let (_, prepared) = try small(learning: .learned)
    #expect(try prepared.trainableParameters.count == 6)
    try prepared.calibrate([batch(0)])
    // Scale and zero point of three sites, scales of two weights.
    #expect(try prepared.trainableParameters.count == 6 + 3 * 2 + 2)
    try prepared.disableObservers()
    prepared.isTraining = true
    let before = try prepared.sites["conv1"]!.calculateQParams()
    try train(prepared, optimizer(prepared, rate: 0.01), seeds: 0..<5)
    let after = try prepared.sites["conv1"]!.calculateQParams()
    #expect(before.scales != after.scales)
    prepared.isTraining = false
    let graph = try prepared.convert().graph
    #expect(
      graph.nodes.contains {
        if case .quantizeLinear(let payload) = $0.op { payload.parameters == after } else { false }
      })
    #expect(try discrepancy(graph.replay([batch(5)])[0], prepared(batch(5)), absolute: 1e-5, relative: 1e-5) == nil)
  }

  /// Numbers of a formula are none of the weights, though files do not say so.
  @Test func numbersOfFormulasStay() throws {
    final class Halved: Module {
      let fc1 = Linear(3, 2)
      override func forward(_ x: Tensor) throws -> Tensor { try fc1(x) * Tensor(Float(0.5)) }
    }
    let net = Halved()
    try net.initialize(seed: 1)
    var graph = try net.trace(TensorType(.float32, [.symbolic("n"), 3]))
    graph.parameters = graph.parameters.mapValues { Parameter($0.value) }
    #expect(graph.parameters.count == 3)
    let trainable = try graph.prepareQAT(qat).trainableParameters
    #expect(trainable.allSatisfy { $0.value.rank > 0 })
    #expect(!trainable.isEmpty)
  }
}
