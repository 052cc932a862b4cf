import Synchronization

/// A value that a tape knows: an operand that is being differentiated, or what was computed from one.
package struct TapedValue: Sendable {
  package let tape: Tape
  let index: Int
}

/// What was computed from the operands that are being differentiated, in order. It travels in the operands, as the tracer
/// does: there is no global state.
package final class Tape: Sendable {
  /// One operation: where its operands and results stand, and how gradients go back.
  fileprivate struct Entry {
    let kind: Op.Kind
    let operands: [Int?]
    let results: Range<Int>
    let pullback: Pullback
  }

  fileprivate struct State {
    var entries: [Entry] = []
    var valueCount = 0
    var isOpen = true
  }

  private let state = Mutex(State())

  /// Whether it still records.
  package var isOpen: Bool { state.withLock { $0.isOpen } }

  /// Lets go of everything: what was computed is a constant from now on, wherever it has gone.
  func close() {
    state.withLock { state in
      state.entries = []
      state.isOpen = false
    }
  }

  /// The tensor as an operand that is being differentiated.
  func watch(_ tensor: Tensor) -> Tensor {
    tensor.taped(as: TapedValue(tape: self, index: state.withLock { $0.addValues(1).lowerBound }))
  }

  /// Evaluates an operation of which at least one operand is on this tape.
  func record(_ op: Op, _ inputs: [Tensor?]) throws -> [Tensor] {
    let operands = try inputs.map { input -> Int? in
      guard let origin = input?.origin else { return nil }
      guard origin.tape === self else {
        throw OctetError(
          .unsupported, "operands", expected: "values of one differentiation", found: "values of two, one in the other")
      }
      return origin.index
    }
    let concrete = inputs.map { $0?.detached }
    let (results, pullback) = try op.operation.differentiate(concrete, wanted: operands.map { $0 != nil })
    guard let pullback else { return results }
    let indices = state.withLock { state in
      let indices = state.addValues(results.count)
      state.entries.append(Entry(kind: op.kind, operands: operands, results: indices, pullback: pullback))
      return indices
    }
    return zip(results, indices).map { result, index in
      // Whole numbers beside real ones (indices of the largest) have no gradient.
      result.dtype == .float32 ? result.taped(as: TapedValue(tape: self, index: index)) : result
    }
  }

  /// The gradients of `Σ seed · value` over all seeds with respect to operands. What has been recorded is used up: every
  /// entry, and what it holds, is let go as soon as gradients have passed it.
  func gradients(of seeds: [(value: Tensor, gradient: Tensor)], for operands: [Tensor]) throws -> [Tensor?] {
    var state = self.state.withLock { state in
      defer { state.entries = [] }
      return state
    }
    var gradients = [Tensor?](repeating: nil, count: state.valueCount)
    func add(_ gradient: Tensor, at index: Int) throws {
      if gradients[index] == nil {
        gradients[index] = gradient
      } else {
        try gradients[index]!.accumulate(gradient)
      }
    }
    for (value, gradient) in seeds {
      if let origin = value.origin, origin.tape === self { try add(gradient, at: origin.index) }
    }
    while let entry = state.entries.popLast() {
      let received = entry.results.map { gradients[$0] }
      for index in entry.results { gradients[index] = nil }
      guard received.contains(where: { $0 != nil }) else { continue }
      let sent = try naming("gradient of \(entry.kind.rawValue)") { try entry.pullback(received) }
      for (operand, gradient) in zip(entry.operands, sent) {
        if let operand, let gradient { try add(gradient, at: operand) }
      }
    }
    return operands.map { $0.origin.flatMap { $0.tape === self ? gradients[$0.index] : nil } }
  }
}

extension Tape.State {
  fileprivate mutating func addValues(_ count: Int) -> Range<Int> {
    defer { valueCount += count }
    return valueCount..<valueCount + count
  }
}

extension Tensor {
  /// Adds a tensor of the same shape.
  mutating func accumulate(_ other: Tensor) throws {
    try withUnsafeMutableScalars(as: Float.self) { sum in
      try other.withUnsafeScalars(as: Float.self) { other in
        concurrently(elements: sum.count) { range in for i in range { sum[i] += other[i] } }
      }
    }
  }
}
