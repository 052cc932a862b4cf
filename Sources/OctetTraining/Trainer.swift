import OctetCore
public import OctetNN

/// Trains a network, epoch by epoch.
///
///     let optimizer = try AdamW(net.parameterGroups(weightDecay: 0.01), learningRate: 0.01)
///     let trainer = Trainer(net, .classification(), optimizer, schedule: .oneCycle(steps: 10 * batches.count), seed: 1)
///     trainer.onEpoch = { print($0.epoch, $0.training.loss, $0.validation?.accuracy ?? 0) }
///     try trainer.train(on: batches, validation: test, epochs: 10)
///
/// The same seeds on the same machine give the same bits, with and without prefetching, and also where training was stopped
/// and resumed from a checkpoint meanwhile. (Not so where a training that was through, and went back to its best epoch, goes on
/// for more epochs.)
public final class Trainer {
  public let network: any Trainable
  public let objective: Objective
  public let optimizer: Optimizer
  /// Of the steps of all epochs, as a factor of the optimizer's learning rate when the trainer was made.
  public let schedule: LearningRateSchedule
  /// What random numbers within the network (dropout) come from: those of a step depend on it and on the step alone.
  public let seed: UInt64
  /// Gradients are scaled so that all together are no longer than this; `nil`: as they are.
  public var gradientNorm: Float?
  /// Training ends when so many epochs have passed since the best one; `nil`: after the last epoch.
  public var patience: Int?
  /// Whether the network gets the parameters of the best epoch when training ends. (``patience`` does that too.)
  public var keepsBest = false
  /// When ranges and batch normalization settle, for graphs prepared for quantization-aware training.
  public var qat: QATSchedule?
  /// A checkpoint that is written after each epoch.
  public var checkpointPath: String?
  /// Called after each step.
  public var onStep: ((StepRecord) throws -> Void)?
  /// Called after each epoch, when its checkpoint is written.
  public var onEpoch: ((EpochRecord) throws -> Void)?
  public internal(set) var history = History()

  let learningRate: Float
  /// Where the current epoch stands.
  var position = Position()
  /// The state of the network after the best epoch, if that is kept.
  var best: [String: Tensor]?
  /// What was trained on so far.
  var data: DataDescription?
  private var isStopping = false

  /// How far an epoch has come.
  struct Position: Codable {
    /// How many batches are done.
    var batch = 0
    var sampleCount = 0
    /// The sum over samples.
    var loss = 0.0
    var correct = 0
  }

  /// What a checkpoint knows of the batches, which have to be the same afterwards.
  struct DataDescription: Codable, Equatable {
    let sampleCount: Int
    let batchSize: Int
    let dropsLast: Bool
    let isShuffled: Bool
    let seed: UInt64

    init(_ batches: Batches) {
      (sampleCount, batchSize, dropsLast) = (batches.dataset.count, batches.size, batches.dropsLast)
      (isShuffled, seed) = (batches.isShuffled, batches.seed)
    }
  }

  public init(
    _ network: any Trainable, _ objective: Objective, _ optimizer: Optimizer,
    schedule: LearningRateSchedule = .constant, seed: UInt64 = 0
  ) {
    self.network = network
    self.objective = objective
    self.optimizer = optimizer
    self.schedule = schedule
    self.seed = seed
    learningRate = optimizer.learningRate
  }

  private var keepsBestState: Bool { keepsBest || patience != nil }

  /// Trains until there have been so many epochs in all, those before included. Afterwards the network is in evaluation mode.
  ///
  /// - Throws: `OctetError`: `notANumber` for a loss that is not finite; `invalidArgument` for batches other than those so far,
  ///   or than those of the checkpoint; `unknownName` for inputs that batches do not have; what the network, the objective, the
  ///   optimizer and callbacks throw. The subject begins with epoch and step.
  @discardableResult
  public func train(on batches: Batches, validation: Batches? = nil, epochs: Int) throws -> History {
    let description = DataDescription(batches)
    guard data == nil || data == description, position.batch <= batches.count else {
      throw OctetError(
        .invalidArgument, "batches", expected: data.map { "\($0)" } ?? "as before", found: "\(description)")
    }
    data = description
    isStopping = false
    defer { network.isTraining = false }
    while history.epochs.count < epochs, !isStopping {
      if let patience, let best = history.best, history.epochs.count - 1 - best.epoch >= patience { break }
      try trainEpoch(batches, validation)
    }
    if !isStopping, keepsBestState, let best, history.best?.epoch != history.epochs.last?.epoch {
      try network.load(best)
    }
    return history
  }

  /// Ends training after this step; for callbacks. ``save(to:)`` keeps what has been reached, also amid an epoch.
  public func stop() { isStopping = true }

  /// How good the network is on samples, in evaluation mode.
  ///
  /// - Throws: as ``train(on:validation:epochs:)``.
  public func evaluate(on batches: Batches, epoch: Int = 0) throws -> Evaluation {
    let wasTraining = network.isTraining
    network.isTraining = false
    defer { network.isTraining = wasTraining }
    var sum = Position()
    for batch in batches.epoch(epoch) {
      let outputs = try network(inputs(of: batch))
      sum.add(try finite(objective.loss(outputs, batch)), try objective.correct?(outputs, batch), batch)
    }
    return sum.evaluation(objective)
  }

  // MARK: - One epoch

  private func trainEpoch(_ batches: Batches, _ validation: Batches?) throws {
    let epoch = history.epochs.count
    try naming("epoch \(epoch)") {
      if let qat { try network.follow(qat, epoch: epoch) }
      network.isTraining = true
      for batch in batches.epoch(epoch, from: position.batch) {
        try step(batch, epoch, batches.count)
        if isStopping { return }
      }
      let score = try validation.map { try evaluate(on: $0) }
      let record = EpochRecord(
        epoch: epoch, learningRate: optimizer.learningRate, training: position.evaluation(objective), validation: score)
      history.epochs.append(record)
      position = Position()
      if keepsBestState, history.best?.epoch == epoch { best = try network.state }
      if let checkpointPath { try save(to: checkpointPath) }
      try onEpoch?(record)
    }
  }

  private func step(_ batch: Batch, _ epoch: Int, _ batchCount: Int) throws {
    let number = epoch * batchCount + position.batch
    try naming("step \(number)") {
      var generator = SplitMix64(seed: seed, UInt64(number))
      network.reseed(generator.next())
      optimizer.learningRate = learningRate * schedule.factor(at: number)
      var outputs: [Tensor] = []
      var (value, gradients) = try valueAndGradients(of: optimizer.parameters) {
        outputs = try network(inputs(of: batch))
        return try objective.loss(outputs, batch)
      }
      let loss = try finite(value)
      let norm = try gradientNorm.map { try clipGradients(&gradients, norm: $0) }
      try optimizer.step(gradients)
      position.add(loss, try objective.correct?(outputs.map(\.detached), batch), batch)
      position.batch += 1
      try onStep?(
        StepRecord(
          step: number, epoch: epoch, batch: position.batch - 1, batchCount: batchCount, loss: loss,
          learningRate: optimizer.learningRate, gradientNorm: norm))
    }
  }

  private func inputs(of batch: Batch) throws -> [Tensor] { try objective.inputs.map { try batch[$0] } }

  private func finite(_ loss: Tensor) throws -> Double {
    let loss = try loss.item(as: Float.self)
    guard loss.isFinite else {
      throw OctetError(
        .notANumber, "loss", expected: "a finite number (a lower learning rate may help)", found: "\(loss)")
    }
    return Double(loss)
  }
}

extension Trainer.Position {
  mutating func add(_ loss: Double, _ correct: Int?, _ batch: Batch) {
    sampleCount += batch.count
    self.loss += loss * Double(batch.count)
    self.correct += correct ?? 0
  }

  func evaluation(_ objective: Objective) -> Evaluation {
    let count = Double(max(sampleCount, 1))
    return Evaluation(
      loss: loss / count, accuracy: objective.correct == nil ? nil : Double(correct) / count)
  }
}
