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

/// The largest size, of a user's own.
private struct OwnObserver: Observer {
  var largest: Float = 0

  mutating func observe(_ x: Tensor) throws { largest = try x.floats.reduce(largest) { Swift.max($0, Swift.abs($1)) } }
  func calculateQParams() throws -> QuantizationParameters {
    try QuantizationParameters(scale: Swift.max(largest, 1e-3) / 127, zeroPoint: 128, dtype: .uint8)
  }
  mutating func merge(_ other: OwnObserver) { largest = Swift.max(largest, other.largest) }
  mutating func reset() { largest = 0 }
}

private final class SmallNet: Module {
  let conv1 = Conv2d(1, 4, kernelSize: 3), bn1 = BatchNorm2d(4), fc1 = Linear(16, 3)

  override func forward(_ x: Tensor) throws -> Tensor {
    try fc1(maxPool2d(relu(bn1(conv1(x))), kernelSize: 2).flatten(from: 1))
  }
}

@Suite("prepareQAT") struct PrepareQATTests {
  private let qat = QConfigMap(.defaultQAT(for: .octet))

  private func small(learning: FakeQuantize.Learning = .observed) throws -> (net: SmallNet, prepared: PreparedGraph) {
    let net = SmallNet()
    try net.initialize(seed: 3)
    return (net, try net.trace(TensorType(.float32, [.symbolic("n"), 1, 6, 6])).prepareQAT(qat, learning: learning))
  }

  private func batch(_ seed: UInt64, shape: [Int] = [8, 1, 6, 6]) throws -> Tensor { try .random(shape, seed: seed) }

  @discardableResult
  private func train(_ prepared: PreparedGraph, _ optimizer: Optimizer, seeds: Range<UInt64>) throws -> [Float] {
    try seeds.map { seed in
      let labels = try Tensor((0..<8).map { Int64($0 % 3) }, shape: [8])
      let (loss, gradients) = try valueAndGradients(of: optimizer.parameters) {
        try crossEntropy(prepared(batch(seed)), labels)
      }
      try optimizer.step(gradients)
      return try loss.item(as: Float.self)
    }
  }

  private func optimizer(_ prepared: PreparedGraph, rate: Float = 0.05) throws -> Optimizer {
    try SGD([ParameterGroup(prepared.trainableParameters)], learningRate: rate, momentum: 0.9)
  }

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

  /// Observers of a user's own are saved and loaded like others.
  @Test func statesOfOwnObserversGoOn() throws {
    let config = QConfig(activation: OwnObserver(), weight: QConfig.defaultQAT(for: .octet).weight)
    let net = SmallNet()
    try net.initialize(seed: 3)
    let graph = try net.trace(TensorType(.float32, [.symbolic("n"), 1, 6, 6]))
    let prepared = try graph.prepareQAT(QConfigMap(config))
    try prepared.calibrate([batch(0)])
    let another = try graph.prepareQAT(QConfigMap(config))
    try another.load(prepared.state)
    #expect(try another(batch(1)).floats == prepared(batch(1)).floats)
    // What has no finite element is nothing that was seen.
    let empty = try graph.prepareQAT(QConfigMap(config))
    try empty.calibrate([Tensor(zeros: [0, 1, 6, 6])])
    #expect(octetError { try empty.convert() }?.code == .notObserved)
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

  /// In evaluation, and frozen, batch normalization is a part of weights and biases, which are those of the integer network.
  @Test func frozenIsFolded() throws {
    let (net, prepared) = try small()
    prepared.isTraining = true
    try train(prepared, optimizer(prepared), seeds: 0..<4)
    try prepared.disableObservers()
    let mean = try net.bn1.runningMean.value.floats
    try prepared.freezeBatchNorm("bn?")
    let training = try prepared(batch(5))
    #expect(try net.bn1.runningMean.value.floats == mean)
    prepared.isTraining = false
    let evaluating = try prepared(batch(5))
    #expect(try training.floats == evaluating.floats)
    let (graph, report) = try prepared.convert()
    #expect(report.kept.isEmpty)
    #expect(!graph.nodes.contains { $0.op.kind == .batchNormalization })
    // (Sums in another order may round the other way.)
    let step = try prepared.sites["fc1"]!.calculateQParams().scales[0]
    #expect(try discrepancy(graph.replay([batch(5)])[0], evaluating, absolute: step * 1.01, relative: 0) == nil)
    // It goes on training from there.
    prepared.isTraining = true
    try train(prepared, optimizer(prepared), seeds: 0..<2)
    #expect(try net.bn1.runningMean.value.floats == mean)
  }

  @Test func switchesGoByName() throws {
    let (_, prepared) = try small()
    prepared.isTraining = true
    _ = try prepared(batch(1))
    let conv = try #require(prepared.weightFakeQuantize("conv1")), fc = try #require(prepared.weightFakeQuantize("fc1"))
    try prepared.disableObservers("conv*")
    #expect(!conv.isObserverEnabled && fc.isObserverEnabled)
    #expect(prepared.sites["conv1"]?.fakeQuantize?.isObserverEnabled == false)
    try prepared.enableObservers()
    #expect(conv.isObserverEnabled)
    try prepared.enableFakeQuantize(false, for: "fc1")
    #expect(conv.isFakeQuantizeEnabled && !fc.isFakeQuantizeEnabled)
    try prepared.disableObservers("x")
    #expect(prepared.sites["x"]?.fakeQuantize?.isObserverEnabled == false)
    #expect(octetError { try prepared.disableObservers("cnov1") }?.code == .unknownName)
    #expect(octetError { try prepared.enableFakeQuantize(for: "none") }?.code == .unknownName)
    #expect(octetError { try prepared.freezeBatchNorm("conv9") }?.code == .unknownName)
    let fixed = try prepared.graph.prepare(QConfigMap(.default))
    #expect(octetError { try fixed.disableObservers() }?.code == .unsupported)
    #expect(octetError { try fixed.state }?.code == .unsupported)
    #expect(try fixed.trainableParameters.isEmpty)
    #expect(fixed.warnings().isEmpty)
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

  /// What was saved goes on to the same bits.
  @Test(arguments: [FakeQuantize.Learning.observed, .learned]) func savedStatesGoOn(_ learning: FakeQuantize.Learning)
    throws
  {
    let (_, prepared) = try small(learning: learning)
    try prepared.calibrate([batch(0)])
    prepared.isTraining = true
    let optimizer = try optimizer(prepared, rate: 0.01)
    try train(prepared, optimizer, seeds: 0..<3)
    if learning == .learned { try prepared.disableObservers() } else { try prepared.freezeBatchNorm() }
    try train(prepared, optimizer, seeds: 3..<6)
    let (state, moments) = (try prepared.state, try optimizer.stateDict)
    let losses = try train(prepared, optimizer, seeds: 6..<9)

    let (_, another) = try small(learning: learning)
    try another.load(state)
    another.isTraining = true
    let second = try self.optimizer(another, rate: 0.01)
    try second.load(moments)
    #expect(try train(another, second, seeds: 6..<9) == losses)
    let (a, b) = (try prepared.state, try another.state)
    #expect(Set(a.keys) == Set(b.keys))
    for (name, value) in a { #expect(try discrepancy(b[name]!, value, absolute: 0, relative: 0) == nil, "\(name)") }
  }

  @Test func damagedStatesAreErrors() throws {
    let (net, prepared) = try small()
    try prepared.calibrate([batch(0)])
    let state = try prepared.state
    let weights = try net.fc1.weight.value.floats
    func error(_ change: (inout [String: Tensor]) throws -> Void) throws -> OctetError? {
      var damaged = state
      try change(&damaged)
      return octetError { try prepared.load(damaged) }
    }
    #expect(try error { $0["conv1.weight"] = nil }?.code == .unknownName)
    #expect(try error { $0["more"] = try Tensor(Float(1)) }?.code == .unknownName)
    #expect(try error { $0["conv1.weight"] = try Tensor(Float(1)) }?.code == .shapeMismatch)
    #expect(
      try error { $0["fake_quantize"] = try Tensor([UInt8](repeating: 65, count: 9), shape: [9]) }?.code == .invalidFile
    )
    #expect(try error { $0["fake_quantize"] = try Tensor(Float(1)) }?.code == .dtypeMismatch)
    let text = String(decoding: try state["fake_quantize"]!.scalars(as: UInt8.self), as: UTF8.self)
    func replaced(_ old: String, _ new: String) throws -> Tensor {
      let bytes = Array(text.replacing(old, with: new).utf8)
      return try Tensor(bytes, shape: [bytes.count])
    }
    #expect(text.contains("\"frozen\":[]"))
    #expect(
      try error { $0["fake_quantize"] = try replaced("\"frozen\":[]", "\"frozen\":[\"a\"]") }?.code == .invalidArgument)
    #expect(try error { $0["fake_quantize"] = try replaced("MovingAverageMinMaxObserver", "MinMaxObserver") } != nil)
    #expect(try net.fc1.weight.value.floats == weights)
    try prepared.load(state)
  }

  /// Rounding by a scale that nobody has found is an error that names the place.
  @Test func whatHasSeenNothingRoundsNothing() throws {
    let (_, prepared) = try small()
    let evaluated = octetError { try prepared(batch(0)) }
    #expect(evaluated?.code == .notObserved)
    #expect(evaluated?.subject.contains("x") == true)
    prepared.isTraining = true
    try prepared.disableObservers("conv1")
    let weight = octetError { try prepared(batch(0)) }
    #expect(weight?.code == .notObserved)
    #expect(weight?.subject.contains("conv1") == true)
    try prepared.enableFakeQuantize(false, for: "conv1")
    _ = try prepared(batch(0))
    #expect(octetError { try prepared.convert() }?.code == .notObserved)
  }

  @Test func warningsNameTheFault() throws {
    func faults(_ prepare: (PreparedGraph) throws -> Void) throws -> [TrainingWarning] {
      let (net, prepared) = try small()
      // (Statistics that have yet to settle make weights grow faster than their averages.)
      net.isTraining = true
      for seed in UInt64(100)..<140 { _ = try net(batch(seed)) }
      net.isTraining = false
      try prepare(prepared)
      return prepared.warnings()
    }
    let healthy = try faults { prepared in
      prepared.isTraining = true
      try train(prepared, optimizer(prepared, rate: 0.001), seeds: 0..<15)
      try prepared.disableObservers()
    }
    #expect(healthy.isEmpty, "\(healthy)")

    let evaluating = try faults { prepared in
      try prepared.calibrate([batch(0)])
      try train(prepared, optimizer(prepared), seeds: 0..<1)
    }
    #expect(evaluating.contains { $0.fault == .notInTrainingMode && $0.subject == nil })

    let wild = try faults { prepared in
      prepared.isTraining = true
      try train(prepared, optimizer(prepared, rate: 0.01), seeds: 0..<13)
      try train(prepared, optimizer(prepared, rate: 3000), seeds: 13..<15)
      try prepared.disableObservers()
    }
    #expect(wild.contains { $0.fault == .scaleJumps && $0.subject == "fc1.linear" }, "\(wild)")
    #expect(wild.contains { $0.fault == .frozenTooSoon && $0.subject == "fc1.linear" })

    let narrow = try faults { prepared in
      prepared.isTraining = true
      _ = try prepared(batch(0))
      try train(prepared, optimizer(prepared, rate: 0), seeds: 0..<1)
      try prepared.disableObservers()
      try prepared.freezeBatchNorm()
      try prepared.enableFakeQuantize(false, for: "x")
      // Inputs ten times as large as those that were seen.
      _ = try valueAndGradients(of: prepared.trainableParameters) {
        try crossEntropy(prepared(batch(0) * Tensor(Float(10))), Tensor([Int64](repeating: 0, count: 8), shape: [8]))
      }
    }
    let clipped = try #require(narrow.first { $0.fault == .clipsTooMuch && $0.subject == "relu" }, "\(narrow)")
    #expect(clipped.figure! > 0.05)
    #expect("\(clipped)".contains("% of its values are clipped"))
    #expect(
      Set(TrainingWarning.Fault.allCases.map { "\(TrainingWarning(fault: $0, subject: "a", figure: 0.5))" }).count == 4)
  }
}
