import CKernels

extension Op.Recurrent {
  public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
    let (x, weightInput, weightState) = (inputs[0]!, inputs[1]!, inputs[2]!)
    let projection = optionalOperand(inputs, Place.projection)
    let (steps, batch, hidden) = (x.shape[0], x.shape[1], weightInput.shape[0] / kind.gates)
    let size = projection?.shape[0] ?? hidden
    let lengths = try optionalOperand(inputs, Place.lengths).map { try sequenceLengths($0, steps: steps) }
    let products = try StateProducts(self, weightState, optionalOperand(inputs, Place.biasState), hidden: hidden)
    let fromInput = try product(x, weightInput, optionalOperand(inputs, Place.biasInput))
    var state = try optionalOperand(inputs, Place.state) ?? Tensor(zeros: [batch, size])
    var cell = try optionalOperand(inputs, Place.cell) ?? Tensor(zeros: [batch, hidden])
    let (nothing, noUnits) = (try Tensor(zeros: [batch, size]), try Tensor(zeros: [batch, hidden]))
    var all = try Tensor(zeros: [steps, batch, size])
    for index in 0..<steps {
      let step = isReversed ? steps - 1 - index : index
      let ended = lengths.map { lengths in lengths.indices.filter { step >= lengths[$0] } } ?? []
      let gates = try fromInput[step..<step + 1].reinterpreted(as: [batch, kind.gates * hidden])
      let before = (state: state, cell: cell)
      state = try advance(gates, products, state: state, cell: &cell, hidden: hidden)
      if let projection {
        try state.takeRows(ended, of: noUnits)
        state = try product(state, projection, nil)
      }
      try cell.takeRows(ended, of: before.cell)
      var result = state
      try result.takeRows(ended, of: nothing)
      try state.takeRows(ended, of: before.state)
      try all.withUnsafeMutableScalars(as: Float.self) { out in
        try result.withUnsafeScalars(as: Float.self) { elements in
          for i in elements.indices { out[step * batch * size + i] = elements[i] }
        }
      }
    }
    return kind == .lstm ? [all, state, cell] : [all, state]
  }

  private func product(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) throws -> Tensor {
    try Op.Linear().evaluate([activations?.roundTrip(x) ?? x, weight, bias])[0]
  }

  /// - Throws: `OctetError` (`invalidArgument`) unless all are within 0…steps.
  func sequenceLengths(_ tensor: Tensor, steps: Int) throws -> [Int] {
    let lengths =
      try tensor.dtype == .int32
      ? tensor.scalars(as: Int32.self).map { Int($0) } : tensor.scalars(as: Int64.self).map { Int($0) }
    if let odd = lengths.first(where: { !(0...steps).contains($0) }) { throw Self.lengthError(odd, steps: steps) }
    return lengths
  }

  package static func lengthError(_ length: Int, steps: Int) -> OctetError {
    OctetError(.invalidArgument, "lengths", expected: "numbers in 0...\(steps)", found: "\(length)")
  }

  /// The weights and biases that states are multiplied with.
  private struct StateProducts {
    let all: (weight: Tensor, bias: Tensor?)
    /// Those of the gates alone, and of what the reset gate leaves, where these are two products.
    let separate: (gates: (weight: Tensor, bias: Tensor?), fresh: (weight: Tensor, bias: Tensor?))?

    init(_ op: Op.Recurrent, _ weight: Tensor, _ bias: Tensor?, hidden: Int) throws {
      func rows(_ range: Range<Int>) throws -> (Tensor, Tensor?) {
        try (
          weight.slice(axis: 0, from: range.lowerBound, to: range.upperBound),
          bias?.slice(axis: 0, from: range.lowerBound, to: range.upperBound)
        )
      }
      all = (weight, bias)
      separate = try op.separateRows(hidden: hidden).map { (try rows($0.gates), try rows($0.fresh)) }
    }
  }

  /// The state after one step, and the cell of an LSTM.
  private func advance(
    _ fromInput: Tensor, _ products: StateProducts, state: Tensor, cell: inout Tensor, hidden: Int
  ) throws -> Tensor {
    guard let (gates, fresh) = products.separate else {
      let fromState = try product(state, products.all.weight, products.all.bias)
      return try gated(fromInput, fromState, state: state, cell: &cell, hidden: hidden)
    }
    func part(_ x: Tensor, _ from: Int, _ to: Int) throws -> Tensor {
      try x.slice(axis: 1, from: from * hidden, to: to * hidden)
    }
    let fromState = try product(state, gates.weight, gates.bias)
    let reset = try apply(.unary(.sigmoid), [apply(.binary(.add), [part(fromInput, 0, 1), part(fromState, 0, 1)])[0]])[
      0]
    let left = try apply(.binary(.mul), [reset, state])[0]
    // The reset gate has done its work: with 200 it is 1.
    let open = try Tensor(repeating: Float(200), shape: [state.shape[0], hidden])
    return try gated(
      concat([open, part(fromInput, 1, 3)], axis: 1),
      concat([Tensor(zeros: open.shape), part(fromState, 1, 2), product(left, fresh.weight, fresh.bias)], axis: 1),
      state: state, cell: &cell, hidden: hidden)
  }

  private func gated(
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

extension Tensor {
  /// Puts rows of another matrix of this shape in the place of those here.
  fileprivate mutating func takeRows(_ rows: [Int], of other: Tensor) throws {
    guard !rows.isEmpty else { return }
    let columns = shape[1]
    try withUnsafeMutableScalars(as: Float.self) { to in
      try other.withUnsafeScalars(as: Float.self) { from in
        for row in rows {
          for place in row * columns..<(row + 1) * columns { to[place] = from[place] }
        }
      }
    }
  }
}
