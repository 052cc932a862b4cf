import CKernels
import OctetCore

/// One layer of an LSTM or GRU in one direction: one product for all inputs, then for each step a product of the state
/// and the gates.
struct RecurrentStep: Step {
  let name: String
  let attributes: Op.Recurrent
  let x: Int
  let start: Int?
  let startCell: Int?
  /// All states, the last one, and the last cell of an LSTM.
  let outputs: [Int]
  let weightInput: ConvolutionWeights
  let weightState: ConvolutionWeights
  let projection: ConvolutionWeights?

  var inputs: [Int] { [x] + [start, startCell].compactMap { $0 } }
  var label: String { (attributes.activations == nil ? "" : "dynamic ") + attributes.kind.rawValue }

  // MARK: - Sizes

  private struct Sizes {
    let steps, batch, hidden, state: Int
    let input, recurrent: RowProduct
    let projection: RowProduct?
    let gates: Int

    /// The workspace: what comes from the inputs, what comes from the state, the state before the first step, units
    /// before their projection, and what the products need.
    var fromInputSize: Int { aligned(steps * batch * gates * hidden * 4) }
    var fromStateSize: Int { aligned(batch * gates * hidden * 4) }
    var startSize: Int { aligned(batch * state * 4) }
    var unitsSize: Int { projection == nil ? 0 : aligned(batch * hidden * 4) }
    var ownSize: Int { fromInputSize + fromStateSize + startSize + unitsSize }
    var products: [RowProduct] { [input, recurrent] + (projection.map { [$0] } ?? []) }
  }

  private func sizes(_ shapes: Shapes) -> Sizes {
    let shape = shapes.shape(x)
    let (steps, batch, gates) = (shape[0], shape[1], attributes.kind.gates)
    func product(_ weights: ConvolutionWeights, rows: Int) -> RowProduct {
      RowProduct(weights: weights, rows: rows, activations: attributes.activations)
    }
    return Sizes(
      steps: steps, batch: batch, hidden: weightInput.shape.out_c / gates, state: shapes.shape(outputs[0])[2],
      input: product(weightInput, rows: steps * batch), recurrent: product(weightState, rows: batch),
      projection: projection.map { product($0, rows: batch) }, gates: gates)
  }

  func scratchSize(_ shapes: Shapes) -> Int { sizes(shapes).products.map(\.scratchSize).max()! }

  func workspaceSize(_ shapes: Shapes) -> Int {
    let sizes = sizes(shapes)
    return sizes.ownSize + sizes.products.map(\.workspaceSize).max()!
  }

  // MARK: - Calls

  func bind(_ memory: Memory) -> [Call] {
    let sizes = sizes(memory.shapes)
    let (batch, state) = (sizes.batch, sizes.state)
    let (x, all, last) = (x, outputs[0], outputs[1])
    let cell = outputs.count > 2 ? outputs[2] : nil
    func floats(_ offset: Int) -> UnsafeMutablePointer<Float> {
      (memory.workspace + offset).assumingMemoryBound(to: Float.self)
    }
    let fromInput = floats(0)
    let fromState = floats(sizes.fromInputSize)
    let before = floats(sizes.fromInputSize + sizes.fromStateSize)
    let units = floats(sizes.fromInputSize + sizes.fromStateSize + sizes.startSize)
    let workspace = memory.workspace + sizes.ownSize

    var calls = [Call { [start, startCell] _, _ in
      Self.begin(before, from: start.map { memory.floats($0) }, count: batch * state)
      if let cell {
        Self.begin(memory.floats(cell), from: startCell.map { memory.floats($0) }, count: batch * sizes.hidden)
      }
    }]
    calls += sizes.input.calls(
      memory, workspace: workspace, from: { UnsafePointer(memory.floats(x)) }, to: { fromInput })
    for index in 0..<sizes.steps {
      let step = attributes.isReversed ? sizes.steps - 1 - index : index
      let previous = attributes.isReversed ? step + 1 : step - 1
      let old: () -> UnsafePointer<Float> =
        index == 0
        ? { UnsafePointer(before) } : { UnsafePointer(memory.floats(all) + previous * batch * state) }
      let new = { memory.floats(all) + step * batch * state }
      calls += sizes.recurrent.calls(memory, workspace: workspace, from: old, to: { fromState })
      calls.append(
        gatesCall(
          memory, sizes, fromInput: fromInput + step * batch * sizes.gates * sizes.hidden, fromState: fromState,
          old: old, cell: cell, to: sizes.projection == nil ? new : { units }))
      if let projection = sizes.projection {
        calls += projection.calls(memory, workspace: workspace, from: { UnsafePointer(units) }, to: new)
      }
    }
    let final = attributes.isReversed ? 0 : sizes.steps - 1
    calls.append(
      Call { _, _ in
        let from = sizes.steps == 0 ? before : memory.floats(all) + final * batch * state
        memory.floats(last).update(from: from, count: batch * state)
      })
    return calls
  }

  private static func begin(
    _ to: UnsafeMutablePointer<Float>, from: UnsafeMutablePointer<Float>?, count: Int
  ) {
    if let from { to.update(from: from, count: count) } else { to.update(repeating: 0, count: count) }
  }

  /// Several sequences are shared out among the workers, or the units of a single one.
  private func gatesCall(
    _ memory: Memory, _ sizes: Sizes, fromInput: UnsafeMutablePointer<Float>, fromState: UnsafeMutablePointer<Float>,
    old: @escaping () -> UnsafePointer<Float>, cell: Int?, to: @escaping () -> UnsafeMutablePointer<Float>
  ) -> Call {
    let (hidden, gates, isSingle) = (sizes.hidden, sizes.gates, sizes.batch == 1)
    let kernels = memory.kernels
    // What a unit takes is that of moving so many bytes.
    let cost = 160
    return memory.parts(isSingle ? hidden : sizes.batch, cost: isSingle ? cost : cost * hidden) { part in
      let (row, unit) = isSingle ? (0, part.lowerBound) : (part.lowerBound, 0)
      let (rows, units) = isSingle ? (1, part.count) : (part.count, hidden)
      let (gate, place) = (row * gates * hidden + unit, row * hidden + unit)
      if let cell {
        let cells = memory.floats(cell) + place
        kernels.lstm_gates_f32(
          fromInput + gate, fromState + gate, cells, rows, hidden, units, cells, to() + place)
      } else {
        kernels.gru_gates_f32(
          fromInput + gate, fromState + gate, old() + place, rows, hidden, units, to() + place)
      }
    }
  }
}
