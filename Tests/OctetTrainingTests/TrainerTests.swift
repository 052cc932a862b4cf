import Foundation
import OctetCore
import OctetFormats
import OctetGraph
import OctetNN
import OctetQuantization
import OctetTraining
import TestSupport
import Testing

@Suite("Trainer") struct TrainerTests {
  /// A small network with everything that remembers or draws: batch normalization and two dropouts.
  private func network(hidden: Int = 16, seed: UInt64 = 1) throws -> Sequential {
    let network = Sequential(
      Conv2d(1, 4, kernelSize: 3), BatchNorm2d(4), ReLU(), Dropout(0.2), Flatten(), Linear(36, hidden), ReLU(),
      Dropout(0.3), Linear(hidden, 3))
    try network.initialize(seed: seed)
    return network
  }

  /// Images of noise on which a bar lies in one of three rows.
  private func dataset(_ count: Int = 120, seed: UInt64 = 1) throws -> Dataset {
    var generator = SeededGenerator(seed: seed)
    var pixels: [UInt8] = []
    var labels: [UInt8] = []
    for _ in 0..<count {
      let label = Int.random(in: 0..<3, using: &generator)
      labels.append(UInt8(label))
      pixels += (0..<25).map { (i: Int) -> UInt8 in
        UInt8.random(in: 0..<100, using: &generator) + (i / 5 == label + 1 ? 100 : 0)
      }
    }
    return try Dataset(
      ["images": Tensor(pixels, shape: [count, 1, 5, 5]), "labels": Tensor(labels, shape: [count])],
      scales: ["images": 1 / 255])
  }

  private func batches(seed: UInt64 = 3) throws -> Batches {
    try Batches(dataset(), size: 16, shuffled: true, seed: seed, augmentations: ["images": [.flip()]])
  }

  /// With everything switched on.
  private func trainer(_ network: Sequential, seed: UInt64 = 4) throws -> Trainer {
    let trainer = Trainer(
      network, .classification(labelSmoothing: 0.1),
      try AdamW(network.parameterGroups(weightDecay: 0.01), learningRate: 0.01),
      schedule: .oneCycle(steps: 5 * 8), seed: seed)
    trainer.gradientNorm = 1
    trainer.keepsBest = true
    return trainer
  }

  private func expectSameBits(
    _ a: Trainer, _ b: Trainer, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for (x, y) in [(try a.network.state, try b.network.state), (try a.optimizer.stateDict, try b.optimizer.stateDict)] {
      #expect(x.keys.sorted() == y.keys.sorted())
      for (name, value) in x {
        #expect(
          try discrepancy(value, #require(y[name]), absolute: 0, relative: 0) == nil, "\(name)",
          sourceLocation: sourceLocation)
      }
    }
    #expect(a.history == b.history, sourceLocation: sourceLocation)
  }

  @Test func learns() throws {
    let network = try network()
    let trainer = Trainer(
      network, .classification(), try Adam(network.parameters, learningRate: 0.01), seed: 1)
    var steps: [StepRecord] = []
    var epochs: [EpochRecord] = []
    trainer.onStep = { steps.append($0) }
    trainer.onEpoch = { epochs.append($0) }
    let (training, test) = (
      try Batches(dataset(), size: 16, shuffled: true), try Batches(dataset(60, seed: 2), size: 32)
    )
    let history = try trainer.train(on: training, validation: test, epochs: 12)
    #expect(!network.isTraining)
    #expect(history.epochs == epochs && epochs.map(\.epoch) == Array(0..<12))
    #expect(steps.count == 12 * 8 && steps.map(\.step) == Array(0..<96) && steps[17].batch == 1 && steps[17].epoch == 2)
    #expect(steps.allSatisfy { $0.gradientNorm == nil && $0.batchCount == 8 })
    let (first, last) = (try #require(epochs.first), try #require(epochs.last))
    #expect(last.training.loss < 0.3 * first.training.loss, "\(first.training.loss) → \(last.training.loss)")
    #expect(try #require(last.validation?.accuracy) > 0.95)
    // The mean over samples, not over batches, of which the last one is smaller.
    let mean = steps.suffix(8).enumerated().reduce(0.0) { $0 + $1.element.loss * ($1.offset == 7 ? 8 : 16) } / 120
    #expect(abs(mean - last.training.loss) < 1e-9)
    #expect(try trainer.evaluate(on: test) == last.validation)
  }

  /// The loop that people write by hand does the same.
  @Test func isTheLoopWrittenByHand() throws {
    let (own, other) = (try network(), try network())
    let trainer = try trainer(own)
    try trainer.train(on: batches(), epochs: 2)

    let optimizer = try AdamW(other.parameterGroups(weightDecay: 0.01), learningRate: 0.01)
    let schedule = LearningRateSchedule.oneCycle(steps: 5 * 8)
    other.isTraining = true
    for epoch in 0..<2 {
      for batch in try batches().epoch(epoch) {
        // (The trainer's seed of a step, as SplitMix64 mixes it.)
        var generator = SplitMix64(seed: 4, UInt64(optimizer.stepCount))
        other.reseed(generator.next())
        optimizer.learningRate = 0.01 * schedule.factor(at: optimizer.stepCount)
        var (_, gradients) = try valueAndGradients(of: optimizer.parameters) {
          try crossEntropy(other(batch["images"]), batch["labels"], labelSmoothing: 0.1)
        }
        try clipGradients(&gradients, norm: 1)
        try optimizer.step(gradients)
      }
    }
    other.isTraining = false
    for (name, value) in own.stateDict {
      #expect(try discrepancy(value, #require(other.stateDict[name]), absolute: 0, relative: 0) == nil, "\(name)")
    }
  }

  @Test func aSeedDecidesWhatIsDropped() throws {
    func losses(_ seed: UInt64) throws -> [Double] {
      let trainer = try trainer(network(), seed: seed)
      var losses: [Double] = []
      trainer.onStep = { losses.append($0.loss) }
      try trainer.train(on: batches(), epochs: 1)
      return losses
    }
    let first = try losses(4)
    #expect(try losses(4) == first)
    #expect(try losses(5) != first)
  }

  // MARK: - Checkpoints

  /// Stopping and going on, in another process as it were, gives the bits of never having stopped: after an epoch or amid one,
  /// with shuffling, augmentation and dropout.
  @Test(arguments: [[7], [8], [3, 20, 21], [16, 33]]) func resumingGivesTheSameBits(stops: [Int]) throws {
    let straight = try trainer(network())
    let validation = try Batches(dataset(60, seed: 2), size: 32)
    try straight.train(on: batches(), validation: validation, epochs: 5)
    try inTemporaryFile { path in
      for stop in stops + [Int.max] {
        // Later ones begin with other parameters.
        let isFirst = !FileManager.default.fileExists(atPath: path)
        let trainer = try trainer(network(seed: isFirst ? 1 : UInt64(stop.magnitude)))
        if !isFirst { try trainer.resume(from: path) }
        trainer.onStep = { [unowned trainer] in if $0.step + 1 == stop { trainer.stop() } }
        try trainer.train(on: batches(), validation: validation, epochs: 5)
        if stop == Int.max {
          try expectSameBits(trainer, straight)
        } else {
          #expect(trainer.history.epochs.count == stop / 8 || trainer.history.epochs.count == (stop - 1) / 8)
          try trainer.save(to: path)
        }
      }
    }
  }

  @Test func aCheckpointIsWrittenAfterEachEpoch() throws {
    try inTemporaryFile { path in
      let first = try trainer(network())
      first.checkpointPath = path
      var counts: [Int] = []
      first.onEpoch = { _ in
        let second = try trainer(network(seed: 9))
        try second.resume(from: path)
        counts.append(second.history.epochs.count)
      }
      try first.train(on: batches(), epochs: 3)
      #expect(counts == [1, 2, 3])
    }
  }

  @Test func aCheckpointThatDoesNotFitChangesNothing() throws {
    try inTemporaryFile { path in
      let first = try trainer(network())
      try first.train(on: batches(), epochs: 1)
      try first.save(to: path)
      let whole = try Data(contentsOf: URL(filePath: path))

      func expectRefused(
        _ code: OctetError.Code, _ trainer: Trainer, sourceLocation: SourceLocation = #_sourceLocation
      ) throws {
        let before = try trainer.network.state
        let error = octetError { try trainer.resume(from: path) }
        #expect(error?.code == code, "\(String(describing: error))", sourceLocation: sourceLocation)
        #expect(error?.subject.hasPrefix(path) == true, sourceLocation: sourceLocation)
        for (name, value) in try trainer.network.state {
          #expect(try value.floats == before[name]?.floats, sourceLocation: sourceLocation)
        }
        #expect(trainer.history.epochs.isEmpty && trainer.optimizer.stepCount == 0, sourceLocation: sourceLocation)
      }
      try expectRefused(.shapeMismatch, trainer(network(hidden: 17)))
      let other = Sequential(Linear(25, 3))
      try expectRefused(
        .unknownName, Trainer(other, .classification(), SGD(other.parameters, learningRate: 1), seed: 4))
      // The right network and another optimizer.
      let net = try network(seed: 6)
      try expectRefused(
        .unknownName, Trainer(net, .classification(), SGD(net.parameters, learningRate: 1, momentum: 0.9), seed: 4))
      try expectRefused(.invalidArgument, trainer(network(seed: 6), seed: 5))
      for count in [0, 7, 100, whole.count / 2, whole.count - 1] {
        try whole.prefix(count).write(to: URL(filePath: path))
        try expectRefused(.invalidFile, trainer(network(seed: 6)))
      }
      try network().save(path)
      try expectRefused(.invalidFile, trainer(network(seed: 6)))
    }
  }

  /// Metadata that no checkpoint has.
  @Test(arguments: ["{}", "[", #"{"version":2}"#, "epoch:1", "batch:-1", "batch:1e300"])
  func damagedMetadataIsAnError(change: String) throws {
    try inTemporaryFile { path in
      let first = try trainer(network())
      try first.train(on: batches(), epochs: 1)
      try first.save(to: path)
      let file = try SafetensorsFile(contentsOf: path)
      var json = try #require(file.metadata["octet.checkpoint"])
      switch change {
      case "epoch:1": json = json.replacing(#""epoch":0"#, with: #""epoch":1"#)
      case _ where change.hasPrefix("batch:"):
        json = json.replacing(#""batch":0"#, with: "\"batch\":\(change.dropFirst(6))")
      default: json = change
      }
      #expect(json != file.metadata["octet.checkpoint"])
      try SafetensorsFile.write(file.tensors, metadata: ["octet.checkpoint": json], to: path)
      let second = try trainer(network())
      #expect([.invalidFile, .unsupported].contains(octetError { try second.resume(from: path) }?.code))
    }
  }

  @Test func otherBatchesThanBeforeAreAnError() throws {
    try inTemporaryFile { path in
      let first = try trainer(network())
      try first.train(on: batches(), epochs: 1)
      #expect(octetError { try first.train(on: batches(seed: 9), epochs: 2) }?.code == .invalidArgument)
      try first.save(to: path)
      let second = try trainer(network())
      try second.resume(from: path)
      #expect(octetError { try second.train(on: batches(seed: 9), epochs: 2) }?.code == .invalidArgument)
      try second.train(on: batches(), epochs: 2)
    }
  }

  // MARK: - Stopping early

  @Test func trainingEndsWithTheBestEpochWhenPatienceDoes() throws {
    let network = try network()
    // So fast that it gets worse soon.
    let trainer = Trainer(network, .classification(), try SGD(network.parameters, learningRate: 0.5), seed: 1)
    trainer.patience = 3
    let validation = try Batches(dataset(60, seed: 2), size: 60)
    var states: [[String: Tensor]] = []
    trainer.onEpoch = { _ in states.append(network.stateDict) }
    let history = try trainer.train(on: batches(), validation: validation, epochs: 200)
    let best = try #require(history.best)
    #expect(history.epochs.count == best.epoch + 4 && history.epochs.count < 200)
    let better = history.epochs.filter {
      ($0.validation!.accuracy!, -$0.validation!.loss) > (best.validation!.accuracy!, -best.validation!.loss)
    }
    #expect(better.isEmpty)
    for (name, value) in network.stateDict { #expect(try value.floats == states[best.epoch][name]?.floats, "\(name)") }
    #expect(try trainer.evaluate(on: validation) == best.validation)
    // There is nothing left to do.
    #expect(try trainer.train(on: batches(), validation: validation, epochs: 200) == history)
  }

  /// The best epoch, and how long it is ago, are known across a stop; it comes back in the end.
  @Test(arguments: [0, 1, 2]) func theBestEpochOutlivesAStop(later: Int) throws {
    let validation = try Batches(dataset(60, seed: 2), size: 60)
    func trainer(seed: UInt64) throws -> Trainer {
      let network = try network(seed: seed)
      let trainer = Trainer(network, .classification(), try SGD(network.parameters, learningRate: 0.5), seed: 1)
      trainer.patience = 3
      return trainer
    }
    let straight = try trainer(seed: 1)
    try straight.train(on: batches(), validation: validation, epochs: 200)
    let best = try #require(straight.history.best).epoch
    try inTemporaryFile { path in
      let first = try trainer(seed: 1)
      first.checkpointPath = path
      first.onEpoch = { [unowned first] in if $0.epoch == best + later { first.stop() } }
      try first.train(on: batches(), validation: validation, epochs: 200)
      #expect(first.history.epochs.count == best + later + 1)
      // The network is written once where it is the best.
      let names = try SafetensorsFile(contentsOf: path).tensors.keys
      #expect(names.contains { $0.hasPrefix("best.") } == (later > 0))
      let second = try trainer(seed: 9)
      try second.resume(from: path)
      try second.train(on: batches(), validation: validation, epochs: 200)
      try expectSameBits(second, straight)
      #expect(second.history.epochs.count == best + 4)
      #expect(try second.evaluate(on: validation) == second.history.best?.validation)
    }
  }

  @Test func aLossThatIsNoNumberSaysWhere() throws {
    let network = try network()
    let trainer = Trainer(
      network,
      Objective(inputs: ["images"]) { outputs, _ in try outputs[0].reduce(.sum, [0, 1]) * Tensor(Float.infinity) },
      try SGD(network.parameters, learningRate: 0.1))
    let error = octetError { try trainer.train(on: batches(), epochs: 1) }
    #expect(error?.code == .notANumber && error?.subject == "epoch 0: step 0: loss", "\(String(describing: error))")
  }

  @Test func aModuleCannotFollowAScheduleOfQuantization() throws {
    let trainer = try trainer(network())
    trainer.qat = QATSchedule(observersOffAfter: 1)
    #expect(octetError { try trainer.train(on: batches(), epochs: 1) }?.code == .unsupported)
  }

  // MARK: - Quantization-aware training

  private func prepared() throws -> PreparedGraph {
    let graph = try network().trace(TensorType(.float32, [.symbolic("n"), 1, 5, 5]))
    return try graph.prepareQAT(QConfigMap(.defaultQAT(for: .octet)))
  }

  private func trainer(_ prepared: PreparedGraph) throws -> Trainer {
    let trainer = Trainer(
      prepared, .classification(),
      try SGD([ParameterGroup(prepared.trainableParameters)], learningRate: 0.05, momentum: 0.9), seed: 4)
    trainer.qat = QATSchedule(observersOffAfter: 2, batchNormFrozenAfter: 3)
    return trainer
  }

  @Test func aScheduleStopsObserversAndBatchNormalization() throws {
    let prepared = try prepared()
    let trainer = try trainer(prepared)
    var scales: [[Float]] = []
    var means: [[Float]] = []
    trainer.onEpoch = { _ in
      scales.append(try prepared.sites.flatMap { try $0.calculateQParams().scales })
      means.append(try #require(prepared.parameters.first { $0.key.hasSuffix("running_mean") }).value.value.floats)
    }
    let history = try trainer.train(on: batches(), epochs: 5)
    #expect(history.epochs[4].training.loss < 0.9 * history.epochs[0].training.loss)
    #expect(scales[0] != scales[1] && scales[1] == scales[2] && scales[1] == scales[4])
    #expect(means[1] != means[2] && means[2] == means[3] && means[2] == means[4])
  }

  /// What dropout drops in a traced graph follows from the trainer's seed and the step.
  @Test func aSeedDecidesWhatAGraphDrops() throws {
    func losses(_ seed: UInt64, threads: Int = 1) throws -> [Double] {
      let prepared = try prepared()
      let trainer = Trainer(
        prepared, .classification(), try SGD([ParameterGroup(prepared.trainableParameters)], learningRate: 0.05),
        seed: seed)
      var losses: [Double] = []
      trainer.onStep = { losses.append($0.loss) }
      _ = try withThreads(threads) { try trainer.train(on: batches(), epochs: 1) }
      return losses
    }
    let first = try losses(4)
    #expect(try losses(4, threads: 3) == first)
    #expect(try losses(5) != first)
  }

  @Test(arguments: [9, 19, 30]) func resumingGivesTheSameBitsWithObservers(stop: Int) throws {
    let straight = try trainer(prepared())
    try straight.train(on: batches(), epochs: 5)
    try inTemporaryFile { path in
      let first = try trainer(prepared())
      first.onStep = { [unowned first] in if $0.step + 1 == stop { first.stop() } }
      try first.train(on: batches(), epochs: 5)
      try first.save(to: path)
      let second = try trainer(prepared())
      try second.resume(from: path)
      try second.train(on: batches(), epochs: 5)
      try expectSameBits(second, straight)
    }
  }

  @Test func historySurvivesJSON() throws {
    let trainer = try trainer(network())
    let history = try trainer.train(on: batches(), validation: Batches(dataset(60, seed: 2), size: 7), epochs: 2)
    #expect(try JSONDecoder().decode(History.self, from: JSONEncoder().encode(history)) == history)
  }
}

extension Sequential {
  fileprivate func save(_ path: String) throws { try SafetensorsFile.write(stateDict, to: path) }
}
