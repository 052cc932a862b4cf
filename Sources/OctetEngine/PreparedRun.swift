import CKernels
import OctetCore
import OctetGraph

/// A plan with memory for one set of input shapes, ready to run any number of times.
final class PreparedRun {
  private let plan: Plan
  private let inputTypes: [(dtype: DType, shape: [Int])]
  /// The inputs that must not hold a NaN: those of float32, if anything is computed in integers.
  private let numbers: [Int]
  private let outputShapes: [[Int]]
  /// The slots that lie in inputs and outputs: (slot, index of the input or output).
  private let inputSlots: [(slot: Int, index: Int)]
  private let outputSlots: [(slot: Int, index: Int)]
  let memory: Memory
  let calls: [Call]
  /// Which of the calls each step of the plan makes.
  let callsOfSteps: [Range<Int>]
  /// Bytes of the memory.
  let byteCount: Int

  /// - Throws: `OctetError` if the inputs do not fit the plan, or their values no memory.
  init(_ plan: Plan, _ inputs: [Tensor], threads: Int) throws {
    self.plan = plan
    inputTypes = inputs.map { ($0.dtype, $0.shape) }
    numbers = plan.integerNodes.isEmpty ? [] : inputs.indices.filter { inputs[$0].dtype == .float32 }
    try plan.graph.checkInputs(inputs.map(\.type))
    let types = try plan.graph.types(for: inputs.map(\.type))
    let shapes = Shapes(slots: plan.slots, types: types, threads: threads)
    for slot in plan.slots.indices where shapes.byteCount(slot) > largestByteCount {
      throw OctetError(
        .unsupported, plan.slots[slot].value, expected: "a value that fits into memory",
        found: "\(shapes.types[plan.slots[slot].value]!)")
    }
    let (offsets, size) = Self.layOut(plan, shapes)
    let scratch = try plan.steps.map { try $0.scratchSize(shapes) }.max() ?? 0
    let workspace = try plan.steps.map { try $0.workspaceSize(shapes) }.max() ?? 0
    let results = plan.outputs.reduce(0) { $0 + shapes.byteCount($1) }
    byteCount = size + workspace + scratch * threads
    guard byteCount + results <= largestByteCount else {
      throw OctetError(
        .unsupported, "inputs of \(inputs.map(\.shape))", expected: "values of at most \(largestByteCount) bytes",
        found: "\(byteCount + results)")
    }
    memory = Memory(
      shapes: shapes, offsets: offsets, arenaSize: size, scratchSize: scratch, workspaceSize: workspace)
    var (calls, ranges): ([Call], [Range<Int>]) = ([], [])
    for step in plan.steps {
      let start = calls.count
      calls += try step.bind(memory)
      ranges.append(start..<calls.count)
    }
    (self.calls, callsOfSteps) = (calls, ranges)
    outputShapes = plan.outputs.map(shapes.shape)
    let aliases = Dictionary(grouping: plan.slots.indices) { plan.slots[$0].root }
    func slots(of values: [Int]) -> [(slot: Int, index: Int)] {
      values.enumerated().flatMap { index, value in aliases[value]!.map { ($0, index) } }
    }
    inputSlots = slots(of: plan.inputs)
    outputSlots = slots(of: plan.outputs)
  }

  /// Whether these inputs are like those that the memory was laid out for.
  func fits(_ inputs: [Tensor]) -> Bool {
    // By index: copying tensors out of an array costs more than comparing them.
    inputs.count == inputTypes.count
      && inputs.indices.allSatisfy { inputs[$0].holds(inputTypes[$0].dtype, inputTypes[$0].shape) }
  }

  /// - Throws: `OctetError` (`notANumber`) if an input of a plan with integer steps holds a NaN.
  func checkNumbers(_ inputs: [Tensor]) throws {
    for index in numbers {
      let nans = try inputs[index].nanCount
      guard nans == 0 else {
        throw OctetError(
          .notANumber, "input \(plan.graph.inputs[index].name)", expected: "numbers", found: "\(nans) NaN")
      }
    }
  }

  /// New tensors for the outputs.
  func makeResults() -> [Tensor] {
    outputShapes.indices.map { Tensor(uninitialized: outputShapes[$0], dtype: plan.slots[plan.outputs[$0]].dtype) }
  }

  /// Tells the steps where this run's inputs and results are; both must live until it is over.
  func connect(_ inputs: [Tensor], _ results: [Tensor]) {
    for (slot, index) in inputSlots { memory.addresses[slot] = inputs[index].address }
    for (slot, index) in outputSlots { memory.addresses[slot] = results[index].address }
  }

  /// Offsets in the arena: slots whose lives do not overlap may share a place. Inputs and outputs lie outside.
  private static func layOut(_ plan: Plan, _ shapes: Shapes) -> (offsets: [Int?], size: Int) {
    var offsets = [Int?](repeating: nil, count: plan.slots.count)
    var live: [(range: Range<Int>, until: Int)] = []
    var size = 0
    for (index, step) in plan.steps.enumerated() {
      live.removeAll { $0.until < index }
      for slot in step.outputs {
        guard plan.slots[slot].root == slot, !plan.outputs.contains(slot), !plan.inputs.contains(slot) else { continue }
        let bytes = (shapes.byteCount(slot) + 127) / 64 * 64
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
    }
    return (offsets, size)
  }
}
