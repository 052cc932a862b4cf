extension Op {
  /// `activation(x · weightᵀ + bias)`. Operands: x [..., k], weight [n, k], bias [n] (optional). Result: [..., n].
  public struct Linear: Operation, Codable {
    public var activation: Activation?

    public init(activation: Activation? = nil) { self.activation = activation }

    public var attributes: String { activation.map { "\($0)" } ?? "" }

    public var operandCount: ClosedRange<Int> { 2...3 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      let weight = try operand(inputs, 1, "weight")
      try x.require(.float32, rank: 1...Int.max, "x")
      try weight.require(.float32, rank: 2...2, "weight")
      guard TensorType(.float32, [weight.shape[1]]).accepts(TensorType(.float32, [x.shape.last!])) else {
        throw OctetError(.shapeMismatch, "x", expected: "a last axis of \(weight.shape[1])", found: "\(x)")
      }
      if let bias = optionalOperand(inputs, 2) {
        try bias.require(.float32, rank: 1...1, "bias")
        try bias.requireShape([weight.shape[0]], "bias")
      }
      try activation?.check()
      return [TensorType(.float32, x.shape.dropLast() + [weight.shape[0]])]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      let weight = inputs[1]!
      let (n, k) = (weight.shape[0], weight.shape[1])
      let shape = Array(x.shape.dropLast()) + [n]
      var result = k == 0 ? try Tensor(zeros: shape) : Tensor(uninitialized: shape, dtype: .float32)
      let m = elementCount(of: Array(x.shape.dropLast()))
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try x.withUnsafeScalars(as: Float.self) { x in
          try weight.withUnsafeScalars(as: Float.self) { weight in
            guard m > 0, n > 0, k > 0 else { return }
            FloatGEMM.multiplyConcurrently(
              m: m, n: n, k: k, x.baseAddress!, (k, 1), weight.baseAddress!, (1, k), into: out.baseAddress!)
          }
        }
      }
      try addBias(optionalOperand(inputs, 2), to: &result, channelStride: 1)
      try finish(&result, residual: nil, activation)
      return [result]
    }
  }

  /// Matrix product with broadcast leading axes: a [..., m, k], b [..., k, n]. Result: [..., m, n].
  ///
  /// A vector a [k] counts as a row, a vector b [k] as a column, whose axis the result does not have.
  public struct MatMul: Operation, Codable {
    public init() {}

    public var operandCount: ClosedRange<Int> { 2...2 }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let a = try operand(inputs, 0, "a")
      let b = try operand(inputs, 1, "b")
      try a.require(.float32, rank: 1...Int.max, "a")
      try b.require(.float32, rank: 1...Int.max, "b")
      if a.rank == 1 || b.rank == 1 {
        let row = TensorType(.float32, a.rank == 1 ? [1] + a.shape : a.shape)
        let column = TensorType(.float32, b.rank == 1 ? b.shape + [1] : b.shape)
        var result = try outputTypes([row, column])[0]
        if b.rank == 1 { result.shape.removeLast() }
        if a.rank == 1 { result.shape.remove(at: result.rank - (b.rank == 1 ? 1 : 2)) }
        return [result]
      }
      let inner = TensorType(.float32, [a.shape[a.rank - 1]])
      guard inner.accepts(TensorType(.float32, [b.shape[b.rank - 2]])) else {
        throw OctetError(.shapeMismatch, "b", expected: "[..., \(a.shape[a.rank - 1]), n]", found: "\(b)")
      }
      let leading = try broadcast(a.shape.dropLast(2), b.shape.dropLast(2))
      return [TensorType(.float32, leading + [a.shape[a.rank - 2], b.shape[b.rank - 1]])]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let type = try outputTypes(inputs.map { $0?.type })[0]
      let a = inputs[0]!.rank == 1 ? inputs[0]!.reinterpreted(as: [1] + inputs[0]!.shape) : inputs[0]!
      let b = inputs[1]!.rank == 1 ? inputs[1]!.reinterpreted(as: inputs[1]!.shape + [1]) : inputs[1]!
      var result = try Tensor(zeros: outputTypes([a.type, b.type])[0].fixedShape!)
      let (m, k, n) = (a.shape[a.rank - 2], a.shape[a.rank - 1], b.shape[b.rank - 1])
      let leading = Array(result.shape.dropLast(2))
      let offsetsA = BroadcastOffsets(of: Array(a.shape.dropLast(2)), to: leading)
      let offsetsB = BroadcastOffsets(of: Array(b.shape.dropLast(2)), to: leading)
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try a.withUnsafeScalars(as: Float.self) { a in
          try b.withUnsafeScalars(as: Float.self) { b in
            guard !out.isEmpty, k > 0 else { return }
            for batch in 0..<elementCount(of: leading) {
              FloatGEMM.multiply(
                m: m, n: n, k: k, a.baseAddress! + offsetsA[batch] * m * k, (k, 1),
                b.baseAddress! + offsetsB[batch] * k * n, (n, 1), into: out.baseAddress! + batch * m * n)
            }
          }
        }
      }
      return [result.reinterpreted(as: type.fixedShape!)]
    }
  }
}

// MARK: - Gradients

extension Op.Linear {
  // dx = dy · weight,  dweight = dyᵀ · x,  dbias = Σ dy
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (x, weight) = (inputs[0]!, inputs[1]!)
    let (keptX, keptWeight) = (wanted[1] ? x : nil, wanted[0] ? weight : nil)
    let (n, k, shape) = (weight.shape[0], weight.shape[1], x.shape)
    let m = elementCount(of: Array(shape.dropLast()))
    let (y, range) = (activation == nil ? nil : results[0], activation?.range)
    let wantsBias = wanted.count > 2 && wanted[2]
    return { gradients in
      let gradient = try range.map { try masked(gradients[0]!, by: y!, within: $0) } ?? gradients[0]!
      let rows = gradient.reinterpreted(as: [m, n])
      return [
        try keptWeight.map { try product(rows, $0, m: m, n: k, k: n, (n, 1), (k, 1)).reinterpreted(as: shape) },
        try keptX.map { try product(rows, $0, m: n, n: k, k: m, (1, n), (k, 1)) },
        wantsBias ? try rows.summedPerChannel() : nil,
      ]
    }
  }
}

extension Op.MatMul {
  // da = dy · bᵀ,  db = aᵀ · dy, summed over what was broadcast
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (shapeA, shapeB) = (inputs[0]!.shape, inputs[1]!.shape)
    let a = shapeA.count == 1 ? inputs[0]!.reinterpreted(as: [1] + shapeA) : inputs[0]!
    let b = shapeB.count == 1 ? inputs[1]!.reinterpreted(as: shapeB + [1]) : inputs[1]!
    let (m, k, n) = (a.shape[a.rank - 2], a.shape[a.rank - 1], b.shape[b.rank - 1])
    let leading = try broadcast(a.type.shape.dropLast(2), b.type.shape.dropLast(2)).map { $0.size! }
    let (keptA, keptB) = (wanted[1] ? a : nil, wanted[0] ? b : nil)
    let (matricesA, matricesB) = (a.shape, b.shape)
    return { gradients in
      let offsetsA = BroadcastOffsets(of: Array(matricesA.dropLast(2)), to: leading)
      let offsetsB = BroadcastOffsets(of: Array(matricesB.dropLast(2)), to: leading)
      let count = elementCount(of: leading)
      var (da, db) = (
        try keptB.map { _ in try Tensor(zeros: matricesA) }, try keptA.map { _ in try Tensor(zeros: matricesB) }
      )
      guard m > 0, n > 0, k > 0 else {
        return [da?.reinterpreted(as: shapeA), db?.reinterpreted(as: shapeB)]
      }
      try gradients[0]!.withUnsafeScalars(as: Float.self) { dy in
        try da?.withUnsafeMutableScalars(as: Float.self) { out in
          try keptB!.withUnsafeScalars(as: Float.self) { b in
            for i in 0..<count {
              FloatGEMM.multiply(
                m: m, n: k, k: n, dy.baseAddress! + i * m * n, (n, 1), b.baseAddress! + offsetsB[i] * k * n, (1, n),
                into: out.baseAddress! + offsetsA[i] * m * k, adding: true)
            }
          }
        }
        try db?.withUnsafeMutableScalars(as: Float.self) { out in
          try keptA!.withUnsafeScalars(as: Float.self) { a in
            for i in 0..<count {
              FloatGEMM.multiply(
                m: k, n: n, k: m, a.baseAddress! + offsetsA[i] * m * k, (1, k), dy.baseAddress! + i * m * n, (n, 1),
                into: out.baseAddress! + offsetsB[i] * k * n, adding: true)
            }
          }
        }
      }
      return [da?.reinterpreted(as: shapeA), db?.reinterpreted(as: shapeB)]
    }
  }
}

/// a [m, k] · b [k, n] as a tensor [m, n].
private func product(
  _ a: Tensor, _ b: Tensor, m: Int, n: Int, k: Int, _ stridesA: FloatGEMM.Strides, _ stridesB: FloatGEMM.Strides
) throws -> Tensor {
  var result = k == 0 ? try Tensor(zeros: [m, n]) : Tensor(uninitialized: [m, n], dtype: .float32)
  try result.withUnsafeMutableScalars(as: Float.self) { out in
    try a.withUnsafeScalars(as: Float.self) { a in
      try b.withUnsafeScalars(as: Float.self) { b in
        guard m > 0, n > 0, k > 0 else { return }
        FloatGEMM.multiplyConcurrently(
          m: m, n: n, k: k, a.baseAddress!, stridesA, b.baseAddress!, stridesB, into: out.baseAddress!)
      }
    }
  }
  return result
}
