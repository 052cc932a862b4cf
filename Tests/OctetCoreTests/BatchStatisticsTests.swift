import OctetCore
import TestSupport
import Testing

/// Batch normalization by the batch's own statistics, as one function, against the operations that it is made of.
@Suite("Batch normalization in training")
struct BatchStatisticsTests {
  private func tensor(_ shape: [Int], _ range: ClosedRange<Float>, _ generator: inout SeededGenerator) throws -> Tensor
  {
    try Tensor((0..<shape.reduce(1, *)).map { _ in Float.random(in: range, using: &generator) }, shape: shape)
  }

  private static let shapes = [[5, 3], [2, 70], [3, 4, 7], [2, 3, 5, 4], [7, 2, 9, 129], [1, 1, 33, 40]]

  /// Values of every channel as numbers in Double.
  private func channels(_ x: Tensor) throws -> [[Double]] {
    let (count, pixels) = (x.shape[1], x.shape.dropFirst(2).reduce(1, *))
    var result = [[Double]](repeating: [], count: count)
    for (i, value) in try x.floats.enumerated() { result[i / pixels % count].append(Double(value)) }
    return result
  }

  @Test(arguments: shapes, [0, 1000] as [Float])
  func statisticsAreThoseOfSumsInDouble(_ shape: [Int], offset: Float) throws {
    var generator = SeededGenerator(seed: 1)
    let x = try tensor(shape, offset - 1...offset + 1, &generator)
    let (mean, variance) = try batchStatistics(of: x, channels: shape[1])
    for (index, values) in try channels(x).enumerated() {
      let exact = values.reduce(0, +) / Double(values.count)
      let squares = values.reduce(0) { $0 + ($1 - exact) * ($1 - exact) } / Double(values.count)
      #expect(abs(Double(mean[index]) - exact) <= 1e-7 * Double(1 + offset))
      // Around 1000 a float is 6e-5 at the best, so that is how well x itself is known; not its variance.
      #expect(abs(Double(variance[index]) - squares) <= 1e-6 * squares)
    }
  }

  @Test(arguments: shapes)
  func isWhatSingleOperationsAre(_ shape: [Int]) throws {
    var generator = SeededGenerator(seed: 2)
    let channels = [shape[1]]
    let operands = try [
      tensor(shape, -1...3, &generator), tensor(channels, -2...2, &generator), tensor(channels, -1...1, &generator),
      tensor(channels, 0.01...0.5, &generator),
    ]
    let seed = try tensor(shape, -1...1, &generator)
    let axes = shape.indices.filter { $0 != 1 }
    let column = channels + [Int](repeating: 1, count: shape.count - 2)
    let (fused, single) = (
      try valueAndGradients(at: operands) { inputs in
        let (mean, variance) = try batchStatistics(of: inputs[0], channels: shape[1])
        let y = try BatchNormalizationInTraining(mean: mean, variance: variance)(
          inputs[0], inputs[1], inputs[2], inputs[3])
        return try dot(y, seed)
      },
      try valueAndGradients(at: operands) { inputs in
        let perChannel = try inputs[1...].map { try $0.reshape(column) }
        let centred = try inputs[0] - inputs[0].mean(axes, keepDimensions: true)
        let variance = try (centred * centred).mean(axes, keepDimensions: true)
        return try dot(centred / sqrt(variance + perChannel[2]) * perChannel[0] + perChannel[1], seed)
      }
    )
    #expect(try discrepancy(fused.value, single.value, absolute: 1e-4, relative: 1e-5) == nil)
    for (a, b) in zip(fused.gradients, single.gradients) {
      #expect(try discrepancy(a, b, absolute: 2e-5, relative: 2e-5) == nil)
    }
  }

  @Test func whatDoesNotFitIsAnError() throws {
    let (x, c) = (try Tensor(zeros: [4, 3, 2]), try Tensor(zeros: [3]))
    let function = BatchNormalizationInTraining(mean: [0, 0, 0], variance: [1, 1, 1])
    #expect(octetError { try function(x, c, c, Tensor(zeros: [1])) }?.code == .shapeMismatch)
    #expect(octetError { try function(Tensor(zeros: [4, 2]), c, c, c) }?.code == .shapeMismatch)
    #expect(octetError { try function(x, c, c) }?.code == .invalidArgument)
    #expect(octetError { try batchStatistics(of: Tensor(zeros: [1, 3]), channels: 3) }?.code == .shapeMismatch)
    #expect(octetError { try batchStatistics(of: Tensor(zeros: [3]), channels: 3) }?.code == .shapeMismatch)
    #expect(octetError { try batchStatistics(of: Tensor(zeros: [4, 3]), channels: 2) }?.code == .shapeMismatch)
  }
}
