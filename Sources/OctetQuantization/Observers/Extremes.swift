import OctetCore

/// The smallest and largest finite element of a tensor.
struct Extremes {
  private(set) var minimum = Float.infinity
  private(set) var maximum = -Float.infinity
  private(set) var infinities = 0

  /// `nil` for a traced tensor, which has no elements to look at.
  ///
  /// - Throws: `OctetError`: `notANumber` if there is a NaN, `dtypeMismatch` if the tensor is not float32.
  init?(of x: Tensor) throws {
    if x.isTraced { return nil }
    var nans = 0
    try x.withUnsafeScalars(as: Float.self) { elements in
      guard let base = elements.baseAddress else { return }
      InstructionSet.current.kernels.min_max(base, elements.count, &minimum, &maximum, &infinities, &nans)
    }
    try refuse(nans, in: x)
  }
}

/// The smallest and largest finite element of every channel; +inf and −inf where there is none.
struct ChannelExtremes {
  private(set) var minimum: [Float]
  private(set) var maximum: [Float]
  /// Of all channels together.
  private(set) var infinities = 0

  /// One channel for each index of `axis`, which may be counted from the end; `nil` for a traced tensor.
  ///
  /// - Throws: `OctetError`: `shapeMismatch` if there is no such axis, `notANumber` if there is a NaN, `dtypeMismatch` if
  ///   the tensor is not float32.
  init?(of x: Tensor, axis: Int) throws {
    if x.isTraced { return nil }
    guard axis >= -x.rank, axis < x.rank else {
      throw OctetError(.shapeMismatch, "observer", expected: "a tensor with axis \(axis)", found: "\(x.type)")
    }
    var view = channelView(of: x.shape, axis: axis)
    minimum = [Float](repeating: .infinity, count: view.channels)
    maximum = [Float](repeating: -.infinity, count: view.channels)
    var nans = 0
    try x.withUnsafeScalars(as: Float.self) { elements in
      guard !elements.isEmpty else { return }
      InstructionSet.current.kernels.min_max_channels(
        &view, elements.baseAddress!, &minimum, &maximum, &infinities, &nans)
    }
    try refuse(nans, in: x)
  }
}

private func refuse(_ nans: Int, in x: Tensor) throws {
  guard nans == 0 else {
    throw OctetError(.notANumber, "observer", expected: "numbers", found: "\(nans) NaN in \(x.type)")
  }
}
