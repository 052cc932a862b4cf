import OctetCore
import OctetQuantization
import TestSupport
import Testing

/// Observers against torch.ao.quantization.
@Suite struct ObserverVectorTests {
  static let cases = try! VectorCase.load("observers")

  /// Every observer that PyTorch has, on every distribution that the vectors have for it, in every configuration.
  @Test func parameters() throws {
    var comparisons: [String: Int] = [:]
    for vector in Self.cases {
      let constant = try vector.float("averaging_constant")
      try check(vector, "min_max", &comparisons) {
        MinMaxObserver(
          dtype: $0.dtype, scheme: $0.symmetry, quantMin: $0.quantMin, quantMax: $0.quantMax,
          reduceRange: $0.reduceRange)
      } extremes: {
        ([$0.minVal], [$0.maxVal], $0.infinityCount)
      }
      try check(vector, "moving_average", &comparisons) {
        MovingAverageMinMaxObserver(
          averagingConstant: constant, dtype: $0.dtype, scheme: $0.symmetry, quantMin: $0.quantMin,
          quantMax: $0.quantMax, reduceRange: $0.reduceRange)
      } extremes: {
        ([$0.minVal], [$0.maxVal], $0.infinityCount)
      }
      for axis in [0, 1] {
        try check(vector, "per_channel_\(axis)", batches: "x_channels", &comparisons) {
          PerChannelMinMaxObserver(
            axis: axis, dtype: $0.dtype, scheme: $0.symmetry, quantMin: $0.quantMin, quantMax: $0.quantMax,
            reduceRange: $0.reduceRange)
        } extremes: {
          ($0.minVal, $0.maxVal, $0.infinityCount)
        }
        try check(vector, "moving_channel_\(axis)", batches: "x_channels", &comparisons) {
          MovingAveragePerChannelMinMaxObserver(
            axis: axis, averagingConstant: constant, dtype: $0.dtype, scheme: $0.symmetry, quantMin: $0.quantMin,
            quantMax: $0.quantMax, reduceRange: $0.reduceRange)
        } extremes: {
          ($0.minVal, $0.maxVal, $0.infinityCount)
        }
      }
      try check(vector, "histogram", &comparisons) {
        HistogramObserver(
          dtype: $0.dtype, scheme: $0.symmetry, quantMin: $0.quantMin, quantMax: $0.quantMax,
          reduceRange: $0.reduceRange)
      } extremes: {
        ([$0.minVal], [$0.maxVal], $0.infinityCount)
      }
    }
    let counts = comparisons.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    print("scales and zero points compared with PyTorch's: \(counts)")
    #expect(
      comparisons == [
        "min_max": 90, "moving_average": 90, "per_channel_0": 480, "per_channel_1": 2400, "moving_channel_0": 480,
        "moving_channel_1": 2400, "histogram": 130,
      ])
  }

  @Test(arguments: cases)
  func histogramCounts(_ vector: VectorCase) throws {
    var observer = HistogramObserver()
    let ranges = try vector.tensor("histogram/range").floats
    for (index, batch) in try vector.batches("x").enumerated() {
      try observer.observe(batch)
      #expect([observer.minVal, observer.maxVal] == Array(ranges[index * 2..<index * 2 + 2]), "after batch \(index)")
    }
    if let expected = try vector.tensors["histogram/histogram"]?.floats {
      let wrong = expected.indices.filter { abs(observer.histogram[$0] - expected[$0]) > 1e-3 * max(1, expected[$0]) }
      #expect(wrong.isEmpty, "bins \(wrong.prefix(8)) of \(vector)")
    }
  }

  /// Feeds the batches to an observer of each configuration, and compares extremes, scales and zero points.
  private func check<O: Observer>(
    _ vector: VectorCase, _ prefix: String, batches: String = "x", _ comparisons: inout [String: Int],
    make: (Configuration) -> O, extremes: (O) -> (minimum: [Float], maximum: [Float], infinities: Int)
  ) throws {
    guard let scales = vector.tensors["\(prefix)/scale"] else { return }
    let configurations = try vector.configurations()
    let zeros = try vector.tensor("\(prefix)/zero_point").scalars(as: Int32.self).map(Int.init)
    let channels = scales.shape[1]
    try #require(configurations.count == 10 && scales.shape == [10, channels])
    for (row, configuration) in configurations.enumerated() {
      var observer = make(configuration)
      for batch in try vector.batches(batches) { try observer.observe(batch) }
      let found = extremes(observer)
      #expect(try found.minimum == vector.tensor("\(prefix)/min_val").floats, "\(vector), \(prefix)")
      #expect(try found.maximum == vector.tensor("\(prefix)/max_val").floats, "\(vector), \(prefix)")
      #expect(try found.infinities == vector.int("infinities"))
      let parameters = try observer.calculateQParams()
      let expected = Array(try scales.floats[row * channels..<(row + 1) * channels])
      let isClose = zip(parameters.scales, expected).allSatisfy { abs($0 - $1) <= $1.ulp }
      #expect(
        parameters.scales.count == channels && isClose,
        "\(vector), \(configuration): scales \(parameters.scales.prefix(4)) instead of \(expected.prefix(4))")
      #expect(
        parameters.zeroPoints == Array(zeros[row * channels..<(row + 1) * channels]), "\(vector), \(configuration)")
      comparisons[prefix, default: 0] += channels
    }
  }
}

/// One row of the vectors.
struct Configuration: CustomStringConvertible {
  let dtype: DType
  let symmetry: QuantizationScheme.Symmetry
  let quantMin: Int?
  let quantMax: Int?
  let reduceRange: Bool

  var description: String {
    "\(dtype.rawValue) \(symmetry.rawValue) \(quantMin.map(String.init) ?? "")…\(quantMax.map(String.init) ?? "")"
      + (reduceRange ? " half" : "")
  }
}

extension VectorCase {
  func configurations() throws -> [Configuration] {
    guard case .array(let rows)? = attributes["configurations"] else { return [] }
    return try rows.map { row in
      guard case .object(let fields) = row, case .string(let dtype)? = fields["dtype"],
        case .string(let scheme)? = fields["scheme"], case .bool(let reduceRange)? = fields["reduce_range"]
      else { throw OctetError(.invalidFile, name, expected: "a configuration", found: "\(row)") }
      return Configuration(
        dtype: DType(rawValue: dtype)!, symmetry: .init(rawValue: scheme)!,
        quantMin: fields["quant_min"]?.number.map { Int($0) }, quantMax: fields["quant_max"]?.number.map { Int($0) },
        reduceRange: reduceRange)
    }
  }

  /// The rows of a tensor along its first axis; elements as often as `repeats` says.
  func batches(_ field: String) throws -> [Tensor] {
    let all = try tensor(field)
    let repeats = try tensors["repeats"]?.scalars(as: Int32.self)
    return try (0..<all.shape[0]).map { batch in
      let row = try all[batch..<batch + 1].reshape(Array(all.shape.dropFirst()))
      guard let repeats else { return row }
      let scalars = try row.floats.enumerated().flatMap {
        [Float](repeating: $1, count: Int(repeats[batch * all.shape[1] + $0]))
      }
      return try Tensor(scalars, shape: [scalars.count])
    }
  }
}
