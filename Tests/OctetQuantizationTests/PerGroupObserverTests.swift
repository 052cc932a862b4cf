import OctetCore
import OctetQuantization
import TestSupport
import Testing

@Suite struct PerGroupObserverTests {
  @Test(arguments: [
    ([6, 64], 1, 32), ([6, 64], -1, 16), ([3, 70], 1, 32), ([5, 7], 0, 2), ([2, 12, 3, 3], 1, 4), ([4, 6, 2], -2, 4),
    ([4, 3], 1, 100), ([8], 0, 3), ([2, 5], 1, 1),
  ])
  func everyGroupHasItsOwnRange(_ shape: [Int], _ axis: Int, _ size: Int) throws {
    let x = try Tensor.random(shape, seed: 3)
    let scalars = try x.floats
    let counted = axis < 0 ? axis + shape.count : axis
    let inner = shape[(counted + 1)...].reduce(1, *)
    let blocks = (shape[counted] + size - 1) / size
    var ranges: [Int: (Float, Float)] = [:]
    for (i, value) in scalars.enumerated() {
      let (outer, index, position) = (i / inner / shape[counted], i / inner % shape[counted], i % inner)
      let group = (outer * blocks + index / size) * inner + position
      let (low, high) = ranges[group] ?? (value, value)
      ranges[group] = (min(low, value), max(high, value))
    }
    var observer = PerGroupMinMaxObserver(axis: axis, groupSize: size, dtype: .uint4, scheme: .affine)
    try observer.observe(x)
    #expect(observer.minVal == ranges.keys.sorted().map { ranges[$0]!.0 })
    #expect(observer.maxVal == ranges.keys.sorted().map { ranges[$0]!.1 })

    let parameters = try observer.calculateQParams()
    #expect(parameters.axis == axis && parameters.blockSize == size && parameters.dtype == .uint4)
    // No value is clipped, so none is farther off than half a step.
    let back = try dequantize(quantize(x, parameters), parameters).floats
    for (i, (value, restored)) in zip(scalars, back).enumerated() {
      let (outer, index, position) = (i / inner / shape[counted], i / inner % shape[counted], i % inner)
      let scale = parameters.scales[(outer * blocks + index / size) * inner + position]
      #expect(abs(value - restored) <= scale * 1.001, "element \(i)")
    }
  }

  /// Groups of the whole axis are channels of the other one.
  @Test func wholeRowsAreChannels() throws {
    let x = try Tensor.random([5, 40], seed: 4)
    var (groups, channels) = (
      PerGroupMinMaxObserver(axis: 1, groupSize: 40, dtype: .int8),
      PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric)
    )
    try groups.observe(x)
    try channels.observe(x)
    #expect(try groups.calculateQParams().scales == channels.calculateQParams().scales)
    #expect(try groups.calculateQParams().hasZeroZeroPoints)
  }

  @Test func aGroupWithNaNOrInfinities() throws {
    var scalars = try Tensor.random([2, 8], seed: 5).floats
    for i in 4..<8 { scalars[i] = .infinity }
    var observer = PerGroupMinMaxObserver(groupSize: 4)
    try observer.observe(Tensor(scalars, shape: [2, 8]))
    #expect(observer.infinityCount == 4)
    #expect(try observer.calculateQParams().scales[1] == Float.ulpOfOne)
    scalars[9] = .nan
    #expect(octetError { try observer.observe(Tensor(scalars, shape: [2, 8])) }?.code == .notANumber)
  }
}
