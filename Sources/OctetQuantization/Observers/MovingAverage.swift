import OctetCore

/// The smallest and largest finite element of every group, averaged over batches: `m += c · (current − m)`, from the first
/// batch as it is.
struct MovingAverage: Summary {
  let averagingConstant: Float
  private(set) var average = Extremes()
  /// What was seen first: averages are merged as if their batches had come one after another.
  private var first = Extremes()
  /// What all batches together would weigh behind earlier ones, for each group: 1 − (1 − c)ⁿ, 0 for one that has not been
  /// seen.
  private var weights: [Float] = []

  init(averagingConstant: Float) { self.averagingConstant = averagingConstant }

  var isEmpty: Bool { average.isEmpty }

  /// - Throws: `OctetError` (`invalidArgument`) also if the averaging constant is not above 0 and at most 1.
  mutating func observe(_ x: Tensor, _ grouping: Grouping) throws {
    guard averagingConstant > 0, averagingConstant <= 1 else {
      throw OctetError(
        .invalidArgument, "observer", expected: "an averaging constant above 0 and at most 1",
        found: "\(averagingConstant)")
    }
    guard let current = try Extremes(of: x, grouping) else { return }
    var batch = MovingAverage(averagingConstant: averagingConstant)
    (batch.average, batch.first) = (current, current)
    batch.weights = zip(current.minimum, current.maximum).map { $0 <= $1 ? averagingConstant : 0 }
    try merge(batch)
  }

  mutating func merge(_ other: MovingAverage) throws {
    try average.combine(other.average) { mine, others, i in
      guard others.minimum <= others.maximum else { return mine }
      guard mine.minimum <= mine.maximum else { return others }
      // The other one took its first batch as it is; behind mine, all of its batches weigh less.
      func joined(_ mine: Float, _ first: Float, _ others: Float) -> Float {
        mine + other.weights[i] * (first - mine) + (others - first)
      }
      return (
        joined(mine.minimum, other.first.minimum[i], others.minimum),
        joined(mine.maximum, other.first.maximum[i], others.maximum)
      )
    }
    try first.combine(other.first) { mine, others, _ in mine.minimum <= mine.maximum ? mine : others }
    if weights.isEmpty {
      weights = other.weights
    } else {
      for i in other.weights.indices { weights[i] += other.weights[i] * (1 - weights[i]) }
    }
  }

  mutating func reset() { self = MovingAverage(averagingConstant: averagingConstant) }
}

// Decoding checks what a damaged file could say.
extension MovingAverage {
  private enum CodingKeys: CodingKey {
    case averagingConstant, average, first, weights
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    averagingConstant = try values.decode(Float.self, forKey: .averagingConstant)
    average = try values.decode(Extremes.self, forKey: .average)
    first = try values.decode(Extremes.self, forKey: .first)
    weights = try values.decode([Float].self, forKey: .weights)
    let counts = [average.minimum.count, first.minimum.count, weights.count]
    guard Set(counts).count == 1, weights.allSatisfy({ (0...1).contains($0) }) else {
      throw OctetError(
        .invalidArgument, "moving average", expected: "as many averages as first ranges and weights from 0 to 1",
        found: "\(counts), \(weights)")
    }
  }
}
