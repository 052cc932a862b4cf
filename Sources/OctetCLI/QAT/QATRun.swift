import Foundation
import Octet
import OctetONNX

/// What `octet qat` does to a model.
final class QATRun {
  /// The float model, fused.
  let graph: Graph
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
    let source = try naming(model.path) { try model.graph.foldingConstants() }
    graph = try source.fused(residuals: residuals)
    let isBatched = try source.takesBatches(of: command.batch, model.path)
    let targets = QATTargets(of: source, logits: loss != .mse)
    try targets.check(loss, source, model.path)

    let teacher = try command.teacher.map { path in
      try LoadedModel(path, dimensions: command.options.dimensions, data: command.data, batch: command.batch)
    }
    let teaching =
      try loss == .distill ? Teacher(teacher?.graph ?? source, of: targets, teacher?.path ?? model.path) : nil
    func batches(_ path: String, shuffled: Bool) throws -> Batches {
      var data = try Dataset(npz: path)
      try naming(path) { try data.check(source, labels: command.labels, loss) }
      if let teaching { data = try teaching.adding(to: data, inputs: source.inputs.map(\.name), batch: command.batch) }
      return try Batches(data, size: command.batch, shuffled: shuffled, seed: command.seed, dropsLast: !isBatched)
    }
    training = try batches(command.data, shuffled: true)
    judged = try batches(command.validation ?? command.data, shuffled: false)

    prepared = try source.prepareQAT(
      Self.configs(command), learning: command.learnedScales ? .learned : .observed, residuals: residuals)
    let epochs = command.epochs ?? min(max((300 + training.count - 1) / training.count, 5), 60)
    (self.epochs, steps) = (epochs, epochs * training.count)
    try Self.calibrate(prepared, on: training, source.inputs.map(\.name), threads: command.threads)

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
    let backend = try Backend(named: command.qconfig ?? "octet")
    var config = QConfig.defaultQAT(for: backend)
    if command.bits == 4 {
      // Of 16 integers every one counts: they go by the weights as they are, not as they were on average.
      config.weight =
        config.weight is MovingAveragePerChannelMinMaxObserver
        ? MovingAveragePerChannelMinMaxObserver(
          axis: 0, averagingConstant: 1, dtype: .int8, scheme: .symmetric, quantMin: -8, quantMax: 7)
        : MovingAverageMinMaxObserver(
          averagingConstant: 1, dtype: .int8, scheme: .symmetric, quantMin: -8, quantMax: 7)
    }
    var map = QConfigMap(config)
    for glob in command.skip { map[glob] = .float }
    return map
  }

  private static func calibrate(
    _ prepared: PreparedGraph, on batches: Batches, _ names: [String], threads: Int?
  ) throws {
    // Some hundred samples tell where ranges are.
    let count = min(batches.count, max(512 / batches.size, 1))
    let progress = Progress("calibrate", total: count)
    defer { progress.finish() }
    let inputs = try batches.epoch(0).prefix(count).map { batch in
      Dictionary(uniqueKeysWithValues: try names.map { ($0, try batch[$0]) })
    }
    try prepared.calibrate(inputs, threads: threads ?? 1) { progress.show($0) }
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
    trainer.onEpoch = { progress.show($0) }
    try trainer.train(on: training, validation: judged, epochs: epochs)
    warnings = prepared.warnings()
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
  init(_ graph: Graph, of targets: QATTargets, _ path: String) throws {
    let own = QATTargets(of: graph, logits: true)
    guard own.all.map(\.areLogits) == targets.all.map(\.areLogits) else {
      throw OctetError(
        .shapeMismatch, path, expected: "a teacher with outputs \(targets.all.map(\.output))",
        found: "\(own.all.map(\.output))")
    }
    values = own.all.map(\.value)
    self.path = path
    session = Session(try Plan(graph.computing(Array(Set(values)).sorted()).fused()))
  }

  /// The data with what it says of every sample.
  func adding(to data: Dataset, inputs: [String], batch: Int) throws -> Dataset {
    var parts = [[Tensor]](repeating: [], count: values.count)
    let batches = try Batches(data, size: batch)
    let progress = Progress("teacher", total: batches.count)
    defer { progress.finish() }
    for (number, rows) in batches.epoch(0).enumerated() where rows.count == batch || batches.count == number + 1 {
      let results = try naming(path) {
        try session.run(Dictionary(uniqueKeysWithValues: inputs.map { ($0, try rows[$0]) }))
      }
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
    guard
      loss != .crossEntropy || array.rank == 1 && array.dtype.quantizedRange != nil || array.dtype == .int64
        || array.dtype == .int32
    else {
      throw OctetError(.shapeMismatch, labels, expected: "classes, [n], integers", found: "\(array.type)")
    }
  }
}
