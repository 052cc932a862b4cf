extension Op {
  /// One layer of a recurrent network in one direction, over a whole sequence, with PyTorch's order of gates.
  ///
  ///     LSTM: [i, f, g, o] = x·weightInputᵀ + biasInput + state·weightStateᵀ + biasState
  ///           cell = σ(f) · cell + σ(i) · tanh(g),  state = σ(o) · tanh(cell)  [· projectionᵀ]
  ///     GRU:  r, z from sums as above;  n = tanh(x·weightInputₙᵀ + biasInputₙ + σ(r) · (state·weightStateₙᵀ + biasStateₙ))
  ///           state = n + σ(z) · (state − n)
  ///
  /// Operands, with t steps, b sequences, i features, h units, g = 4 (LSTM: i, f, g, o) or 3 (GRU: r, z, n) gates, and
  /// p = h or the size of the projection: x [t, b, i], weightInput [g·h, i], weightState [g·h, p]; optional biasInput
  /// [g·h], biasState [g·h], state [b, p] (zeros); LSTM also cell [b, h] (zeros), projection [p, h].
  /// Results: all states [t, b, p], the last state [b, p], and the last cell [b, h] of an LSTM.
  ///
  /// (ONNX's LSTM orders its gates i, o, f, g, its GRU z, r, n and `linear_before_reset = 1`.)
  public struct Recurrent: Operation, Codable {
    public enum Kind: String, Sendable, Codable {
      case lstm, gru

      package var gates: Int { self == .lstm ? 4 : 3 }
    }

    public var kind: Kind
    /// From the last step to the first; results stand where their steps do.
    public var isReversed: Bool
    /// How x and the states are quantized while the layer runs; `nil`: not at all.
    public var activations: DynamicQuantize?

    public init(_ kind: Kind, isReversed: Bool = false, activations: DynamicQuantize? = nil) {
      self.kind = kind
      self.isReversed = isReversed
      self.activations = activations
    }

    /// The places of operands.
    package enum Place {
      package static let x = 0
      package static let weightInput = 1
      package static let weightState = 2
      package static let biasInput = 3
      package static let biasState = 4
      package static let state = 5
      package static let cell = 6
      package static let projection = 7
    }

    public var attributes: String {
      let parts = [isReversed ? "reversed" : nil, activations.map { "activations \($0.attributes)" }]
      return parts.compactMap { $0 }.joined(separator: ", ")
    }

    public var operandCount: ClosedRange<Int> { 3...(kind == .lstm ? 8 : 6) }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, Place.x, "x")
      let weightInput = try operand(inputs, Place.weightInput, "weightInput")
      let weightState = try operand(inputs, Place.weightState, "weightState")
      try x.require(.float32, rank: 3...3, "x")
      try weightInput.require(.float32, rank: 2...2, "weightInput")
      try weightState.require(.float32, rank: 2...2, "weightState")
      let (steps, batch) = (x.shape[0], x.shape[1])
      guard let rows = weightInput.shape[0].size, rows > 0, rows.isMultiple(of: kind.gates) else {
        throw OctetError(
          .shapeMismatch, "weightInput", expected: "[\(kind.gates) · hidden, features]", found: "\(weightInput)")
      }
      let hidden = Dimension.fixed(rows / kind.gates)
      try x.requireShape([steps, batch, weightInput.shape[1]], "x")
      let projection = optionalOperand(inputs, Place.projection)
      try projection?.require(.float32, rank: 2...2, "projection")
      let size = projection?.shape[0] ?? hidden
      try projection?.requireShape([size, hidden], "projection")
      try weightState.requireShape([.fixed(rows), size], "weightState")
      for (place, name) in [(Place.biasInput, "biasInput"), (Place.biasState, "biasState")] {
        guard let bias = optionalOperand(inputs, place) else { continue }
        try bias.require(.float32, rank: 1...1, name)
        try bias.requireShape([.fixed(rows)], name)
      }
      for (place, name, size) in [(Place.state, "state", size), (Place.cell, "cell", hidden)] {
        guard let start = optionalOperand(inputs, place) else { continue }
        try start.require(.float32, rank: 2...2, name)
        try start.requireShape([batch, size], name)
      }
      let state = TensorType(.float32, [batch, size])
      let all = TensorType(.float32, [steps, batch, size])
      return kind == .lstm ? [all, state, TensorType(.float32, [batch, hidden])] : [all, state]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let (x, weightInput, weightState) = (inputs[0]!, inputs[1]!, inputs[2]!)
      let projection = optionalOperand(inputs, Place.projection)
      let (steps, batch, hidden) = (x.shape[0], x.shape[1], weightInput.shape[0] / kind.gates)
      let size = projection?.shape[0] ?? hidden
      func product(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) throws -> Tensor {
        try Op.Linear().evaluate([activations?.roundTrip(x) ?? x, weight, bias])[0]
      }
      let fromInput = try product(x, weightInput, optionalOperand(inputs, Place.biasInput))
      var state = try optionalOperand(inputs, Place.state) ?? Tensor(zeros: [batch, size])
      var cell = try optionalOperand(inputs, Place.cell) ?? Tensor(zeros: [batch, hidden])
      var all = try Tensor(zeros: [steps, batch, size])
      for index in 0..<steps {
        let step = isReversed ? steps - 1 - index : index
        let fromState = try product(state, weightState, optionalOperand(inputs, Place.biasState))
        let gates = try fromInput[step..<step + 1].reinterpreted(as: [batch, kind.gates * hidden])
        state = try advance(gates, fromState, state: state, cell: &cell, hidden: hidden)
        if let projection { state = try product(state, projection, nil) }
        try all.withUnsafeMutableScalars(as: Float.self) { out in
          try state.withUnsafeScalars(as: Float.self) { elements in
            for i in elements.indices { out[step * batch * size + i] = elements[i] }
          }
        }
      }
      return kind == .lstm ? [all, state, cell] : [all, state]
    }

    /// The state after one step, and the cell of an LSTM.
    private func advance(
      _ fromInput: Tensor, _ fromState: Tensor, state: Tensor, cell: inout Tensor, hidden: Int
    ) throws -> Tensor {
      let batch = cell.shape[0]
      let kernels = InstructionSet.current.kernels
      var result = Tensor(uninitialized: [batch, hidden], dtype: .float32)
      guard batch > 0 else { return result }
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try fromInput.withUnsafeScalars(as: Float.self) { fromInput in
          try fromState.withUnsafeScalars(as: Float.self) { fromState in
            let (a, b, to) = (fromInput.baseAddress!, fromState.baseAddress!, out.baseAddress!)
            switch kind {
            case .lstm:
              try cell.withUnsafeMutableScalars(as: Float.self) { cell in
                kernels.lstm_gates_f32(
                  a, b, cell.baseAddress!, batch, hidden, hidden, cell.baseAddress!, to)
              }
            case .gru:
              try state.withUnsafeScalars(as: Float.self) { state in
                kernels.gru_gates_f32(a, b, state.baseAddress!, batch, hidden, hidden, to)
              }
            }
          }
        }
      }
      return result
    }
  }
}

// MARK: - Gradient

extension Op.Recurrent {
  /// Through time: the layer again, made of operations that have gradients themselves. What they keep is there only while
  /// gradients go back through it.
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    return { gradients in
      let tape = Tape()
      let operands = inputs.enumerated().map { index, input in
        wanted[index] ? input.map { tape.watch($0) } : input
      }
      let seeds = zip(try unrolled(operands), gradients).compactMap { value, gradient in gradient.map { (value, $0) } }
      let zero = try Tensor(zeros: [0])
      return try tape.gradients(of: seeds, for: operands.map { $0 ?? zero })
    }
  }

  /// The same results by other operations.
  private func unrolled(_ inputs: [Tensor?]) throws -> [Tensor] {
    let (x, weightInput, weightState) = (inputs[0]!, inputs[1]!, inputs[2]!)
    let projection = optionalOperand(inputs, Place.projection)
    let (steps, batch, hidden) = (x.shape[0], x.shape[1], weightInput.shape[0] / kind.gates)
    func product(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) throws -> Tensor {
      let x = try activations.map { try apply(.dynamicQuantize($0), to: x) } ?? x
      return try linear(x, weight: weight, bias: bias)
    }
    let sizes = [Int](repeating: hidden, count: kind.gates)
    let fromInput = try product(x, weightInput, optionalOperand(inputs, Place.biasInput))
    var state = try optionalOperand(inputs, Place.state) ?? Tensor(zeros: [batch, projection?.shape[0] ?? hidden])
    var cell = try optionalOperand(inputs, Place.cell) ?? Tensor(zeros: [batch, hidden])
    var states: [Tensor] = []
    for index in 0..<steps {
      let step = isReversed ? steps - 1 - index : index
      let fromState = try product(state, weightState, optionalOperand(inputs, Place.biasState))
      let row = try fromInput.slice(axis: 0, from: step, to: step + 1).squeeze([0])
      switch kind {
      case .lstm:
        let gates = try (row + fromState).split(sizes, axis: 1)
        cell = try sigmoid(gates[1]) * cell + sigmoid(gates[0]) * tanh(gates[2])
        state = try sigmoid(gates[3]) * tanh(cell)
      case .gru:
        let (a, b) = (try row.split(sizes, axis: 1), try fromState.split(sizes, axis: 1))
        let candidate = try tanh(a[2] + sigmoid(a[0] + b[0]) * b[2])
        state = try candidate + sigmoid(a[1] + b[1]) * (state - candidate)
      }
      if let projection { state = try product(state, projection, nil) }
      states.append(try state.unsqueeze([0]))
    }
    if isReversed { states.reverse() }
    let all = states.isEmpty ? try Tensor(zeros: [0] + state.shape) : try concat(states, axis: 0)
    return kind == .lstm ? [all, state, cell] : [all, state]
  }
}
