import CKernels
import OctetCore

/// Which elements of a tensor share a scale.
enum Grouping {
  case tensor
  /// Those of an index of the axis, which may be counted from the end.
  case channels(axis: Int)
  /// Those of so many consecutive indices, for each position of the other axes.
  case blocks(axis: Int, size: Int)

  var axis: Int? {
    switch self {
    case .tensor: nil
    case .channels(let axis), .blocks(let axis, _): axis
    }
  }

  var blockSize: Int? {
    switch self {
    case .tensor, .channels: nil
    case .blocks(_, let size): size
    }
  }
}

/// A range in real units.
typealias RealRange = (minimum: Float, maximum: Float)

/// The smallest and largest finite element of every group.
struct Extremes: Summary {
  /// In real units, one for each group, +inf and −inf where it has no finite element; empty before anything has been seen.
  @ExtendedReals private(set) var minimum = []
  @ExtendedReals private(set) var maximum = []
  /// Of all groups together.
  private(set) var infinityCount = 0

  init() {}

  var isEmpty: Bool { !zip(minimum, maximum).contains { $0 <= $1 } }

  /// A group without finite elements has the range {0}.
  var ranges: [RealRange] { zip(minimum, maximum).map { $0 <= $1 ? ($0, $1) : (0, 0) } }

  mutating func observe(_ x: Tensor, _ grouping: Grouping) throws {
    if let others = try Extremes(of: x, grouping) { try merge(others) }
  }

  mutating func merge(_ other: Extremes) throws {
    try combine(other) { mine, others, _ in (min(mine.minimum, others.minimum), max(mine.maximum, others.maximum)) }
  }

  /// Replaces the range of every group by what `body` makes of it, of the other one's, and of the group's number.
  ///
  /// - Throws: `OctetError` (`shapeMismatch`) if there are not as many groups.
  mutating func combine(_ other: Extremes, _ body: (RealRange, RealRange, Int) -> RealRange) throws {
    guard minimum.isEmpty || other.minimum.isEmpty || minimum.count == other.minimum.count else {
      throw OctetError(
        .shapeMismatch, "observer", expected: "a tensor with \(minimum.count) scales as before",
        found: "\(other.minimum.count)")
    }
    infinityCount += other.infinityCount
    if minimum.isEmpty {
      (minimum, maximum) = (other.minimum, other.maximum)
    } else {
      for i in other.minimum.indices {
        (minimum[i], maximum[i]) = body((minimum[i], maximum[i]), (other.minimum[i], other.maximum[i]), i)
      }
    }
  }

  mutating func reset() { self = Extremes() }
}

extension Extremes {
  /// Those of one tensor; `nil` if it is traced and has no elements to look at.
  ///
  /// - Throws: `OctetError`: `shapeMismatch` if there is no such axis, `notANumber` if there is a NaN, `dtypeMismatch` if
  ///   the tensor is not float32, `invalidArgument` for blocks of less than 1.
  init?(of x: Tensor, _ grouping: Grouping) throws {
    if x.isTraced { return nil }
    self.init()
    func position(of axis: Int) throws -> Int {
      guard (-x.rank..<x.rank).contains(axis) else {
        throw OctetError(.shapeMismatch, "observer", expected: "a tensor with axis \(axis)", found: "\(x.type)")
      }
      return axis < 0 ? axis + x.rank : axis
    }
    var nans = 0
    switch grouping {
    case .tensor:
      try include(x, from: 0, [elementCount(of: x.shape), 1], axis: 1, &nans)
    case .channels(let axis):
      try include(x, from: 0, x.shape, axis: position(of: axis), &nans)
    case .blocks(let axis, let size):
      guard size > 0 else {
        throw OctetError(.invalidArgument, "observer", expected: "groups of 1 or more", found: "\(size)")
      }
      let axis = try position(of: axis)
      let (length, inner) = (x.shape[axis], elementCount(of: Array(x.shape[(axis + 1)...])))
      for row in 0..<elementCount(of: Array(x.shape[..<axis])) {
        for start in stride(from: 0, to: length, by: size) {
          let rows = min(size, length - start)
          try include(x, from: (row * length + start) * inner, [rows, inner], axis: 1, &nans)
        }
      }
    }
    guard nans == 0 else {
      throw OctetError(.notANumber, "observer", expected: "numbers", found: "\(nans) NaN in \(x.type)")
    }
  }

  /// Appends a group for each index of an axis of the part of `x` that has this shape and begins at this element.
  private mutating func include(_ x: Tensor, from first: Int, _ shape: [Int], axis: Int, _ nans: inout Int) throws {
    var view = channelView(of: shape, axis: axis)
    var low = [Float](repeating: .infinity, count: view.channels)
    var high = [Float](repeating: -.infinity, count: view.channels)
    try x.withUnsafeScalars(as: Float.self) { elements in
      guard elementCount(of: shape) > 0 else { return }
      InstructionSet.current.kernels.min_max_channels(
        &view, elements.baseAddress! + first, &low, &high, &infinityCount, &nans)
    }
    minimum += low
    maximum += high
  }
}

// Decoding checks what a damaged file could say.
extension Extremes {
  private enum CodingKeys: CodingKey {
    case minimum, maximum, infinityCount
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    _minimum = try values.decode(ExtendedReals.self, forKey: .minimum)
    _maximum = try values.decode(ExtendedReals.self, forKey: .maximum)
    infinityCount = try values.decode(Int.self, forKey: .infinityCount)
    let areRanges = zip(minimum, maximum).allSatisfy { low, high in
      low.isFinite && high.isFinite ? low <= high : low == .infinity && high == -.infinity
    }
    guard minimum.count == maximum.count, areRanges, infinityCount >= 0
    else {
      throw OctetError(
        .invalidArgument, "observer", expected: "ranges of finite numbers, and how many infinities were left out",
        found: "\(minimum)…\(maximum), \(infinityCount)")
    }
  }
}
