import OctetCore
import TestSupport
import Testing

/// Quantizing and dequantizing against the formula, element by element.
@Suite("Quantize and dequantize")
struct QuantizeTests {
  static let dtypes: [DType] = [.uint8, .int8, .uint16, .int16, .uint4, .int4]

  /// The integers of a tensor, unpacked here by hand: little-endian, the first of two 4-bit elements in the low half.
  private func integers(_ tensor: Tensor) throws -> [Int] {
    let bytes = tensor.withUnsafeBytes { $0.map { Int($0) } }
    let isSigned = [.int8, .int16, .int4].contains(tensor.dtype)
    let raw: [Int] = (0..<(try tensor.count)).map { i in
      switch tensor.dtype.bitWidth {
      case 4: i.isMultiple(of: 2) ? bytes[i / 2] & 15 : bytes[i / 2] >> 4
      case 8: bytes[i]
      default: bytes[2 * i] + bytes[2 * i + 1] << 8
      }
    }
    let span = 1 << tensor.dtype.bitWidth
    return raw.map { isSigned && $0 >= span / 2 ? $0 - span : $0 }
  }

  private func check(_ x: Tensor, _ parameters: QuantizationParameters, scaleOf index: (Int) -> Int) throws {
    let q = try quantize(x, parameters)
    #expect(q.type == TensorType(parameters.dtype, fixed: x.shape))
    let found = try integers(q)
    let expected = try x.floats.enumerated().map { i, value -> Int in
      let (scale, zero) = (parameters.scales[index(i)], parameters.zeroPoints[index(i)])
      let step = (value / scale).rounded(.toNearestOrEven)
      // Far outside every range, and still an Int.
      let integer = Int(min(max(step, -1e9), 1e9))
      return min(max(integer + zero, parameters.range.lowerBound), parameters.range.upperBound)
    }
    #expect(found == expected)
    let back = try dequantize(q, parameters).floats
    #expect(
      back
        == found.enumerated().map { i, q in
          Float(q - parameters.zeroPoints[index(i)]) * parameters.scales[index(i)]
        })
  }

  @Test("per tensor", arguments: dtypes)
  func perTensor(_ dtype: DType) throws {
    let range = try #require(dtype.quantizedRange)
    var generator = SeededGenerator(seed: 5)
    let span = Float(range.count)
    for zero in [range.lowerBound, range.lowerBound + range.count / 3, range.upperBound] {
      let parameters = try QuantizationParameters(scale: 0.25, zeroPoint: zero, dtype: dtype)
      // An odd number of elements, ties (halves of a step) and values beyond the range.
      let values = (0..<101).map { _ in Float.random(in: -span / 3...span / 3, using: &generator) }
      let ties: [Float] = (-6..<7).map { Float($0) * 0.125 }
      let extremes: [Float] = [.infinity, -.infinity, 1e30, -1e30, 0, -0.0]
      try check(Tensor(values + ties + extremes, shape: [120]), parameters) { _ in 0 }
    }
  }

  @Test("within a narrower range", arguments: dtypes)
  func narrowRange(_ dtype: DType) throws {
    let range = try #require(dtype.quantizedRange)
    let narrow = range.lowerBound + 2...range.upperBound - 3
    let parameters = try QuantizationParameters(scale: 1, zeroPoint: narrow.lowerBound + 4, dtype: dtype, range: narrow)
    let x = try Tensor.counting([41], from: -20, step: 1)
    try check(x, parameters) { _ in 0 }
    #expect(try integers(quantize(x, parameters)).allSatisfy(narrow.contains))
  }

  @Test("per channel", arguments: dtypes)
  func perChannel(_ dtype: DType) throws {
    let x = try Tensor.random([3, 5, 2], seed: 7)
    for axis in [0, 1, 2, -1] {
      let counted = axis < 0 ? axis + 3 : axis
      let size = x.shape[counted]
      let inner = elementCount(of: Array(x.shape[(counted + 1)...]))
      let parameters = try QuantizationParameters(
        scales: (0..<size).map { 0.01 * Float($0 + 1) }, zeroPoints: (0..<size).map { $0 }, dtype: dtype, axis: axis)
      try check(x, parameters) { $0 / inner % size }
    }
  }

  /// Channels last, in the middle and first, in numbers that fill vectors and leave a rest; a single one; one element each.
  @Test("per channel, by vectors", arguments: [DType.uint8, .int8])
  func perChannelByVectors(_ dtype: DType) throws {
    let whole = try #require(dtype.quantizedRange)
    let range = whole.lowerBound + 3...whole.upperBound - 5
    let cases: [(shape: [Int], axis: Int)] = [
      ([9, 83], 1), ([83, 2], -1), ([2, 3, 150], 1), ([4, 131], 0), ([75, 1], 1), ([1, 3, 70], 0), ([130], 0),
    ]
    for (shape, axis) in cases {
      let counted = axis < 0 ? axis + shape.count : axis
      let (size, inner) = (shape[counted], elementCount(of: Array(shape[(counted + 1)...])))
      let parameters = try QuantizationParameters(
        scales: (0..<size).map { 0.004 + 0.0003 * Float($0) }, zeroPoints: (0..<size).map { range.lowerBound + $0 },
        dtype: dtype, range: range, axis: axis)
      func channel(_ element: Int) -> Int { element / inner % size }
      var scalars = try Tensor.random(shape, seed: 9).floats
      let last = scalars.count - 1
      (scalars[1], scalars[last - 1]) = (.infinity, -.infinity)
      try check(Tensor(scalars, shape: shape), parameters, scaleOf: channel)
      // As a graph runs it, a NaN becomes the zero point of its channel.
      (scalars[0], scalars[last]) = (.nan, .nan)
      let q = try integers(apply(.quantizeLinear(.init(parameters)), [Tensor(scalars, shape: shape)])[0])
      #expect(q[0] == parameters.zeroPoints[0] && q[last] == parameters.zeroPoints[channel(last)], "\(shape), \(axis)")
    }
  }

  @Test("nothing to quantize", arguments: dtypes)
  func empty(_ dtype: DType) throws {
    let perTensor = try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: dtype)
    let perChannel = try QuantizationParameters(scales: [1, 2], zeroPoints: [0, 1], dtype: dtype, axis: 1)
    for parameters in [perTensor, perChannel] {
      let q = try quantize(Tensor(zeros: [0, 2]), parameters)
      #expect(q.type == TensorType(dtype, fixed: [0, 2]))
      #expect(try dequantize(q, parameters).type == TensorType(.float32, fixed: [0, 2]))
    }
  }

  @Test("per block", arguments: dtypes)
  func perBlock(_ dtype: DType) throws {
    let x = try Tensor.random([4, 7], seed: 8)
    let along1 = try QuantizationParameters(
      scales: (0..<12).map { 0.01 * Float($0 + 1) }, zeroPoints: (0..<12).map { $0 % 5 }, dtype: dtype, axis: 1,
      blockSize: 3)
    try check(x, along1) { $0 / 7 * 3 + $0 % 7 / 3 }
    let along0 = try QuantizationParameters(
      scales: (0..<14).map { 0.01 * Float($0 + 1) }, zeroPoints: (0..<14).map { $0 % 5 }, dtype: dtype, axis: 0,
      blockSize: 3)
    try check(x, along0) { $0 / 7 / 3 * 7 + $0 % 7 }
  }

  @Test func packedElementsLieLowHalfFirst() throws {
    let x = try Tensor([Float(1), -2, 7, -8, 5], shape: [5])
    let q = try quantize(x, QuantizationParameters(scale: 1, zeroPoint: 0, dtype: .int4))
    #expect(q.withUnsafeBytes { Array($0) } == [0xE1, 0x87, 0x05])
    let u = try quantize(x, QuantizationParameters(scale: 1, zeroPoint: 8, dtype: .uint4))
    #expect(u.withUnsafeBytes { Array($0) } == [0x69, 0x0F, 0x0D])
  }

  @Test("every integer comes back", arguments: dtypes)
  func roundTrip(_ dtype: DType) throws {
    let range = try #require(dtype.quantizedRange)
    let parameters = try QuantizationParameters(scale: 0.5, zeroPoint: range.lowerBound + 1, dtype: dtype)
    let x = try Tensor(range.map { Float($0 - parameters.zeroPoints[0]) * 0.5 }, shape: [range.count])
    let q = try quantize(x, parameters)
    #expect(try integers(q) == Array(range))
    #expect(try dequantize(q, parameters).floats == x.floats)
  }

  @Test func nanIsAnErrorOrTheZeroPoint() throws {
    for dtype in Self.dtypes {
      let parameters = try QuantizationParameters(scale: 0.5, zeroPoint: 3, dtype: dtype)
      let x = try Tensor([Float(1), .nan, 2, .nan], shape: [4])
      let error = octetError { try quantize(x, parameters) }
      #expect(error == OctetError(.notANumber, "quantize", expected: "numbers", found: "2 NaN in float32 [4]"))
      // The operation itself, as a graph runs it, has no errors of value.
      let q = try apply(.quantizeLinear(.init(parameters)), [x])[0]
      #expect(try integers(q) == [5, 3, 7, 3])
    }
  }

  /// Wherever they are: within vectors and blocks of vectors, and behind the last one.
  @Test func everyNaNIsCounted() throws {
    let parameters = try QuantizationParameters(scale: 0.5, zeroPoint: 3, dtype: .uint8)
    for count in [1, 15, 64, 40_001] {
      var scalars = [Float](repeating: 1, count: count)
      for position in Set([0, count / 2, count - 1]) { scalars[position] = .nan }
      let error = octetError { try quantize(Tensor(scalars, shape: [count]), parameters) }
      #expect(error?.found == "\(min(count, 3)) NaN in float32 [\(count)]")
    }
  }

  @Test func dividesByTheScale() throws {
    let scale: Float = 0.7
    let values = (-120..<120).map { (Float($0) + 0.5) * scale }
    let differ = values.filter {
      ($0 / scale).rounded(.toNearestOrEven) != ($0 * (1 / scale)).rounded(.toNearestOrEven)
    }
    #expect(!differ.isEmpty, "some values tell dividing from multiplying by the reciprocal")
    for dtype in [DType.int8, .int16] {
      try check(Tensor(values, shape: [240]), QuantizationParameters(scale: scale, zeroPoint: 0, dtype: dtype)) { _ in 0
      }
    }
  }
}
