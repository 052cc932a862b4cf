import CKernels
import OctetCore

/// Real numbers to integers with parameters of their own, which follow them in memory.
struct DynamicQuantizeStep: Step {
  let name: String
  let inputs: [Int]
  let output: Int
  var outputs: [Int] { [output] }
  var label: String { "quantize dynamically" }

  func bind(_ memory: Memory) -> [Call] {
    let (from, to) = (inputs[0], output)
    return memory.shapes.quantizedRows(to)!.calls(
      memory, from: { UnsafePointer(memory.floats(from)) }, to: { memory.addresses[to] })
  }
}

/// The real numbers that they stand for.
struct DynamicDequantizeStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  var label: String { "dequantize" }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let rows = memory.shapes.quantizedRows(from)!
    let kernels = memory.kernels
    let isByRow = rows.activations.granularity == .row
    let (count, length) = (rows.rows * rows.columns, isByRow ? rows.columns : rows.rows * rows.columns)
    if count == 0 { return Call(items: 0) { _, _ in } }
    return memory.parts(count / length, cost: 5 * length) { part in
      let base = memory.addresses[from]
      for row in part {
        kernels.dequantize_u8(
          memory.bytes(from) + row * length, length, rows.scales(base)[row], rows.zeroPoints(base)[row],
          memory.floats(to) + row * length)
      }
    }
  }
}

/// A linear layer of such integers, and of integer weights.
struct DynamicLinearStep: Step {
  let name: String
  let inputs: [Int]
  let output: Int
  let weights: ConvolutionWeights
  let activation: Activation?
  var outputs: [Int] { [output] }
  var label: String { "dynamic linear" + (activation.map { " + \($0)" } ?? "") }

  private func product(_ shapes: Shapes) -> RowProduct {
    let rows = shapes.quantizedRows(inputs[0])!
    return RowProduct(weights: weights, rows: rows.rows, activations: rows.activations, activation: activation)
  }

  func scratchSize(_ shapes: Shapes) -> Int { product(shapes).scratchSize }
  func workspaceSize(_ shapes: Shapes) -> Int { product(shapes).productWorkspaceSize }

  func bind(_ memory: Memory) -> [Call] {
    let (from, to) = (inputs[0], output)
    return product(memory.shapes).calls(
      memory, workspace: memory.workspace, quantized: { memory.addresses[from] }, to: { memory.floats(to) })
  }
}
