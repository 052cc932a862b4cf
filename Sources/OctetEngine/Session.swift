import Dispatch
import Foundation
public import OctetCore
import OctetGraph

/// Runs a plan. Memory for each set of input shapes is laid out once and used again (that of the last 16 sets is kept);
/// after the first run of a shape only the returned tensors are allocated (steps marked *reference* in
/// ``Plan/tabular()`` excepted).
///
/// A session belongs to one thread at a time. Results do not depend on the number of threads.
public final class Session {
  public let plan: Plan
  private let pool: ThreadPool
  /// Memory of the shapes that ran last, the latest first.
  private var prepared: [PreparedRun] = []

  /// How many sets of input shapes keep their memory.
  private static let keptShapes = 16

  /// - Parameter threads: how many threads to use, 1,024 at most; `nil`: all cores.
  public init(_ plan: Plan, threads: Int? = nil) {
    self.plan = plan
    pool = ThreadPool(threads: max(1, threads ?? ProcessInfo.processInfo.activeProcessorCount))
  }

  /// The outputs by name for inputs by name.
  ///
  /// - Throws: `OctetError`: `unknownName` for an input that is missing or that the graph does not have,
  ///   `shapeMismatch` or `dtypeMismatch` for one that does not fit, `notANumber` if one of a plan with integer steps
  ///   holds a NaN.
  public func run(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let names = plan.graph.inputs.map(\.name)
    for name in inputs.keys where !names.contains(name) {
      throw OctetError(.unknownName, "input \(name)", expected: "one of \(names.joined(separator: ", "))", found: name)
    }
    let ordered = try names.map { name in
      guard let tensor = inputs[name] else {
        throw OctetError(
          .unknownName, "inputs", expected: "an input named \(name)",
          found: inputs.keys.sorted().joined(separator: ", "))
      }
      return tensor
    }
    return Dictionary(uniqueKeysWithValues: zip(plan.graph.outputs.map(\.name), try run(ordered)))
  }

  /// The result of a network with one input and one output.
  public func callAsFunction(_ x: Tensor) throws -> Tensor {
    guard plan.outputs.count == 1 else {
      throw OctetError(.invalidArgument, "session", expected: "a graph with one output", found: "\(plan.outputs.count)")
    }
    return try run([x])[0]
  }

  /// The outputs in order for inputs in order.
  public func run(_ inputs: [Tensor]) throws -> [Tensor] {
    let prepared = try prepare(inputs)
    try prepared.checkNumbers(inputs)
    let results = prepared.makeResults()
    prepared.connect(inputs, results)
    for call in prepared.calls { pool.run(call) }
    // The calls know nothing but addresses.
    withExtendedLifetime(inputs) {}
    try prepared.memory.throwFailure()
    return results
  }

  /// The time of each step of the plan, in its order, in seconds: the best of `rounds` runs.
  ///
  /// - Throws: as ``run(_:)-([Tensor])``.
  public func stepTimes(_ inputs: [Tensor], rounds: Int) throws -> [StepTime] {
    let prepared = try prepare(inputs)
    try prepared.checkNumbers(inputs)
    let results = prepared.makeResults()
    prepared.connect(inputs, results)
    var best = [Double](repeating: .infinity, count: plan.steps.count)
    for _ in 0..<max(rounds, 1) {
      for (step, range) in prepared.callsOfSteps.enumerated() {
        let start = DispatchTime.now().uptimeNanoseconds
        for call in prepared.calls[range] { pool.run(call) }
        best[step] = min(best[step], Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9)
      }
      try prepared.memory.throwFailure()
    }
    withExtendedLifetime((inputs, results)) {}
    return zip(plan.steps, best).map { step, seconds in
      StepTime(
        name: step.name, label: step.label, types: step.outputs.map { plan.slots[$0].dtype }, seconds: seconds)
    }
  }

  /// The memory for inputs of these shapes: as it was used before, or laid out now.
  private func prepare(_ inputs: [Tensor]) throws -> PreparedRun {
    if let latest = prepared.first, latest.fits(inputs) { return latest }
    for tensor in inputs { try tensor.requireConcrete("an input of a session") }
    for (input, tensor) in zip(plan.graph.inputs, inputs) where tensor.dtype != input.type.dtype {
      throw OctetError(
        .dtypeMismatch, "input \(input.name)", expected: input.type.dtype.rawValue, found: tensor.dtype.rawValue)
    }
    let run: PreparedRun
    if let index = prepared.firstIndex(where: { $0.fits(inputs) }) {
      run = prepared.remove(at: index)
    } else {
      run = try PreparedRun(plan, inputs, threads: pool.threads)
    }
    prepared.insert(run, at: 0)
    // Old shapes make room for new ones, in number and in bytes.
    while prepared.count > Self.keptShapes
      || prepared.count > 1 && prepared.reduce(0, { $0 + $1.byteCount }) > largestByteCount
    {
      prepared.removeLast()
    }
    return run
  }
}
