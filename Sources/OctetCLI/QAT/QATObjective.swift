import Octet

/// Where the numbers stand that a network learns by: its outputs, or the logits that an output is the softmax of.
struct QATTargets {
  struct Target {
    /// The output's name.
    let output: String
    /// The value of the graph that is compared.
    let value: String
    let areLogits: Bool
    /// Whether it has a number for each class of each sample.
    let areClasses: Bool
  }

  let all: [Target]

  /// - Parameter logits: whether those count instead of their softmax.
  init(of graph: Graph, logits countLogits: Bool) {
    let producers = graph.producers
    all = graph.outputs.filter { graph.types[$0.value]?.dtype == .float32 }.map { output in
      let type = graph.types[output.value]!
      let areClasses = type.rank == 2 && type.shape[1] != 1
      if countLogits, let producer = producers[output.value].map({ graph.nodes[$0] }),
        case .softmax(let softmax) = producer.op,
        let logits = producer.inputs[0], type.rank == 2, [-1, 1].contains(softmax.axis), !softmax.isLogarithm
      {
        return Target(output: output.name, value: logits, areLogits: true, areClasses: areClasses)
      }
      return Target(output: output.name, value: output.value, areLogits: false, areClasses: areClasses)
    }
  }
}

extension QATTargets {
  /// - Throws: `OctetError` (`unsupported`) for outputs that the loss cannot use.
  func check(_ loss: QATCommand.Loss, _ graph: Graph, _ path: String) throws {
    let isFit =
      switch loss {
      case .crossEntropy: all.count == 1 && all[0].areClasses
      case .mse: all.count == 1
      case .distill: !all.isEmpty
      }
    guard !isFit else { return }
    let outputs = graph.outputs.map { "\($0.name): \(graph.types[$0.value]!)" }.joined(separator: ", ")
    let wanted =
      loss == .crossEntropy ? "one output [n, classes]" : loss == .mse ? "one float output" : "a float output"
    throw OctetError(.unsupported, path, expected: "\(wanted), for --loss \(loss.rawValue)", found: outputs)
  }
}

/// A graph as a network whose outputs are its targets.
final class QATNetwork: Trainable {
  let prepared: PreparedGraph
  private let values: [String]

  init(_ prepared: PreparedGraph, _ targets: QATTargets) {
    self.prepared = prepared
    values = targets.all.map(\.value)
  }

  var isTraining: Bool {
    get { prepared.isTraining }
    set { prepared.isTraining = newValue }
  }

  var state: [String: Tensor] { get throws { try prepared.state } }

  func load(_ state: [String: Tensor]) throws { try prepared.load(state) }

  func callAsFunction(_ inputs: [Tensor]) throws -> [Tensor] {
    let inputs = try zip(prepared.graph.inputs, inputs).map { input, array in
      array.dtype == input.type.dtype ? array : try array.cast(to: input.type.dtype)
    }
    return try prepared.values(values, inputs)
  }

  func reseed(_ seed: UInt64) { prepared.reseed(seed) }

  func follow(_ schedule: QATSchedule, epoch: Int) throws { try prepared.follow(schedule, epoch: epoch) }
}

extension PreparedGraph {
  /// Some values of a pass, each as it is after rounding.
  fileprivate func values(_ names: [String], _ inputs: [Tensor]) throws -> [Tensor] {
    var found: [String: Tensor] = [:]
    _ = try replay(inputs) { name, tensor in
      if names.contains(name) { found[name] = tensor }
      return tensor
    }
    return names.map { found[$0]! }
  }
}

extension Graph {
  /// The same graph with other outputs.
  func computing(_ values: [String]) throws -> Graph {
    var graph = self
    graph.outputs = values.map { Graph.Output(name: $0, value: $0) }
    return try graph.removingDeadNodes()
  }
}

extension QATTargets {
  /// The array of what the teacher says of a target.
  static func teacherName(_ index: Int) -> String { "teacher of output \(index)" }
}

extension Batch {
  /// The inputs of a graph. (Small integers become int64 in batches.)
  func inputs(_ inputs: [Graph.Input]) throws -> [String: Tensor] {
    try Dictionary(
      uniqueKeysWithValues: inputs.map { input in
        let array = try self[input.name]
        return (input.name, array.dtype == input.type.dtype ? array : try array.cast(to: input.type.dtype))
      })
  }
}

extension Objective {
  /// Makes probabilities softer, so that classes that are not chosen count too.
  private static let temperature: Float = 4

  /// How wrong a network's targets are.
  init(_ targets: QATTargets, _ loss: QATCommand.Loss, labels: String?, inputs: [String]) {
    switch loss {
    case .crossEntropy:
      self.init(
        inputs: inputs, loss: { try crossEntropy($0[0], $1[labels!]) },
        correct: { try Self.countRight($0[0], $1[labels!]) })
    case .mse:
      self.init(inputs: inputs) { outputs, batch in
        let wanted = try batch[labels!]
        return try mseLoss(outputs[0], wanted.shape == outputs[0].shape ? wanted : wanted.reshape(outputs[0].shape))
      }
    case .distill:
      let isClassifier = targets.all.count == 1 && targets.all[0].areClasses
      self.init(
        inputs: inputs,
        loss: { outputs, batch in
          try zip(targets.all, outputs).enumerated().reduce(Tensor(Float(0))) { sum, next in
            let (target, output) = next.element
            let wanted = try batch[QATTargets.teacherName(next.offset)]
            return try sum
              + (target.areLogits
                ? distillationLoss(output, teacher: wanted, temperature: Self.temperature)
                : mseLoss(output, wanted) * Tensor(1 / wanted.power))
          }
        },
        correct: isClassifier ? { try Self.countRight($0[0], $1[QATTargets.teacherName(0)]) } : nil)
    }
  }
}

extension Tensor {
  /// The mean square, by which errors are measured.
  fileprivate var power: Float {
    get throws {
      let values = try scalars(as: Float.self)
      return Swift.max(values.reduce(0) { $0 + $1 * $1 } / Float(Swift.max(values.count, 1)), 1e-12)
    }
  }
}
