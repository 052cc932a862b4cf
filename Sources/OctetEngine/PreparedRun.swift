import CKernels
import Foundation
import OctetCore
import OctetGraph

/// A plan with memory for one set of input shapes, ready to run any number of times.
final class PreparedRun {
  private let plan: Plan
  private let inputShapes: [[Int]]
  private let outputShapes: [[Int]]
  /// For each input and output: the slots that share its memory.
  private let inputSlots: [[Int]]
  private let outputSlots: [[Int]]
  let memory: Memory
  let calls: [Call]
  /// Bytes of the memory.
  let byteCount: Int

  /// What the values of one run may take together; asking the system for more would end the process.
  static let largestSize = Int(clamping: ProcessInfo.processInfo.physicalMemory) / 2

  /// - Throws: `OctetError` if the inputs do not fit the plan, or their values no memory.
  init(_ plan: Plan, _ inputs: [Tensor], threads: Int) throws {
    self.plan = plan
    inputShapes = inputs.map(\.shape)
    try plan.graph.checkInputs(inputs.map(\.type))
    var graph = plan.graph
    for index in inputs.indices { graph.inputs[index].type = inputs[index].type }
    let shapes = Shapes(slots: plan.slots, types: try graph.validated().types, threads: threads)
    for slot in plan.slots.indices where plan.slots[slot].dtype.byteCount(of: shapes.count(slot)) > Self.largestSize {
      throw OctetError(
        .unsupported, plan.slots[slot].value, expected: "a value that fits into memory",
        found: "\(shapes.types[plan.slots[slot].value]!)")
    }
    let (offsets, size) = Self.layOut(plan, shapes)
    let scratch = try plan.steps.map { try $0.scratchSize(shapes) }.max() ?? 0
    let results = plan.outputs.reduce(0) { $0 + plan.slots[$1].dtype.byteCount(of: shapes.count($1)) }
    guard size + results + scratch * threads <= Self.largestSize else {
      throw OctetError(
        .unsupported, "inputs of \(inputs.map(\.shape))", expected: "values of at most \(Self.largestSize) bytes",
        found: "\(size + results + scratch * threads)")
    }
    byteCount = size + scratch * threads
    memory = Memory(shapes: shapes, offsets: offsets, arenaSize: size, scratchSize: scratch)
    calls = try plan.steps.map { [memory] in try $0.bind(memory) }
    outputShapes = plan.outputs.map(shapes.shape)
    let aliases = Dictionary(grouping: plan.slots.indices) { plan.slots[$0].root }
    inputSlots = plan.inputs.map { aliases[$0]! }
    outputSlots = plan.outputs.map { aliases[$0]! }
  }

  func fits(_ inputs: [Tensor]) -> Bool {
    inputs.count == inputShapes.count && zip(inputs, inputShapes).allSatisfy { $0.shape == $1 }
  }

  /// New tensors for the outputs.
  func makeResults() -> [Tensor] {
    zip(plan.outputs, outputShapes).map { slot, shape in
      Tensor(uninitialized: shape, dtype: plan.slots[slot].dtype)
    }
  }

  /// Tells the steps where this run's inputs and results are; both must live until it is over.
  func connect(_ inputs: [Tensor], _ results: [Tensor]) {
    func connect(_ slots: [[Int]], _ tensors: [Tensor]) {
      for (slots, tensor) in zip(slots, tensors) {
        tensor.withUnsafeBytes { bytes in
          let address = UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
          for slot in slots { memory.addresses[slot] = address }
        }
      }
    }
    connect(inputSlots, inputs)
    connect(outputSlots, results)
  }

  /// Offsets in the arena: slots whose lives do not overlap may share a place. Inputs and outputs lie outside.
  private static func layOut(_ plan: Plan, _ shapes: Shapes) -> (offsets: [Int?], size: Int) {
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
