import OctetCore

/// The smallest and largest finite element of a tensor.
struct Extremes {
  var minimum = Float.infinity
  var maximum = -Float.infinity
  var infinities = 0
  private var nans = 0

  init() {}

  /// `nil` for a traced tensor, which has no elements to look at.
  ///
  /// - Throws: `OctetError`: `notANumber` if there is a NaN, `dtypeMismatch` if the tensor is not float32.
  init?(of x: Tensor) throws {
    if x.isTraced { return nil }
    try x.withUnsafeScalars(as: Float.self) { add($0) }
    try checkNumbers(x)
  }

  /// One for each index of `axis`.
  static func perChannel(of x: Tensor, axis: Int) throws -> [Extremes]? {
    if x.isTraced { return nil }
    guard axis >= -x.rank, axis < x.rank else {
      throw OctetError(.shapeMismatch, "observer", expected: "a tensor with axis \(axis)", found: "\(x.type)")
    }
    let axis = axis < 0 ? axis + x.rank : axis
    let inner = x.shape[(axis + 1)...].reduce(1, *)
    var channels = [Extremes](repeating: Extremes(), count: x.shape[axis])
    try x.withUnsafeScalars(as: Float.self) { elements in
      guard !elements.isEmpty else { return }
      for (row, start) in stride(from: 0, to: elements.count, by: inner).enumerated() {
        channels[row % channels.count].add(UnsafeBufferPointer(rebasing: elements[start..<start + inner]))
      }
    }
    for channel in channels { try channel.checkNumbers(x) }
    return channels
  }

  private mutating func add(_ elements: UnsafeBufferPointer<Float>) {
    guard let base = elements.baseAddress else { return }
    InstructionSet.current.kernels.min_max(base, elements.count, &minimum, &maximum, &infinities, &nans)
  }

  private func checkNumbers(_ x: Tensor) throws {
    guard nans == 0 else {
      throw OctetError(.notANumber, "observer", expected: "numbers", found: "\(nans) NaN in \(x.type)")
    }
  }
}
