import Foundation
import Octet
import OctetONNX

/// What `octet qat` does to a model.
final class QATRun {
  let epochs: Int
  let steps: Int
  let loss: QATCommand.Loss
  /// Of the float model.
  let float: Evaluation
  /// Rounded as calibration alone would have it.
  private(set) var before = Evaluation(loss: 0)
  private(set) var after = Evaluation(loss: 0)
  /// The epoch that is kept; `nil`: what there was before the first.
  private(set) var bestEpoch: Int?
  private(set) var warnings: [TrainingWarning] = []
  var history: History { trainer.history }

  private let prepared: PreparedGraph
  private let trainer: Trainer
  private let training: Batches
  private let judged: Batches
  private let command: QATCommand

  init(of model: LoadedModel, by command: QATCommand) throws {
    self.command = command
    let loss = command.chosenLoss
    self.loss = loss
    // Sums apart: in an .onnx file they are integer operations for others too.
    let residuals = !isONNX(command.output)
    // What is trained on is how the model is now: without dropout, which most files have lost anyway.
    let source = try naming(model.path) { try model.graph.removingDropout().foldingConstants() }
    let isBatched = try source.takesBatches(of: command.batch, model.path)
    let targets = QATTargets(of: source, logits: loss != .mse)
    try targets.check(loss, source, model.path)

    let teacher = try command.teacher.map { path in
      try LoadedModel(path, dimensions: command.options.dimensions, data: command.data, batch: command.batch)
    }
    let teaching =
      try loss == .distill
      ? Teacher(teacher?.graph ?? source, of: targets, teacher?.path ?? model.path, threads: command.threads) : nil
    func dataset(_ path: String) throws -> Dataset {
      var data = try Dataset(npz: path)
      try naming(path) {
        try data.check(source, labels: command.labels, loss)
        // What fills no batch is left out where batches have one size.
        if !isBatched { data = try data.subset(0..<data.count / command.batch * command.batch) }
      }
      return try teaching?.adding(to: data, inputs: source.inputs, batch: command.batch) ?? data
    }
    func batches(_ data: Dataset, shuffled: Bool) throws -> Batches {
      try Batches(data, size: command.batch, shuffled: shuffled, seed: command.seed)
    }
    let data = try dataset(command.data)
    training = try batches(data, shuffled: true)
    judged = try batches(command.validation.map(dataset) ?? data, shuffled: false)

    prepared = try source.prepareQAT(
      Self.configs(command), learning: command.learnedScales ? .learned : .observed, residuals: residuals)
    let epochs = command.epochs ?? min(max((300 + training.count - 1) / training.count, 5), 60)
    (self.epochs, steps) = (epochs, epochs * training.count)
    try Self.calibrate(prepared, on: training, source.inputs, threads: command.threads)

    let objective = Objective(targets, loss, labels: command.labels, inputs: source.inputs.map(\.name))
    let optimizer = try Adam(
      [ParameterGroup(prepared.trainableParameters)], learningRate: command.learningRate)
    trainer = Trainer(
      QATNetwork(prepared, targets), objective, optimizer, schedule: .cosine(steps: steps, minimum: 0.01),
      seed: command.seed)
    trainer.keepsBest = true
    trainer.gradientNorm = 1
    trainer.qat = QATSchedule(
      observersOffAfter: (epochs + 1) / 2, batchNormFrozenAfter: min(command.batchNormEpochs, epochs))
    float = try Self.score(source, targets, objective, on: judged)
  }

  private static func configs(_ command: QATCommand) throws -> QConfigMap {
    if let path = command.qconfig, path.hasSuffix(".json") { return try QConfigMap(contentsOf: path) }
    var map = QConfigMap(try .aware(Backend(named: command.qconfig ?? "octet"), bits: command.bits))
    for glob in command.skip { map[glob] = .float }
    return map
  }

  private static func calibrate(
    _ prepared: PreparedGraph, on batches: Batches, _ inputs: [Graph.Input], threads: Int?
  ) throws {
    // Some hundred samples tell where ranges are.
    let count = min(batches.count, max(512 / batches.size, 1))
    let progress = Progress("calibrate", total: count)
    defer { progress.finish() }
    let samples = try batches.epoch(0).prefix(count).map { try $0.inputs(inputs) }
    let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    try prepared.calibrate(samples, threads: threads) { progress.show($0) }
  }

  /// What the float model reaches.
  private static func score(
    _ graph: Graph, _ targets: QATTargets, _ objective: Objective, on batches: Batches
  ) throws -> Evaluation {
    let float = try graph.prepareQAT(QConfigMap(.float))
    let optimizer = try SGD([ParameterGroup](), learningRate: 0)
    return try Trainer(QATNetwork(float, targets), objective, optimizer).evaluate(on: batches)
  }

  // MARK: - Running

  /// Trains, and leaves the network as it was best, before training included.
  func train() throws {
    let checkpoint = command.checkpoint.map { "\($0)/checkpoint.safetensors" }
    let start = try prepared.state
    before = try trainer.evaluate(on: judged)
    if let checkpoint, FileManager.default.fileExists(atPath: checkpoint) { try trainer.resume(from: checkpoint) }
    trainer.checkpointPath = checkpoint
    let progress = TrainingProgress("train", epochs: epochs, batches: training.count)
    defer { progress.finish() }
    trainer.onStep = { progress.show($0) }
    trainer.onEpoch = { [prepared] in
      progress.show($0)
      // (Going back to the best epoch forgets what came after it.)
      self.warnings = prepared.warnings()
    }
    try trainer.train(on: training, validation: judged, epochs: epochs)
    after = try trainer.evaluate(on: judged)
    if before.isBetter(than: after) {
      try prepared.load(start)
      (after, bestEpoch) = (before, nil)
    } else {
      bestEpoch = trainer.history.best?.epoch
    }
  }

  func result() throws -> Quantization.Outcome {
    let (graph, report) = try prepared.convert()
    return Quantization.Outcome(graph, report)
  }
}

/// What says how the outputs should be.
private struct Teacher {
  private let session: Session
  private let values: [String]
  private let path: String

  /// - Throws: `OctetError` (`shapeMismatch`) if it has other outputs.
  init(_ graph: Graph, of targets: QATTargets, _ path: String, threads: Int?) throws {
    let own = QATTargets(of: graph, logits: true)
    guard own.all.map(\.areLogits) == targets.all.map(\.areLogits) else {
      throw OctetError(
        .shapeMismatch, path, expected: "a teacher with outputs \(targets.all.map(\.output))",
        found: "\(own.all.map(\.output))")
    }
    values = own.all.map(\.value)
    self.path = path
    session = Session(try Plan(graph.computing(Array(Set(values)).sorted()).fused()), threads: threads)
  }

  /// The data with what it says of every sample.
  func adding(to data: Dataset, inputs: [Graph.Input], batch: Int) throws -> Dataset {
    var parts = [[Tensor]](repeating: [], count: values.count)
    let batches = try Batches(data, size: batch)
    let progress = Progress("teacher", total: batches.count)
    defer { progress.finish() }
    for (number, rows) in batches.epoch(0).enumerated() {
      let results = try naming(path) { try session.run(rows.inputs(inputs)) }
      for (index, value) in values.enumerated() { parts[index].append(results[value]!) }
      progress.show(number + 1)
    }
    var arrays = data.arrays
    for (index, part) in parts.enumerated() { arrays[QATTargets.teacherName(index)] = try concat(part, axis: 0) }
    return try naming(path) { try Dataset(arrays) }
  }
}

extension Graph {
  /// Whether the inputs take any number of samples, or exactly `batch`.
  fileprivate func takesBatches(of batch: Int, _ path: String) throws -> Bool {
    let first = inputs.map { $0.type.shape.first }
    if first.allSatisfy({ $0 != nil && $0!.size == nil }) { return true }
    if first.allSatisfy({ $0?.size == batch }) { return false }
    let sizes = Set(first.compactMap { $0?.size })
    guard sizes.count == 1, let size = sizes.first, first.allSatisfy({ $0?.size == size }) else {
      throw OctetError(
        .unsupported, path, expected: "inputs whose first axis is that of samples",
        found: inputs.map { "\($0.name): \($0.type)" }.joined(separator: ", "))
    }
    throw WrongUse("--batch takes \(size) for this model, whose inputs have so many rows, not \(batch)")
  }
}

extension Dataset {
  /// - Throws: `OctetError` if an input or the labels are missing or do not fit.
  fileprivate func check(_ graph: Graph, labels: String?, _ loss: QATCommand.Loss) throws {
    for input in graph.inputs {
      guard let array = arrays[input.name] else {
        throw OctetError(
          .unknownName, "arrays", expected: "one for each input, \(input.name) too",
          found: nearNames(to: input.name, in: arrays.keys))
      }
      guard array.dtype == input.type.dtype else {
        throw OctetError(
          .dtypeMismatch, "input \(input.name)",
          expected: "\(input.type.dtype.rawValue) (in NumPy: .astype('\(input.type.dtype.rawValue)'))",
          found: array.dtype.rawValue)
      }
      let (wanted, found) = (input.type.shape.dropFirst(), array.type.shape.dropFirst())
      guard array.rank == input.type.rank, zip(wanted, found).allSatisfy({ $0.size == nil || $0 == $1 }) else {
        throw OctetError(
          .shapeMismatch, "input \(input.name)", expected: "\(input.type.shape), samples along the first axis",
          found: "\(array.shape)")
      }
      if array.dtype == .float32 {
        let others = try array.withUnsafeScalars(as: Float.self) { $0.count { !$0.isFinite } }
        guard others == 0 else {
          throw OctetError(
            .notANumber, "input \(input.name)", expected: "finite numbers",
            found: "\(others) of \(try array.count) that are NaN or infinite")
        }
      }
    }
    guard let labels else { return }
    guard let array = arrays[labels] else {
      throw OctetError(
        .unknownName, "--labels", expected: "an array such as \(nearNames(to: labels, in: arrays.keys))", found: labels)
    }
    let isInteger = array.dtype.quantizedRange != nil || [.int64, .int32].contains(array.dtype)
    guard loss != .crossEntropy || array.rank == 1 && isInteger else {
      throw OctetError(.shapeMismatch, labels, expected: "classes, [n], integers", found: "\(array.type)")
    }
    guard loss != .mse || array.dtype == .float32 else {
      throw OctetError(.dtypeMismatch, labels, expected: "float32, what the output should be", found: "\(array.type)")
    }
  }
}
