import OctetCore

/// A Hessian made ready for GPTQ: in which order columns are quantized, and how the error of one is made up for by those
/// behind it.
struct ColumnOrder {
  /// The column of the weight at each place of the order.
  let columns: [Int]
  /// Whether a place's column never had an input other than 0.
  let isDead: [Bool]
  /// U, upper triangular in the order of `columns`, with `H⁻¹ = Uᵀ U`; [k, k] row-major.
  let upper: [Float]

  /// - Parameter name: of the layer, for errors.
  /// - Throws: `OctetError`: `notObserved` if all inputs were 0; `unsupported` if the dampened Hessian is not positive
  ///   definite, or no float32.
  init(_ hessian: Hessian, _ options: GPTQ, name: String) throws {
    let k = hessian.size
    let diagonal = (0..<k).map { hessian[$0, $0] }
    let live = diagonal.filter { $0 > 0 }
    guard !live.isEmpty else {
      throw OctetError(.notObserved, name, expected: "inputs other than 0 in calibration", found: "zeros alone")
    }
    let mean = live.reduce(0.0) { $0 + Double($1) } / Double(live.count)
    let dampening = Float(options.dampening * mean)
    guard (mean + options.dampening * mean) < Double(Float.greatestFiniteMagnitude), live.allSatisfy(\.isFinite) else {
      throw OctetError(.unsupported, name, expected: "inputs whose squares are float32", found: "their sum is not")
    }
    columns =
      options.ordersColumnsByActivation
      ? (0..<k).sorted { (diagonal[$1], $0) < (diagonal[$0], $1) } : Array(0..<k)
    isDead = columns.map { !(diagonal[$0] > 0) }

    // With both axes reversed, H = L Lᵀ and L⁻¹ = M give H⁻¹ = Mᵀ M; reversed again, M is the upper triangular U. One
    // factorization, and H⁻¹ itself is never needed.
    var reversed = [Float](repeating: 0, count: k * k)
    for i in 0..<k {
      let row = columns[k - 1 - i]
      for j in 0...i { reversed[i * k + j] = hessian[row, columns[k - 1 - j]] }
      // What a dead column has on the diagonal is of no consequence.
      reversed[i * k + i] = diagonal[row] > 0 ? diagonal[row] + dampening : Float(mean)
    }
    guard let factors = Cholesky.factor(reversed, n: k) else {
      throw OctetError(
        .unsupported, name,
        expected: "a positive definite Hessian: more calibration inputs, or a dampening above \(options.dampening)",
        found: "\(hessian.count) inputs of \(k) numbers that depend on one another")
    }
    upper = factors.inverse.reversed()
  }
}
