/// One axis of a shape: a number, or a name for a number that is known only when the graph runs.
public enum Dimension: Hashable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  case fixed(Int)
  case symbolic(String)

  public init(integerLiteral value: Int) { self = .fixed(value) }

  /// The number, if it is known.
  public var size: Int? {
    if case .fixed(let size) = self { size } else { nil }
  }

  public var description: String {
    switch self {
    case .fixed(let size): "\(size)"
    case .symbolic(let name): name
    }
  }
}

/// What is known of a tensor before there are values: element type and shape.
public struct TensorType: Hashable, Sendable, CustomStringConvertible {
  public var dtype: DType
  public var shape: [Dimension]

  public init(_ dtype: DType, _ shape: [Dimension]) {
    self.dtype = dtype
    self.shape = shape
  }

  public init(_ dtype: DType, fixed shape: [Int]) {
    self.init(dtype, shape.map(Dimension.fixed))
  }

  public var rank: Int { shape.count }

  /// The shape, if every dimension is known.
  public var fixedShape: [Int]? {
    let sizes = shape.compactMap(\.size)
    return sizes.count == shape.count ? sizes : nil
  }

  public var description: String { "\(dtype.rawValue) \(shape)" }

  /// Whether a concrete tensor of `other`'s type may stand where this one is asked for: the same element type and
  /// rank, and equal numbers wherever both are known.
  public func accepts(_ other: TensorType) -> Bool {
    dtype == other.dtype && rank == other.rank
      && zip(shape, other.shape).allSatisfy { $0.size == nil || $1.size == nil || $0 == $1 }
  }

  /// Whether this is one number, [n, c, 1, 1], for each channel of images [n, c, h, w]: what a gate (squeeze and
  /// excitation) multiplies by.
  package func isChannels(of images: TensorType) -> Bool {
    dtype == images.dtype && rank == 4 && images.rank == 4 && shape[..<2] == images.shape[..<2]
      && shape[2...].allSatisfy { $0 == 1 }
  }

  /// How a constant of this type, which broadcasts to `other`, lies over it: as a run of elements that is repeated, with
  /// the channels of images in front of their pixels or behind them.
  package func repetition(over other: TensorType) -> Repetition? {
    guard dtype == other.dtype, rank <= other.rank else { return nil }
    let sizes = [Dimension](repeating: 1, count: other.rank - rank) + shape
    let run = sizes.drop { $0 == 1 }
    if !run.isEmpty, run.elementsEqual(other.shape.suffix(run.count)) { return .trailing }
    return other.rank == 4 && sizes[0] == 1 && sizes[1] == other.shape[1] && sizes[2...].allSatisfy { $0 == 1 }
      ? .channels : nil
  }

  package enum Repetition {
    /// Equal to the last axes, and the same for all others.
    case trailing
    /// One number for each channel of images.
    case channels
  }
}
