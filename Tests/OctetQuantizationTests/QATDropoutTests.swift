import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// Dropout behind an activation, in front of a linear layer.
private final class DroppingNet: Module {
  let conv1 = Conv2d(1, 4, kernelSize: 3), bn1 = BatchNorm2d(4), dropout1: Dropout
  let fc1 = Linear(64, 8), dropout2: Dropout, fc2 = Linear(8, 3)

  init(_ probability: Float) {
    (dropout1, dropout2) = (Dropout(probability), Dropout(probability))
    super.init()
  }

  override func forward(_ x: Tensor) throws -> Tensor {
    let features = try dropout1(relu(bn1(conv1(x)))).flatten(from: 1)
    return try fc2(dropout2(relu(fc1(features))))
  }
}

@Suite("Dropout in prepareQAT") struct QATDropoutTests: QATSuite {
  private func dropping(_ probability: Float = 0.5) throws -> PreparedGraph {
    let net = DroppingNet(probability)
    try net.initialize(seed: 3)
    return try prepared(net, [1, 6, 6])
  }

  private func prepared(
    _ net: Module, _ shape: [Int], _ map: QConfigMap = QConfigMap(.defaultQAT(for: .octet))
  ) throws -> PreparedGraph {
    try net.trace(TensorType(.float32, [.symbolic("n")] + shape.map(Dimension.fixed))).prepareQAT(map)
  }

  private func values(_ prepared: PreparedGraph, _ x: Tensor) throws -> [String: [Float]] {
    var values: [String: [Float]] = [:]
    _ = try prepared.replay([x]) { name, tensor in
      values[name] = try tensor.floats
      return tensor
    }
    return values
  }

  /// What is dropped from has been rounded; what is left is twice as large, and rounded no more until something computes.
  @Test func dropsFromRoundedValues() throws {
    let prepared = try dropping()
    try prepared.calibrate([batch(0)])
    prepared.isTraining = true
    let found = try values(prepared, batch(1))
    let (rounded, dropped) = (try #require(found["relu"]), try #require(found["dropout1.dropout"]))
    let scale = try #require(prepared.sites["relu"]).calculateQParams().scales[0]
    #expect(rounded.allSatisfy { abs(($0 / scale).rounded() * scale - $0) < 1e-5 })
    #expect(zip(rounded, dropped).allSatisfy { $1 == 0 || $1 == 2 * $0 })
    let positive = zip(rounded, dropped).filter { $0.0 > 0 }
    let share = Float(positive.count { $0.1 == 0 }) / Float(positive.count)
    #expect(abs(share - 0.5) < 0.1, "\(share) of \(positive.count)")
    // Moved, they are neither rounded nor clipped.
    #expect(found["flatten"] == dropped)
    #expect(dropped.max()! > rounded.max()! * 1.2)
    // Outside training nothing is dropped.
    prepared.isTraining = false
    let evaluated = try values(prepared, batch(1))
    #expect(evaluated["dropout1.dropout"] == evaluated["relu"])
  }

  /// Ranges are those of values before they are dropped from.
  @Test func rangesDoNotGrow() throws {
    let (dropping, whole) = (try dropping(), try dropping(1e-9))
    for prepared in [dropping, whole] {
      prepared.isTraining = true
      _ = try prepared(batch(1))
    }
    let (site, other) = (try #require(dropping.sites["relu"]), try #require(whole.sites["relu"]))
    #expect(try site.calculateQParams() == other.calculateQParams())
    #expect(site.values.contains("flatten") && site.observations == 1 && other.observations == 1)
  }

  private final class SummingNet: Module {
    let a = Linear(6, 6), b = Linear(6, 6), dropout: Dropout, fc = Linear(6, 2), isClipped: Bool
    init(_ probability: Float, isClipped: Bool) {
      (dropout, self.isClipped) = (Dropout(probability), isClipped)
      super.init()
    }
    override func forward(_ x: Tensor) throws -> Tensor {
      let sum = try dropout(a(x) + b(x))
      return try fc(isClipped ? relu6(sum) : relu(sum))
    }
  }

  /// A sum has no range of its own where a ReLU follows: the ReLU's is that of what is not dropped from yet.
  @Test(arguments: [false, true]) func rangesOfSumsDoNotGrow(_ isClipped: Bool) throws {
    let scales = try [0.5, 1e-9].map { (probability: Float) -> [Float] in
      let net = SummingNet(probability, isClipped: isClipped)
      try net.initialize(seed: 3)
      let prepared = try prepared(net, [6])
      prepared.isTraining = true
      _ = try prepared(batch(1, shape: [64, 6]))
      return try #require(prepared.sites[isClipped ? "clip" : "relu"]).calculateQParams().scales
    }
    #expect(scales[0] == scales[1])
  }

  /// Weights that are dropped from train without that.
  @Test func parametersAreNotDroppedFrom() throws {
    let net = Linear(6, 2)
    try net.initialize(seed: 1)
    var graph = try net.trace(TensorType(.float32, [.symbolic("n"), 6]))
    let (layer, weight) = (graph.nodes[0], graph.nodes[0].inputs[1]!)
    let drop = Node(name: "drop", op: .dropout(Op.Dropout(0.5)), inputs: [weight], outputs: ["dropped"])
    graph.nodes = [
      drop,
      Node(
        name: layer.name, op: layer.op, inputs: [layer.inputs[0], "dropped", layer.inputs[2]], outputs: layer.outputs),
    ]
    let prepared = try graph.validated().prepareQAT(QConfigMap(.defaultQAT(for: .octet)))
    try prepared.calibrate([batch(0, shape: [8, 6])])
    prepared.isTraining = true
    #expect(try prepared(batch(1, shape: [8, 6])).shape == [8, 2])
  }

  /// Numbers follow from the seed, the pass and the layer; not from threads.
  @Test func followsItsSeed() throws {
    let prepared = try dropping()
    try prepared.calibrate([batch(0)])
    try prepared.disableObservers()
    try prepared.freezeBatchNorm()
    prepared.isTraining = true
    // More elements than one thread takes.
    let x = try batch(1, shape: [600, 1, 6, 6])
    func passes(_ seed: UInt64, threads: Int = 1) throws -> [[Float]] {
      prepared.reseed(seed)
      return try withThreads(threads) { try (0..<2).map { _ in try prepared(x).floats } }
    }
    let first = try passes(1)
    #expect(first[0] != first[1])
    #expect(try passes(2)[0] != first[0])
    for threads in [1, 2, 3] { #expect(try passes(1, threads: threads) == first, "\(threads) threads") }
  }

  /// Two layers of one shape drop different elements.
  @Test func layersDrawApart() throws {
    let net = Sequential(Linear(4, 32), Dropout(0.5), Dropout(0.5))
    try net.initialize(seed: 1)
    let prepared = try prepared(net, [4])
    prepared.isTraining = true
    let found = try values(prepared, .random([50, 4], seed: 1))
    let (before, once, twice) = (found["0.linear"]!, found["1.dropout"]!, found["2.dropout"]!)
    #expect(zip(before, zip(once, twice)).contains { $0 != 0 && $1.0 != 0 && $1.1 == 0 })
    let left = Float(twice.count { $0 != 0 }) / Float(before.count { $0 != 0 })
    #expect(abs(left - 0.25) < 0.06, "\(left)")
  }

  /// What was saved goes on to the same bits, amid the numbers of a seed.
  @Test func savedStatesGoOn() throws {
    let first = try dropping()
    first.isTraining = true
    first.reseed(.max - 3)
    let optimizer = try optimizer(first, rate: 0.01)
    try train(first, optimizer, seeds: 0..<3)
    let (state, moments) = (try first.state, try optimizer.stateDict)
    let losses = try train(first, optimizer, seeds: 3..<6)
    let second = try dropping()
    try second.load(state)
    second.isTraining = true
    let other = try self.optimizer(second, rate: 0.01)
    try other.load(moments)
    #expect(try train(second, other, seeds: 3..<6) == losses)
  }

  /// Nothing of it is left in integers.
  @Test func isNotConverted() throws {
    let prepared = try dropping()
    prepared.isTraining = true
    try train(prepared, optimizer(prepared), seeds: 0..<4)
    prepared.isTraining = false
    let (graph, report) = try prepared.convert()
    #expect(report.kept.isEmpty && !report.entries.contains { $0.kind == .dropout })
    #expect(
      !graph.nodes.contains { $0.op.kind == .dropout } && !prepared.graph.nodes.contains { $0.op.kind == .dropout })
    let step = try prepared.sites["fc2"]!.calculateQParams().scales[0]
    #expect(try discrepancy(graph.replay([batch(9)])[0], prepared(batch(9)), absolute: step * 1.01, relative: 0) == nil)
  }

  /// Between a layer and its ReLU it acts behind that, which is the same; between a layer and its batch normalization there
  /// is nothing to drop from.
  @Test func withinALayer() throws {
    let net = Sequential(
      Linear(4, 16), Dropout(0.5), ReLU(), Linear(16, 8), Dropout(0.5), BatchNorm1d(8), ReLU(), Linear(8, 2))
    try net.initialize(seed: 1)
    let prepared = try prepared(net, [4])
    prepared.isTraining = true
    let x = try Tensor.random([50, 4], seed: 1)
    let found = try values(prepared, x)
    let pairs = try zip(#require(found["2.relu"]), #require(found["1.dropout"]))
    #expect(pairs.allSatisfy { $1 == 0 || $1 == 2 * $0 } && pairs.contains { $0 > 0 && $1 == 0 })
    #expect(found["4.dropout"] == nil)
    try prepared.enableFakeQuantize(false)
    prepared.isTraining = false
    #expect(try discrepancy(prepared(x), net(x), absolute: 1e-5, relative: 1e-4) == nil)
  }

  /// A layer in float reads numbers that were not rounded for others, with the same ones dropped; and so does an output.
  @Test func unroundedForLayersInFloat() throws {
    final class Both: Module {
      let dropout = Dropout(0.5), fc1 = Linear(6, 3), fc2 = Linear(6, 3)
      override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
        let x = try dropout(inputs[0]!)
        return [try fc1(x), try fc2(x), x]
      }
    }
    let net = Both()
    try net.initialize(seed: 1)
    try net.fc2.load([
      "weight": Tensor((0..<18).map { Float($0 % 7 == 0 ? 1 : 0) }, shape: [3, 6]), "bias": Tensor(zeros: [3]),
    ])
    var map = qat
    map["fc2"] = .float
    let prepared = try net.trace(TensorType(.float32, [.symbolic("n"), 6])).prepareQAT(map)
    let x = try Tensor.random([20, 6], seed: 4)
    try prepared.calibrate([x])
    prepared.isTraining = true
    var dropped: [Float] = []
    let results = try prepared.replay([x]) { name, tensor in
      if name == "dropout.dropout" { dropped = try tensor.floats }
      return tensor
    }
    // fc2 picks numbers 0, 1 and 2 of a row.
    let (picked, kept, real) = (try results[1].floats, try results[2].floats, try x.floats)
    #expect(zip(kept, real).allSatisfy { $0 == 0 || $0 == 2 * $1 } && kept != dropped)
    #expect(zip(kept, dropped).allSatisfy { ($0 == 0) == ($1 == 0) })
    for row in 0..<20 { for i in 0..<3 { #expect(picked[row * 3 + i] == kept[row * 6 + [0, 1, 2][i]]) } }
  }
}
