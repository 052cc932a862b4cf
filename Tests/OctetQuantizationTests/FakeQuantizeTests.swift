import OctetCore
import OctetQuantization
import TestSupport
import Testing

@Suite("FakeQuantize")
struct FakeQuantizeTests {
  static let cases = (try? VectorCase.load("fake_quantize")) ?? []
  static let batches = cases.filter { $0.attributes["kind"] == .string("batches") }
  static let gradients = cases.filter { $0.attributes["kind"] == .string("gradients") }

  @Test func theFileHoldsTheCasesThatTestsCount() {
    #expect(Self.batches.count == 6)
    #expect(Self.gradients.count == 5)
  }

  private func observer(_ test: VectorCase) throws -> any Observer {
    let isSymmetric = try test.bool("symmetric")
    let dtype: DType = try test.string("dtype") == "quint8" ? .uint8 : .int8
    let (low, high) = (try test.int("low"), try test.int("high"))
    let whole = dtype == .uint8 ? 0...255 : -128...127
    let (quantMin, quantMax) = low...high == whole ? (Int?.none, Int?.none) : (low, high)
    let scheme: QuantizationScheme.Symmetry = isSymmetric ? .symmetric : .affine
    return switch try test.string("observer") {
    case "MinMaxObserver": MinMaxObserver(dtype: dtype, scheme: scheme, quantMin: quantMin, quantMax: quantMax)
    case "MovingAverageMinMaxObserver":
      MovingAverageMinMaxObserver(dtype: dtype, scheme: scheme, quantMin: quantMin, quantMax: quantMax)
    case "PerChannelMinMaxObserver":
      PerChannelMinMaxObserver(dtype: dtype, scheme: scheme, quantMin: quantMin, quantMax: quantMax)
    default:
      MovingAveragePerChannelMinMaxObserver(dtype: dtype, scheme: scheme, quantMin: quantMin, quantMax: quantMax)
    }
  }

  /// Five batches as PyTorch sees them, switches included: values, gradients, scales, zero points, extremes.
  @Test("batches", arguments: batches) func batch(_ test: VectorCase) throws {
    let fake = FakeQuantize(try observer(test))
    #expect(try fake.scale == [1])
    #expect(try fake.zeroPoint == [0])
    #expect(fake.minVal.isEmpty)
    for index in 0..<5 {
      fake.isObserverEnabled = index != 4
      fake.isFakeQuantizeEnabled = index != 2
      let dy = try test.tensor("dy\(index)")
      var y: Tensor?
      let gradients = try valueAndGradients(at: [test.tensor("x\(index)")]) { inputs in
        y = try fake(inputs[0])
        return try (y! * dy).reduce(.sum, [0, 1, 2])
      }.gradients
      #expect(try discrepancy(y!.detached, test.tensor("y\(index)"), absolute: 1e-6, relative: 1e-6) == nil)
      #expect(try discrepancy(gradients[0], test.tensor("dx\(index)"), absolute: 0, relative: 0) == nil)
      let scales = try Tensor(fake.scale, shape: [fake.scale.count])
      #expect(try discrepancy(scales, test.tensor("scale\(index)"), absolute: 0, relative: 2e-7) == nil)
      #expect(try fake.zeroPoint.map(Int64.init) == test.tensor("zero\(index)").scalars(as: Int64.self))
      for (kept, name) in [(fake.minVal, "min"), (fake.maxVal, "max")] {
        let expected = try test.tensor("\(name)\(index)")
        #expect(try discrepancy(Tensor(kept, shape: [kept.count]), expected, absolute: 1e-6, relative: 1e-6) == nil)
      }
    }
    #expect(fake.observations == 4)
  }

  private func parameters(_ test: VectorCase) throws -> QuantizationParameters {
    try QuantizationParameters(
      scales: test.tensor("scale").scalars(as: Float.self),
      zeroPoints: test.tensor("zero").scalars(as: Int64.self).map(Int.init),
      dtype: DType(rawValue: test.string("dtype"))!, range: test.int("low")...test.int("high"),
      axis: test.attributes["axis"] == .null ? nil : test.int("axis"))
  }

  @Test("straight-through gradients", arguments: gradients) func straightThrough(_ test: VectorCase) throws {
    let parameters = try parameters(test)
    let dy = try test.tensor("dy")
    var y: Tensor?
    let gradients = try valueAndGradients(at: [test.tensor("x")]) { inputs in
      y = try fakeQuantize(inputs[0], parameters)
      return try (y! * dy).reduce(.sum, [0, 1, 2])
    }.gradients
    #expect(try discrepancy(y!.detached, test.tensor("y"), absolute: 1e-6, relative: 1e-6) == nil)
    #expect(try discrepancy(gradients[0], test.tensor("straight"), absolute: 0, relative: 0) == nil)
    let straight = try gradients[0].floats
    let passed = straight.count { $0 != 0 }
    #expect(passed > 0 && passed < straight.count)
  }

  /// The observer finds a scale, is switched off, and the scale learns.
  @Test("learned step size", arguments: gradients) func learnedStepSize(_ test: VectorCase) throws {
    let parameters = try parameters(test)
    let fake = FakeQuantize(FixedOrByChannel(parameters: parameters), learning: .learned)
    #expect(try fake.parameters.isEmpty)
    _ = try fake(test.tensor("x"))
    fake.isObserverEnabled = false
    let learning = try fake.parameters
    #expect(learning.count == 2)
    let x = Parameter(try test.tensor("x"))
    let dy = try test.tensor("dy")
    let gradients = try valueAndGradients(of: [x] + learning) {
      try (fake(x.value) * dy).reduce(.sum, [0, 1, 2])
    }.gradients
    for (gradient, name) in zip(gradients, ["dx", "dscale", "dzero"]) {
      #expect(try discrepancy(gradient, test.tensor(name), absolute: 1e-5, relative: 1e-4) == nil, "\(name)")
    }
    // A scale below 0 rounds by its size, whose gradient has the other sign.
    learning[0].value = try -learning[0].value
    let mirrored = try valueAndGradients(of: learning) { try (fake(x.value) * dy).reduce(.sum, [0, 1, 2]) }.gradients
    #expect(try discrepancy(-mirrored[0], gradients[1]) == nil)
    learning[0].value = try -learning[0].value
    // What has learned is what rounds.
    learning[0].value = try learning[0].value * Tensor(Float(2))
    #expect(try fake.scale == parameters.scales.map { $0 * 2 })
    #expect(try fake(x.value).floats == fakeQuantize(x.value, fake.calculateQParams()).floats)
  }

  /// An optimizer that holds them goes on after the observer has looked again.
  @Test func whatLearnsStaysTheSame() throws {
    let fake = FakeQuantize(MinMaxObserver(), learning: .learned)
    _ = try fake(Tensor([-1 as Float, 1], shape: [2]))
    fake.isObserverEnabled = false
    let learning = try fake.parameters
    fake.isObserverEnabled = true
    _ = try fake(Tensor([-1 as Float, 4.1], shape: [2]))
    fake.isObserverEnabled = false
    #expect(try fake.parameters.map(ObjectIdentifier.init) == learning.map(ObjectIdentifier.init))
    #expect(try abs(learning[0].value.floats[0] - 0.02) < 1e-6)
    learning[1].value = try Tensor([Float.nan], shape: [1])
    #expect(octetError { try fake(Tensor(zeros: [2])) }?.code == .notANumber)
  }

  @Test func theZeroPointOfASymmetricSchemeStays() throws {
    let fake = FakeQuantize(MinMaxObserver(dtype: .int8, scheme: .symmetric), learning: .learned)
    _ = try fake(Tensor([-1 as Float, 0.5], shape: [2]))
    fake.isObserverEnabled = false
    #expect(try fake.parameters.count == 1)
  }

  @Test func misuseIsAnError() throws {
    let fake = FakeQuantize(MovingAverageMinMaxObserver())
    #expect(octetError { try fake(Tensor([1 as Float, .nan], shape: [2])) }?.code == .notANumber)
    #expect(octetError { try fake(Tensor([1 as Int32], shape: [1])) }?.code == .dtypeMismatch)
    #expect(fake.observations == 0)
    let blocks = try QuantizationParameters(
      scales: [1, 1], zeroPoints: [0, 0], dtype: .int8, axis: 0, blockSize: 1)
    #expect(octetError { try fakeQuantize(Tensor(zeros: [2]), blocks) }?.code == .unsupported)
    let channels = try QuantizationParameters(scales: [1, 1], zeroPoints: [0, 0], dtype: .int8, axis: 0)
    #expect(octetError { try fakeQuantize(Tensor(zeros: [3]), channels) }?.code == .shapeMismatch)
  }

  @Test func itSaysWhatItIs() throws {
    let fake = FakeQuantize(MinMaxObserver(dtype: .int8, scheme: .symmetric), learning: .learned)
    #expect(fake.description == "FakeQuantize(MinMaxObserver(int8 symmetric -128…127): nothing observed), learned")
    fake.isObserverEnabled = false
    fake.isFakeQuantizeEnabled = false
    #expect(fake.description.hasSuffix("observer off, rounding off, learned"))
  }
}

/// Finds given parameters, by channel too.
private struct FixedOrByChannel: Observer {
  var parameters: QuantizationParameters
  mutating func observe(_ x: Tensor) {}
  func calculateQParams() -> QuantizationParameters { parameters }
  mutating func merge(_ other: Self) {}
  mutating func reset() {}
}

extension FakeQuantizeTests {
  /// Along any axis, in parts that threads share: what one element at a time is, and where gradients pass.
  @Test(arguments: [nil, 0, 1, 2] as [Int?], [[60, 24, 45], [3, 70_000, 2], [40_000, 2, 1], [1, 5, 30_000]])
  func partsAreWhatElementsAre(axis: Int?, shape: [Int]) throws {
    let x = try Tensor.random(shape, seed: 1)
    let dy = try Tensor.random(shape, seed: 2)
    let channels = axis.map { shape[$0] } ?? 1
    let parameters = try QuantizationParameters(
      scales: (0..<channels).map { (i: Int) -> Float in 0.002 + Float(i % 7) * 0.001 },
      zeroPoints: (0..<channels).map { $0 % 5 - 2 }, dtype: .int8, axis: axis)
    let inner = axis.map { shape.dropFirst($0 + 1).reduce(1, *) } ?? 1
    var (expected, gradient): ([Float], [Float]) = ([], [])
    let seed = try dy.floats
    for (i, value) in try x.floats.enumerated() {
      let (scale, zero) = (parameters.scales[i / inner % channels], parameters.zeroPoints[i / inner % channels])
      let q = (value * (1 / scale)).rounded(.toNearestOrEven) + Float(zero)
      expected.append((min(max(q, -128), 127) - Float(zero)) * scale)
      gradient.append(q < -128 || q > 127 ? 0 : seed[i])
    }
    for threads in [1, 2, 3] {
      try withThreads(threads) {
        var y: Tensor?
        let gradients = try valueAndGradients(at: [x]) { inputs in
          y = try fakeQuantize(inputs[0], parameters)
          return try (y! * dy).reduce(.sum, [0, 1, 2])
        }.gradients
        #expect(try y!.floats == expected)
        #expect(try gradients[0].floats == gradient)
        #expect(try fakeQuantize(x, parameters).floats == expected)
      }
    }
  }
}
