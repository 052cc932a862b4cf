import OctetCore

/// What may be computed ahead: a small file must not ask for hours, or for all memory.
///
/// What costs more is computed when the graph runs. Networks stay far below: results are as large as weights, products of
/// weights rare.
package struct FoldingBudget {
  /// Bytes that one result may have.
  package static let largestResult = 1 << 28
  private var bytes = 1 << 29
  private var products = 1 << 35

  package init() {}

  /// More is computed of more weights.
  package mutating func add(weights count: Int) { bytes += 4 * count }

  /// Whether there is room for an operation, which is taken then.
  package mutating func allows(_ op: Op, _ operands: [TensorType?], _ results: [TensorType]) -> Bool {
    var (size, elements) = (0, 0)
    for type in results {
      guard let shape = type.fixedShape else { return false }
      let count = elementCount(of: shape)
      guard type.dtype.byteCount(of: count) <= Self.largestResult else { return false }
      size += type.dtype.byteCount(of: count)
      elements += count
    }
    let (work, overflow) = elements.multipliedReportingOverflow(by: depth(op, operands))
    guard !overflow, work <= products, size <= bytes else { return false }
    bytes -= size
    products -= work
    return true
  }

  /// About how many products each element of a result takes.
  private func depth(_ op: Op, _ operands: [TensorType?]) -> Int {
    let shapes = operands.map { $0?.fixedShape ?? [] }
    switch op.kind {
    case .matmul: return max(shapes[0].last ?? 1, 1)
    case .conv, .convTranspose, .linear, .lstm, .gru:
      guard shapes.count > 1, let first = shapes[1].first, first > 0 else { return 1 }
      return max(elementCount(of: shapes[1]) / first, 1)
    default: return 1
    }
  }
}
