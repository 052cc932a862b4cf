import Foundation
import Networks
import Octet

/// A network that is trained from its first random parameters, and its integer forms: `octet demo --train`.
final class TrainedDemo {
  private let data: TrainingData
  private let bits: Int
  private let epochs: Int
  private let seed: UInt64
  private let threads: Int
  /// For people: what was done.
  private(set) var notes: [String] = []

  init(_ options: DemoCommand) throws {
    data = try options.data.map { try TrainingData.fashionMNIST(in: $0) } ?? TrainingData.digits()
    bits = options.bits ?? 8
    epochs = options.epochs ?? (options.data != nil ? 10 : options.quick ? 30 : 40)
    seed = options.seed ?? 1
    threads = options.threads ?? ProcessInfo.processInfo.activeProcessorCount
  }

  func rows() throws -> [Measurement] {
    let network = MNISTCNN(size: data.size)
    try network.initialize(seed: seed)
    try train(network)
    let graph = try network.trace(
      TensorType(.float32, [.symbolic("n"), 1, .fixed(data.size), .fixed(data.size)]), outputNames: ["logits"])
    let fused = try graph.fused()
    let calibration = try DemoData(data.training.subset(0..<256))

    let candidates = try Candidates(threads: 1)
    try candidates.add("trained-float32", fused)
    try candidates.add("trained-dynamic", fused.quantizeDynamic(weight: weightObserver).graph)
    let prepared = try fused.prepare(
      QConfigMap(QConfig(activation: QConfig.default.activation, weight: weightObserver)))
    try calibrate(prepared, on: calibration, "trained-static")
    try candidates.add("trained-static", prepared.convert().graph)
    // (From here on the network's own parameters change.)
    try candidates.add("trained-qat", trainedAware(graph, calibration))
    return try candidates.measure(DemoData(data.test))
  }

  private func train(_ network: MNISTCNN) throws {
    let batches = try batches(seed)
    let optimizer = try AdamW(network.parameterGroups(weightDecay: 0.01), learningRate: 4e-3)
    let trainer = Trainer(
      network, .classification(labelSmoothing: 0.05), optimizer, schedule: .oneCycle(steps: epochs * batches.count),
      seed: seed)
    try train(trainer, batches, epochs, "trained-float32")
  }

  /// The float network trained on with values and weights rounded: a lower learning rate with a warm-up; ranges follow for the
  /// first half and then stay.
  private func trainedAware(_ graph: Graph, _ calibration: DemoData) throws -> Graph {
    let prepared = try graph.prepareQAT(QConfigMap(.aware(.octet, bits: bits)))
    try calibrate(prepared, on: calibration, "trained-qat")
    // With weights of 4 bits there is more to learn anew.
    let count = max(1, bits == 4 ? epochs / 2 : epochs / 4)
    let batches = try batches(seed &+ 1)
    let steps = count * batches.count
    let warmUp = min(steps / 10, batches.count)
    let optimizer = try AdamW([ParameterGroup(prepared.trainableParameters)], learningRate: bits == 4 ? 1e-3 : 4e-4)
    let trainer = Trainer(
      prepared, .classification(labelSmoothing: 0.05), optimizer,
      schedule: .warmUp(warmUp, then: .cosine(steps: steps - warmUp, minimum: 0.01)), seed: seed &+ 1)
    trainer.qat = QATSchedule(observersOffAfter: (count + 1) / 2, batchNormFrozenAfter: (count + 1) / 2)
    try train(trainer, batches, count, "trained-qat")
    for warning in prepared.warnings() { notes.append("trained-qat: \(warning)") }
    return try prepared.convert().graph
  }

  private func batches(_ seed: UInt64) throws -> Batches {
    try Batches(data.training, size: data.size == 8 ? 64 : 128, shuffled: true, seed: seed)
  }

  private func train(_ trainer: Trainer, _ batches: Batches, _ epochs: Int, _ title: String) throws {
    let progress = TrainingProgress(title, epochs: epochs, batches: batches.count)
    defer { progress.finish() }
    trainer.onStep = { progress.show($0) }
    trainer.onEpoch = { progress.show($0) }
    let start = now()
    try withThreads(threads) {
      _ = try trainer.train(on: batches, validation: Batches(data.test, size: 250), epochs: epochs)
    }
    notes.append(
      "\(title): \(epochs) epochs of \(data.training.count) images (\(data.name)) in \((now() - start).formatted(1)) s")
  }

  /// Symmetric integers of as many bits for each output channel.
  private var weightObserver: any Observer {
    PerChannelMinMaxObserver(
      axis: 0, dtype: .int8, scheme: .symmetric, quantMin: bits == 4 ? -8 : nil, quantMax: bits == 4 ? 7 : nil)
  }
}
