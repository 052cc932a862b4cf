import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

@Suite("Switches of prepareQAT") struct QATSwitchTests: QATSuite {
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

  /// A batch without samples is nothing to learn from, and nothing that was seen; normalization by it is an error.
  @Test(arguments: [FakeQuantize.Learning.observed, .learned]) func batchesOfNothing(
    _ learning: FakeQuantize.Learning
  ) throws {
    let (_, prepared) = try small(learning: learning)
    try prepared.calibrate([batch(0)])
    let nothing = try Tensor(zeros: [0, 1, 6, 6])
    #expect(try prepared(nothing).shape == [0, 3])
    prepared.isTraining = true
    let error = octetError { try prepared(nothing) }
    #expect(error?.code == .shapeMismatch && error?.subject.contains("batchNormalization") == true, "\(error!)")
    try prepared.freezeBatchNorm()
    let before = try prepared.sites.map { try $0.calculateQParams() }
    for _ in 0..<2 {
      let observations = prepared.sites.map(\.observations)
      let parameters = try prepared.trainableParameters
      let (loss, gradients) = try valueAndGradients(of: parameters) { try prepared(nothing).sum([0, 1]) }
      #expect(try loss.item(as: Float.self) == 0)
      #expect(try gradients.allSatisfy { try $0.floats.allSatisfy { $0 == 0 } })
      #expect(prepared.sites.map(\.observations) == observations)
      try prepared.disableObservers()
    }
    #expect(try prepared.sites.map { try $0.calculateQParams() } == before)
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
}
