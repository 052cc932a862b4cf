import CKernels
import Foundation
public import OctetCore
import OctetGraph

/// Runs a plan. Memory for each set of input shapes is laid out once and used again; after the first run of a shape
/// only the returned tensors are allocated (steps marked *reference* in ``Plan/tabular()`` excepted).
///
/// A session belongs to one thread at a time. Results do not depend on the number of threads.
public final class Session {
  public let plan: Plan
  private let pool: ThreadPool
  private var prepared: [[[Int]]: Prepared] = [:]

  private struct Prepared {
    let memory: Memory
    let calls: [Call]
    let outputShapes: [[Int]]
  }

  /// - Parameter threads: how many threads to use; `nil`: all cores.
  public init(_ plan: Plan, threads: Int? = nil) {
    self.plan = plan
    pool = ThreadPool(threads: max(1, threads ?? ProcessInfo.processInfo.activeProcessorCount))
  }

  /// The outputs by name for inputs by name.
  ///
  /// - Throws: `OctetError`: `unknownName` for an input that is missing or that the graph does not have,
  ///   `shapeMismatch` or `dtypeMismatch` for one that does not fit, `notANumber` if a value to be quantized is NaN.
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
    for tensor in inputs { try tensor.requireConcrete("an input of a session") }
    for (input, tensor) in zip(plan.graph.inputs, inputs) where tensor.dtype != input.type.dtype {
      throw OctetError(
        .dtypeMismatch, "input \(input.name)", expected: input.type.dtype.rawValue, found: tensor.dtype.rawValue)
    }
    let key = inputs.map(\.shape)
    let prepared = try self.prepared[key] ?? prepare(inputs)
    self.prepared[key] = prepared
    try checkNumbers(inputs)

    let memory = prepared.memory
    let results = prepared.outputShapes.indices.map { index in
      (
        TensorStorage(
          byteCount: plan.slots[plan.outputs[index]].dtype.byteCount(of: elementCount(of: prepared.outputShapes[index]))
        ),
        prepared.outputShapes[index]
      )
    }
    for (slot, result) in zip(plan.outputs, results) { setAddress(of: slot, to: result.0.base, memory) }
    for (slot, tensor) in zip(plan.inputs, inputs) {
      tensor.withUnsafeBytes { setAddress(of: slot, to: UnsafeMutableRawPointer(mutating: $0.baseAddress!), memory) }
    }
    withExtendedLifetime(inputs) {
      for call in prepared.calls { pool.run(call) }
    }
    try memory.throwFailure()
    return zip(plan.outputs, results).map { slot, result in
      Tensor(storage: result.0, shape: result.1, dtype: plan.slots[slot].dtype)
    }
  }

  private func setAddress(of root: Int, to address: UnsafeMutableRawPointer, _ memory: Memory) {
    for slot in aliases[root] ?? [root] { memory.addresses[slot] = address }
  }

  /// The slots that share the memory of an input or output.
  private lazy var aliases: [Int: [Int]] = Dictionary(grouping: plan.slots.indices) { plan.slots[$0].root }

  private func checkNumbers(_ inputs: [Tensor]) throws {
    guard !plan.integerNodes.isEmpty else { return }
    for (input, tensor) in zip(plan.graph.inputs, inputs) where tensor.dtype == .float32 {
      let nans = try tensor.withUnsafeScalars(as: Float.self) { elements -> Int in
        var (low, high, infinities, nans) = (Float.infinity, -Float.infinity, 0, 0)
        guard let base = elements.baseAddress else { return 0 }
        InstructionSet.current.kernels.min_max(base, elements.count, &low, &high, &infinities, &nans)
        return nans
      }
      guard nans == 0 else {
        throw OctetError(.notANumber, "input \(input.name)", expected: "numbers", found: "\(nans) NaN")
      }
    }
  }

  // MARK: - Memory

  /// What the values of one run may take together; asking the system for more would end the process.
  private static let largestSize = Int(clamping: ProcessInfo.processInfo.physicalMemory) / 2

  private func prepare(_ inputs: [Tensor]) throws -> Prepared {
    try plan.graph.checkInputs(inputs.map(\.type))
    var graph = plan.graph
    for index in inputs.indices { graph.inputs[index].type = inputs[index].type }
    let shapes = Shapes(slots: plan.slots, types: try graph.validated().types, threads: pool.threads)
    for slot in plan.slots.indices where plan.slots[slot].dtype.byteCount(of: shapes.count(slot)) > Self.largestSize {
      throw OctetError(
        .unsupported, plan.slots[slot].value, expected: "a value that fits into memory",
        found: "\(shapes.types[plan.slots[slot].value]!)")
    }
    let (offsets, size) = layOut(shapes)
    let scratch = try plan.steps.map { try $0.scratchSize(shapes) }.max() ?? 0
    let results = plan.outputs.reduce(0) { $0 + plan.slots[$1].dtype.byteCount(of: shapes.count($1)) }
    guard size + results + scratch * pool.threads <= Self.largestSize else {
      throw OctetError(
        .unsupported, "inputs of \(inputs.map(\.shape))", expected: "values of at most \(Self.largestSize) bytes",
        found: "\(size + results + scratch * pool.threads)")
    }
    let memory = Memory(shapes: shapes, offsets: offsets, arenaSize: size, scratchSize: scratch)
    return Prepared(
      memory: memory, calls: try plan.steps.map { try $0.bind(memory) }, outputShapes: plan.outputs.map(shapes.shape))
  }

  /// Offsets in the arena: slots whose lives do not overlap may share a place. Inputs and outputs lie outside.
  private func layOut(_ shapes: Shapes) -> (offsets: [Int?], size: Int) {
    var offsets = [Int?](repeating: nil, count: plan.slots.count)
    var live: [(range: Range<Int>, until: Int)] = []
    var size = 0
    for (index, step) in plan.steps.enumerated() {
      live.removeAll { $0.until < index }
      let slot = step.output
      guard plan.slots[slot].root == slot, !plan.outputs.contains(slot), !plan.inputs.contains(slot) else { continue }
      let bytes = (plan.slots[slot].dtype.byteCount(of: shapes.count(slot)) + 127) / 64 * 64
      // The first gap that is wide enough.
      var start = 0
      for taken in live.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
        if taken.range.lowerBound >= start + bytes { break }
        start = max(start, taken.range.upperBound)
      }
      offsets[slot] = start
      live.append((start..<start + bytes, plan.lastUse[slot]))
      size = max(size, start + bytes)
    }
    return (offsets, size)
  }
}
