extension Op {
  /// One layer of a recurrent network in one direction, over a whole sequence, with PyTorch's order of gates.
  ///
  ///     LSTM: [i, f, g, o] = x·weightInputᵀ + biasInput + state·weightStateᵀ + biasState
  ///           cell = σ(f) · cell + σ(i) · tanh(g),  state = σ(o) · tanh(cell)  [· projectionᵀ]
  ///     GRU:  r, z from sums as above;  n = tanh(x·weightInputₙᵀ + biasInputₙ + σ(r) · (state·weightStateₙᵀ + biasStateₙ))
  ///           state = n + σ(z) · (state − n)
  ///           (without linearBeforeReset:  n = tanh(… + (σ(r) · state)·weightStateₙᵀ + biasStateₙ))
  ///
  /// Operands, with t steps, b sequences, i features, h units, g = 4 (LSTM: i, f, g, o) or 3 (GRU: r, z, n) gates, and
  /// p = h or the size of the projection: x [t, b, i], weightInput [g·h, i], weightState [g·h, p]; optional biasInput
  /// [g·h], biasState [g·h], state [b, p] (zeros); LSTM also cell [b, h] (zeros), projection [p, h]; both lengths [b] int32
  /// or int64: how many steps from the first on each sequence has (t). What is behind its end leaves a sequence as it is, and
  /// has states of zeros in the result; but it counts for the range that activations are quantized by. (Reversed, a sequence
  /// begins at its own last step. One of length 0 ends as it began; in ONNX Runtime with zeros.)
  /// Results: all states [t, b, p], the last state [b, p], and the last cell [b, h] of an LSTM.
  ///
  /// (ONNX's LSTM orders its gates i, o, f, g, its GRU z, r, n.)
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
    /// Whether the reset gate of a GRU comes behind the product of the state, as in PyTorch, or before it, as in the paper
    /// and by default in ONNX (`linear_before_reset = 0`).
    public var linearBeforeReset: Bool

    public init(
      _ kind: Kind, isReversed: Bool = false, activations: DynamicQuantize? = nil, linearBeforeReset: Bool = true
    ) {
      self.kind = kind
      self.isReversed = isReversed
      self.activations = activations
      self.linearBeforeReset = linearBeforeReset
    }

    // Graphs that were saved before the attribute was there do not have it.
    public init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      self.init(
        try values.decode(Kind.self, forKey: .kind), isReversed: try values.decode(Bool.self, forKey: .isReversed),
        activations: try values.decodeIfPresent(DynamicQuantize.self, forKey: .activations),
        linearBeforeReset: try values.decodeIfPresent(Bool.self, forKey: .linearBeforeReset) ?? true)
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
      package static let lengths = 8
    }

    /// The rows of a GRU's weights that make the gates r and z, and those that make n from what r leaves of the state, if
    /// they have products of their own.
    package func separateRows(hidden: Int) -> (gates: Range<Int>, fresh: Range<Int>)? {
      kind == .gru && !linearBeforeReset ? (0..<2 * hidden, 2 * hidden..<3 * hidden) : nil
    }

    public var attributes: String {
      let parts = [
        isReversed ? "reversed" : nil, kind == .gru && !linearBeforeReset ? "reset first" : nil,
        activations.map { "activations \($0.attributes)" },
      ]
      return parts.compactMap { $0 }.joined(separator: ", ")
    }

    public var operandCount: ClosedRange<Int> { 3...9 }

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
      if kind == .gru, [Place.cell, Place.projection].contains(where: { optionalOperand(inputs, $0) != nil }) {
        throw OctetError(.invalidArgument, "operands", expected: "no cell and no projection", found: "one")
      }
      if let lengths = optionalOperand(inputs, Place.lengths) {
        guard lengths.dtype == .int32 || lengths.dtype == .int64 else {
          throw OctetError(.dtypeMismatch, "lengths", expected: "int32 or int64", found: "\(lengths)")
        }
        guard lengths.rank == 1 else {
          throw OctetError(.shapeMismatch, "lengths", expected: "rank 1", found: "\(lengths)")
        }
        try lengths.requireShape([batch], "lengths")
      }
      let state = TensorType(.float32, [batch, size])
      let all = TensorType(.float32, [steps, batch, size])
      return kind == .lstm ? [all, state, TensorType(.float32, [batch, hidden])] : [all, state]
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
    func fromState(_ state: Tensor, _ rows: Range<Int>? = nil) throws -> Tensor {
      let bias = optionalOperand(inputs, Place.biasState)
      guard let rows else { return try product(state, weightState, bias) }
      return try product(
        state, weightState.slice(axis: 0, from: rows.lowerBound, to: rows.upperBound),
        bias?.slice(axis: 0, from: rows.lowerBound, to: rows.upperBound))
    }
    let lengths = try optionalOperand(inputs, Place.lengths).map { try sequenceLengths($0, steps: steps) }
    let sizes = [Int](repeating: hidden, count: kind.gates)
    let fromInput = try product(x, weightInput, optionalOperand(inputs, Place.biasInput))
    var state = try optionalOperand(inputs, Place.state) ?? Tensor(zeros: [batch, projection?.shape[0] ?? hidden])
    var cell = try optionalOperand(inputs, Place.cell) ?? Tensor(zeros: [batch, hidden])
    var states: [Tensor] = []
    let rows = steps == 0 ? [] : try fromInput.split([Int](repeating: 1, count: steps), axis: 0)
    for index in 0..<steps {
      let step = isReversed ? steps - 1 - index : index
      let before = (state: state, cell: cell)
      let row = try rows[step].squeeze([0])
      switch kind {
      case .lstm:
        let gates = try (row + fromState(state)).split(sizes, axis: 1)
        cell = try sigmoid(gates[1]) * cell + sigmoid(gates[0]) * tanh(gates[2])
        state = try sigmoid(gates[3]) * tanh(cell)
      case .gru:
        let a = try row.split(sizes, axis: 1)
        let (b, fresh): ([Tensor], Tensor)
        if let separate = separateRows(hidden: hidden) {
          b = try fromState(state, separate.gates).split([hidden, hidden], axis: 1)
          fresh = try fromState(sigmoid(a[0] + b[0]) * state, separate.fresh)
        } else {
          b = try fromState(state).split(sizes, axis: 1)
          fresh = try sigmoid(a[0] + b[0]) * b[2]
        }
        let candidate = try tanh(a[2] + fresh)
        state = try candidate + sigmoid(a[1] + b[1]) * (state - candidate)
      }
      // 1 for sequences that have not ended, 0 for others.
      let isRunning = try lengths.map { lengths in
        try Tensor(lengths.map { step < $0 ? Float(1) : 0 }, shape: [batch, 1])
      }
      if let isRunning {
        if projection != nil { state = try state * isRunning }
        cell = try before.cell + (cell - before.cell) * isRunning
      }
      if let projection { state = try product(state, projection, nil) }
      if let isRunning { state = try before.state + (state - before.state) * isRunning }
      states.append(try (isRunning.map { try state * $0 } ?? state).unsqueeze([0]))
    }
    if isReversed { states.reverse() }
    let all = states.isEmpty ? try Tensor(zeros: [0] + state.shape) : try concat(states, axis: 0)
    return kind == .lstm ? [all, state, cell] : [all, state]
  }
}
