import CKernels
import OctetCore

/// One layer of an LSTM or GRU in one direction: one product for all inputs, then for each step a product of the state
/// and the gates (of a GRU with `linearBeforeReset = false`, two products with the reset gate between them).
struct RecurrentStep: Step {
  let name: String
  let attributes: Op.Recurrent
  let x: Int
  let start: Int?
  let startCell: Int?
  /// How many steps each sequence has; `nil`: all.
  let lengths: Int?
  /// All states, the last one, and the last cell of an LSTM.
  let outputs: [Int]
  let weightInput: ConvolutionWeights
  let weightState: ConvolutionWeights
  /// What multiplies the state behind the reset gate, if that has a product of its own.
  let weightFresh: ConvolutionWeights?
  let projection: ConvolutionWeights?

  var inputs: [Int] { [x] + [start, startCell, lengths].compactMap { $0 } }
  var label: String { (attributes.activations == nil ? "" : "dynamic ") + attributes.kind.rawValue }

  // MARK: - Sizes

  private struct Sizes {
    let steps, batch, hidden, state: Int
    let input, recurrent: RowProduct
    let fresh, projection: RowProduct?
    let gates: Int

    /// The workspace: what comes from the inputs, what comes from the state, the state before the first step, units
    /// before their projection, the parts that become what comes from the state (gates, the state behind the reset gate,
    /// its product), and what the products need.
    var fromInputSize: Int { aligned(steps * batch * gates * hidden * 4) }
    var fromStateSize: Int { aligned(batch * gates * hidden * 4) }
    var startSize: Int { aligned(batch * state * 4) }
    var unitsSize: Int { projection == nil ? 0 : aligned(batch * hidden * 4) }
    var gatesSize: Int { fresh == nil ? 0 : aligned(batch * 2 * hidden * 4) }
    var freshSize: Int { fresh == nil ? 0 : aligned(batch * hidden * 4) }
    var ownSize: Int { fromInputSize + fromStateSize + startSize + unitsSize + gatesSize + 2 * freshSize }
    var products: [RowProduct] { [input, recurrent] + [fresh, projection].compactMap { $0 } }
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
      fresh: weightFresh.map { product($0, rows: batch) }, projection: projection.map { product($0, rows: batch) },
      gates: gates)
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

    let separate = units + (sizes.unitsSize / 4)
    let lengths = lengths.map { SequenceLengths(memory, slot: $0, steps: sizes.steps, name: name) }

    var calls = [
      Call { [start, startCell] _, _ in
        lengths?.check()
        Self.begin(before, from: start.map { memory.floats($0) }, count: batch * state)
        if let cell {
          Self.begin(memory.floats(cell), from: startCell.map { memory.floats($0) }, count: batch * sizes.hidden)
        }
      }
    ]
    calls += sizes.input.calls(
      memory, workspace: workspace, from: { UnsafePointer(memory.floats(x)) }, to: { fromInput })
    for index in 0..<sizes.steps {
      let step = attributes.isReversed ? sizes.steps - 1 - index : index
      let previous = attributes.isReversed ? step + 1 : step - 1
      let old: () -> UnsafePointer<Float> =
        index == 0
        ? { UnsafePointer(before) } : { UnsafePointer(memory.floats(all) + previous * batch * state) }
      let new = { memory.floats(all) + step * batch * state }
      let gates = fromInput + step * batch * sizes.gates * sizes.hidden
      if let fresh = sizes.fresh {
        calls += separateCalls(
          memory, sizes, fresh, workspace: workspace, fromInput: gates, old: old, separate: separate,
          to: fromState)
      } else {
        calls += sizes.recurrent.calls(memory, workspace: workspace, from: old, to: { fromState })
      }
      calls.append(
        gatesCall(
          memory, sizes, fromInput: gates, fromState: fromState, old: old, cell: cell,
          hasEnded: lengths.map { lengths in { lengths.hasEnded($0, at: step) } },
          to: sizes.projection == nil ? new : { units }))
      if let projection = sizes.projection {
        calls += projection.calls(memory, workspace: workspace, from: { UnsafePointer(units) }, to: new)
      }
      if let lengths {
        calls.append(
          Call { _, _ in
            for row in 0..<batch where lengths.hasEnded(row, at: step) {
              (new() + row * state).update(from: old() + row * state, count: state)
            }
          })
      }
    }
    let final = attributes.isReversed ? 0 : sizes.steps - 1
    calls.append(
      Call { _, _ in
        let from = sizes.steps == 0 ? before : memory.floats(all) + final * batch * state
        memory.floats(last).update(from: from, count: batch * state)
        guard let lengths else { return }
        for step in 0..<sizes.steps {
          for row in 0..<batch where lengths.hasEnded(row, at: step) {
            (memory.floats(all) + (step * batch + row) * state).update(repeating: 0, count: state)
          }
        }
      })
    return calls
  }

  /// What comes from the state where the reset gate comes before its product: σ(r) · state is multiplied, and the gate is
  /// open from then on.
  private func separateCalls(
    _ memory: Memory, _ sizes: Sizes, _ fresh: RowProduct, workspace: UnsafeMutableRawPointer,
    fromInput: UnsafeMutablePointer<Float>, old: @escaping () -> UnsafePointer<Float>,
    separate: UnsafeMutablePointer<Float>, to fromState: UnsafeMutablePointer<Float>
  ) -> [Call] {
    let (hidden, kernels) = (sizes.hidden, memory.kernels)
    let (gates, reset) = (separate, separate + sizes.gatesSize / 4)
    let product = reset + sizes.freshSize / 4
    let resetCall = memory.parts(sizes.batch, cost: 64 * hidden) { rows in
      for row in rows {
        let (input, gate, left) = (fromInput + row * 3 * hidden, gates + row * 2 * hidden, reset + row * hidden)
        kernels.add_f32(input, gate, hidden, -.infinity, .infinity, left)
        kernels.unary_f32(OCTET_SIGMOID, left, hidden, left)
        kernels.mul_f32(left, old() + row * hidden, hidden, left)
        // σ(200) = 1
        input.update(repeating: 200, count: hidden)
      }
    }
    let joinCall = memory.parts(sizes.batch, cost: 24 * hidden) { rows in
      for row in rows {
        let to = fromState + row * 3 * hidden
        to.update(repeating: 0, count: hidden)
        (to + hidden).update(from: gates + (row * 2 + 1) * hidden, count: hidden)
        (to + 2 * hidden).update(from: product + row * hidden, count: hidden)
      }
    }
    return sizes.recurrent.calls(memory, workspace: workspace, from: old, to: { gates }) + [resetCall]
      + fresh.calls(memory, workspace: workspace, from: { UnsafePointer(reset) }, to: { product }) + [joinCall]
  }

  private static func begin(
    _ to: UnsafeMutablePointer<Float>, from: UnsafeMutablePointer<Float>?, count: Int
  ) {
    if let from { to.update(from: from, count: count) } else { to.update(repeating: 0, count: count) }
  }

  /// Several sequences are shared out among the workers, or the units of a single one. Those that have ended keep their
  /// cell, and units of zeros are projected.
  private func gatesCall(
    _ memory: Memory, _ sizes: Sizes, fromInput: UnsafeMutablePointer<Float>, fromState: UnsafeMutablePointer<Float>,
    old: @escaping () -> UnsafePointer<Float>, cell: Int?, hasEnded: ((Int) -> Bool)?,
    to: @escaping () -> UnsafeMutablePointer<Float>
  ) -> Call {
    let (hidden, gates, isSingle) = (sizes.hidden, sizes.gates, sizes.batch == 1)
    let kernels = memory.kernels
    // What a unit takes is that of moving so many bytes.
    let cost = 160
    return memory.parts(isSingle ? hidden : sizes.batch, cost: isSingle ? cost : cost * hidden) { part in
      let (row, unit) = isSingle ? (0, part.lowerBound) : (part.lowerBound, 0)
      let (rows, units) = isSingle ? (1, part.count) : (part.count, hidden)
      func advance(_ row: Int, rows: Int) {
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
      guard let hasEnded else { return advance(row, rows: rows) }
      for row in row..<row + rows {
        if hasEnded(row) {
          (to() + row * hidden + unit).update(repeating: 0, count: units)
        } else {
          advance(row, rows: 1)
        }
      }
    }
  }
}

/// How many steps each sequence has, as it is known when the step runs.
private struct SequenceLengths {
  let memory: Memory
  let slot: Int
  let steps: Int
  let name: String

  init(_ memory: Memory, slot: Int, steps: Int, name: String) {
    (self.memory, self.slot, self.steps, self.name) = (memory, slot, steps, name)
  }

  private func length(_ row: Int) -> Int {
    memory.shapes.slots[slot].dtype == .int32
      ? Int(memory.addresses[slot].assumingMemoryBound(to: Int32.self)[row])
      : Int(memory.addresses[slot].assumingMemoryBound(to: Int64.self)[row])
  }

  func hasEnded(_ row: Int, at step: Int) -> Bool { step >= length(row) }

  func check() {
    let lengths = (0..<memory.shapes.count(slot)).map(length)
    if let odd = lengths.first(where: { !(0...steps).contains($0) }) {
      memory.record(Op.Recurrent.lengthError(odd, steps: steps), name)
    }
  }
}
