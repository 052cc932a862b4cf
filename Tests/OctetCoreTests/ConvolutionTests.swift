import OctetCore
import TestSupport
import Testing

/// Convolution and its gradients, term by term in double precision.
@Suite("Convolution")
struct ConvolutionTests {
  private struct Case: CustomStringConvertible {
    var shape: [Int]
    /// [o, c / groups, kh, kw]
    var weight: [Int]
    var groups = 1
    var stride: Size2D = 1
    var padding: Padding2D = 0
    var dilation: Size2D = 1

    var description: String {
      "\(shape), weight \(weight), groups \(groups), stride \(stride), padding \(padding), dilation \(dilation)"
    }

    func callAsFunction(_ x: Tensor, _ weight: Tensor) throws -> Tensor {
      try conv2d(
        x, weight: weight, stride: stride, padding: padding, dilation: dilation, groups: groups)
    }

    /// Every product of an element and a weight: (their places, that of the result).
    func forEachTerm(_ result: [Int], _ body: (_ x: Int, _ weight: Int, _ result: Int) -> Void) {
      let (groupIn, groupOut) = (weight[1], weight[0] / groups)
      for (n, o) in (0..<shape[0]).flatMap({ n in (0..<weight[0]).map { (n, $0) } }) {
        for (oy, ox) in (0..<result[2]).flatMap({ y in (0..<result[3]).map { (y, $0) } }) {
          for (i, tap) in (0..<groupIn).flatMap({ i in (0..<weight[2] * weight[3]).map { (i, $0) } }) {
            let y = oy * stride.height + tap / weight[3] * dilation.height - padding.top
            let x = ox * stride.width + tap % weight[3] * dilation.width - padding.left
            guard (0..<shape[2]).contains(y), (0..<shape[3]).contains(x) else { continue }
            let channel = o / groupOut * groupIn + i
            body(
              ((n * shape[1] + channel) * shape[2] + y) * shape[3] + x, (o * groupIn + i) * weight[2] * weight[3] + tap,
              ((n * weight[0] + o) * result[2] + oy) * result[3] + ox)
          }
        }
      }
    }
  }

  private static let depthwise = [
    Case(shape: [2, 3, 9, 11], weight: [3, 1, 3, 3], groups: 3, padding: 1),
    Case(shape: [3, 5, 12, 13], weight: [5, 1, 3, 3], groups: 5, stride: 2, padding: 1),
    Case(shape: [1, 4, 7, 7], weight: [4, 1, 5, 5], groups: 4, padding: 2),
    Case(
      shape: [1, 2, 30, 26], weight: [2, 1, 3, 5], groups: 2, stride: Size2D(3, 2), padding: Padding2D(Size2D(0, 2))),
    Case(shape: [2, 2, 15, 16], weight: [2, 1, 3, 3], groups: 2, stride: 2, padding: 3, dilation: 2),
    Case(shape: [1, 2, 15, 16], weight: [2, 1, 3, 3], groups: 2, stride: 2, padding: 3, dilation: 3),
    Case(shape: [1, 2, 6, 9], weight: [2, 1, 2, 1], groups: 2, stride: Size2D(4, 3)),
    Case(shape: [1, 2, 1, 40], weight: [2, 1, 1, 7], groups: 2, padding: Padding2D(Size2D(0, 3))),
    Case(shape: [1, 2, 2, 2], weight: [2, 1, 3, 3], groups: 2, padding: 4),
    Case(shape: [2, 40, 40, 41], weight: [40, 1, 3, 3], groups: 40, padding: 1),
    // (A border that is much larger than the image.)
    Case(shape: [1, 2, 3, 3], weight: [2, 1, 2, 2], groups: 2, padding: 50, dilation: 100),
    Case(shape: [1, 4, 9, 9], weight: [8, 1, 3, 3], groups: 4, padding: 1),
  ]

  /// Few images with many channels: what one gradient of a weight is divided into.
  private static let dense = [
    Case(shape: [1, 6, 12, 12], weight: [130, 6, 3, 3], padding: 1),
    Case(shape: [2, 64, 8, 8], weight: [128, 64, 1, 1]),
    Case(shape: [3, 8, 9, 9], weight: [128, 4, 3, 3], groups: 2, stride: 2, padding: 1),
    Case(shape: [5, 4, 10, 10], weight: [70, 4, 3, 3], padding: 1),
    Case(shape: [17, 3, 6, 6], weight: [8, 3, 3, 3]),
    Case(shape: [1, 64, 5, 5], weight: [72, 64, 3, 3], padding: 1),
  ]

  @Test(arguments: [1, 2]) func resultsAndGradientsAreSumsOfTheirTerms(threads: Int) throws {
    for each in Self.depthwise + Self.dense {
      let (x, weight) = try (Tensor.random(each.shape, seed: 1), Tensor.random(each.weight, seed: 2))
      let y = try withThreads(threads) { try each(x, weight) }
      let seed = try Tensor.random(y.shape, seed: 3)
      let (_, gradients) = try withThreads(threads) {
        try valueAndGradients(at: [x, weight]) { try (each($0[0], $0[1]) * seed).reduce(.sum, [0, 1, 2, 3]) }
      }
      let (a, w, dy) = try (x.floats.map(Double.init), weight.floats.map(Double.init), seed.floats.map(Double.init))
      var sums = [y, x, weight].map { [Double](repeating: 0, count: elementCount(of: $0.shape)) }
      each.forEachTerm(y.shape) { i, j, k in
        sums[0][k] += a[i] * w[j]
        sums[1][i] += dy[k] * w[j]
        sums[2][j] += dy[k] * a[i]
      }
      for (found, (name, sum)) in zip([y] + gradients, zip(["result", "of x", "of the weight"], sums)) {
        let expected = try Tensor(sum.map { Float($0) }, shape: found.shape)
        let difference = try discrepancy(found, expected, absolute: 2e-5, relative: 1e-4)
        #expect(difference == nil, "\(each): \(name)")
      }
    }
  }

  @Test func biasAndActivationOfChannelsWithFiltersOfTheirOwn() throws {
    let x = try Tensor.random([2, 3, 9, 8], seed: 1)
    let (weight, bias) = try (Tensor.random([3, 1, 3, 3], seed: 2), Tensor.random([3], seed: 3))
    let op = Op.Convolution(padding: 1, groups: 3, activation: .clip(minimum: -0.25, maximum: 0.5))
    let found = try op.evaluate([x, weight, bias])[0]
    let plain = try conv2d(x, weight: weight, padding: 1, groups: 3) + bias.reshape([3, 1, 1])
    let difference = try discrepancy(found, clip(plain, minimum: -0.25, maximum: 0.5))
    #expect(difference == nil)
    let back = Op.ConvTranspose(stride: 2, padding: 1, groups: 3, activation: .clip(minimum: -0.25, maximum: 0.5))
    let spread = try back.evaluate([x, weight, bias])[0]
    let sum = try convTranspose2d(x, weight: weight, stride: 2, padding: 1, groups: 3) + bias.reshape([3, 1, 1])
    let other = try discrepancy(spread, clip(sum, minimum: -0.25, maximum: 0.5))
    #expect(other == nil)
  }

  /// Terms that do not exist are no products of 0 and ∞.
  @Test func infiniteElementsReachOnlyWhatReadsThem() throws {
    // The last pixel of each row is infinite; the left column of the kernel never reads it.
    for stride in [1, 2] {
      var x = try Tensor.random([1, 2, 7, 7], seed: 1)
      try x.withUnsafeMutableScalars(as: Float.self) { x in
        for i in Swift.stride(from: 6, to: x.count, by: 7) { x[i] = .infinity }
      }
      let weight = try Tensor.random([2, 1, 3, 3], seed: 2)
      let (_, gradients) = try valueAndGradients(at: [weight]) {
        try conv2d(x, weight: $0[0], stride: Size2D(stride, stride), groups: 2).reduce(.sum, [0, 1, 2, 3])
      }
      let isFinite = try gradients[0].floats.map(\.isFinite)
      #expect(isFinite == (0..<18).map { $0 % 3 != 2 }, "stride \(stride)")
    }
  }

  /// Results of a transposed convolution that no tap reaches are the bias, whatever the others are.
  @Test func whatNoTapReachesIsTheBias() throws {
    for (channels, groups) in [(3, 1), (3, 3), (4, 2)] {
      let x = try Tensor(repeating: Float.infinity, shape: [2, channels, 3, 4])
      let weight = try Tensor(repeating: Float(1), shape: [channels, channels / groups, 2, 1])
      let bias = try Tensor.random([channels], seed: 1)
      // Rows 0, 1, 3, 4, 6 and 7 are reached, and columns 0, 2, 4 and 6; outputPadding adds row 8 and column 7.
      let y = try convTranspose2d(
        x, weight: weight, bias: bias, stride: Size2D(3, 2), outputPadding: Size2D(1, 1), groups: groups)
      #expect(y.shape == [2, channels, 9, 8])
      let biases = try bias.floats
      let expected = (0..<2 * channels * 72).map { i in
        (i / 8 % 9) % 3 < 2 && i % 2 == 0 ? Float.infinity : biases[i / 72 % channels]
      }
      #expect(try y.floats == expected, "\(channels) channels in \(groups) groups")
    }
    let weight = try Tensor(repeating: Float.infinity, shape: [1, 1, 1, 1])
    let y = try convTranspose2d(Tensor(repeating: Float(1), shape: [1, 1, 2, 2]), weight: weight, stride: 2)
    #expect(try y.floats == [.infinity, 0, .infinity, 0, 0, 0, .infinity, 0, .infinity])
  }
}
