import Foundation
import OctetCore
import TestSupport
import Testing

@Suite("QuantizationParameters")
struct QuantizationParametersTests {
  @Test func whatIsValid() throws {
    let perTensor = try QuantizationParameters(scale: 0.5, zeroPoint: 128, dtype: .uint8)
    #expect(perTensor.range == 0...255 && perTensor.isPerTensor && !perTensor.hasZeroZeroPoints)
    let narrow = try QuantizationParameters(
      scale: .leastNonzeroMagnitude, zeroPoint: -64, dtype: .int8, range: -64...63)
    #expect(narrow.range == -64...63)
    let channels = try QuantizationParameters(scales: [1, 2], zeroPoints: [0, 0], dtype: .int4, axis: -1)
    #expect(channels.range == -8...7 && !channels.isPerTensor && channels.hasZeroZeroPoints)
    #expect(perTensor.description == "scale 0.5, zero point 128, uint8 0…255")
    #expect(channels.description == "scales 1.0…2.0, 2 channels of axis -1, int4 -8…7")
  }

  @Test func wholeRanges() throws {
    let ranges: [DType: ClosedRange<Int>] = [
      .uint4: 0...15, .int4: -8...7, .uint8: 0...255, .int8: -128...127, .uint16: 0...65535, .int16: -32768...32767,
    ]
    for dtype in DType.allCases { #expect(dtype.quantizedRange == ranges[dtype]) }
  }

  @Test func whatIsNot() {
    func code(
      _ scales: [Float], _ zeroPoints: [Int], _ dtype: DType = .int8, _ range: ClosedRange<Int>? = nil,
      axis: Int? = nil,
      blockSize: Int? = nil
    ) -> OctetError.Code? {
      octetError {
        try QuantizationParameters(
          scales: scales, zeroPoints: zeroPoints, dtype: dtype, range: range, axis: axis, blockSize: blockSize)
      }?.code
    }
    #expect(code([1], [0]) == nil)
    for scale in [0, -1, .nan, .infinity] as [Float] { #expect(code([scale], [0]) == .invalidArgument, "\(scale)") }
    for zero in [-129, 128, .max] { #expect(code([1], [zero]) == .invalidArgument, "\(zero)") }
    #expect(code([1], [64], .int8, -64...63) == .invalidArgument, "a zero point outside the range in use")
    for range in [-129...127, -128...128, 5...5] {
      #expect(code([1], [0], .int8, range) == .invalidArgument, "\(range)")
    }
    for dtype in [DType.float32, .float16, .int32, .int64, .bool] { #expect(code([1], [0], dtype) == .invalidArgument) }
    #expect(code([], []) == .invalidArgument)
    #expect(code([], [], axis: 0) == .invalidArgument)
    #expect(code([1, 1], [0, 0]) == .invalidArgument, "two scales need an axis")
    #expect(code([1, 1], [0], axis: 0) == .invalidArgument)
    #expect(code([1], [0], blockSize: 4) == .invalidArgument, "blocks need an axis")
    #expect(code([1], [0], axis: 0, blockSize: 0) == .invalidArgument)
  }

  @Test func codingIsARoundTrip() throws {
    let list = [
      try QuantizationParameters(scale: 0.1, zeroPoint: 3, dtype: .uint8),
      try QuantizationParameters(scale: 1e-38, zeroPoint: -64, dtype: .int8, range: -64...63),
      try QuantizationParameters(scales: [1 / 3, 0.7], zeroPoints: [0, 1], dtype: .int16, axis: -2),
      try QuantizationParameters(scales: [1 / 3, 0.7], zeroPoints: [0, 1], dtype: .uint4, axis: 0, blockSize: 32),
    ]
    #expect(try JSONDecoder().decode([QuantizationParameters].self, from: JSONEncoder().encode(list)) == list)
  }

  @Test(
    "decoding impossible values throws",
    arguments: [
      #"{"scales": [0], "zeroPoints": [0], "dtype": "int8", "range": [-128, 127]}"#,
      #"{"scales": [-1], "zeroPoints": [0], "dtype": "int8", "range": [-128, 127]}"#,
      #"{"scales": [], "zeroPoints": [], "dtype": "int8", "range": [-128, 127]}"#,
      #"{"scales": [1, 1], "zeroPoints": [0, 0], "dtype": "int8", "range": [-128, 127]}"#,
      #"{"scales": [1], "zeroPoints": [200], "dtype": "int8", "range": [-128, 127]}"#,
      #"{"scales": [1], "zeroPoints": [0], "dtype": "float32", "range": [-128, 127]}"#,
      #"{"scales": [1], "zeroPoints": [0], "dtype": "int8", "range": [127, -128]}"#,
      #"{"scales": [1], "zeroPoints": [0], "dtype": "int8", "range": [-128]}"#,
      #"{"scales": [1], "zeroPoints": [0], "dtype": "int8", "range": [-9223372036854775808, 9223372036854775807]}"#,
      #"{"scales": [1], "zeroPoints": [0], "dtype": "int8", "range": [-128, 127], "blockSize": 4}"#,
      #"{"scales": [1], "zeroPoints": [0], "dtype": "int8", "range": [-128, 127], "axis": 0, "blockSize": -4}"#,
    ])
  func decoding(_ json: String) {
    #expect(
      octetError { try JSONDecoder().decode(QuantizationParameters.self, from: Data(json.utf8)) }?.code
        == .invalidArgument)
  }

  @Test func decodingWhatIsNotThereThrows() {
    for json in ["{}", #"{"scales": [1], "zeroPoints": [0], "dtype": "int9", "range": [0, 1]}"#, "[]"] {
      #expect(throws: (any Error).self) { try JSONDecoder().decode(QuantizationParameters.self, from: Data(json.utf8)) }
    }
  }

  /// Which scale each element has.
  private func scaleIndices(_ parameters: QuantizationParameters, _ shape: [Int]) -> [Int] {
    var indices = [Int](repeating: -1, count: elementCount(of: shape))
    parameters.forEachRun(of: shape) { run, index in
      for i in run {
        #expect(indices[i] == -1, "element \(i) comes twice")
        indices[i] = index
      }
    }
    return indices
  }

  @Test func eachElementHasItsScale() throws {
    func parameters(_ count: Int, _ axis: Int?, _ block: Int? = nil) throws -> QuantizationParameters {
      try QuantizationParameters(
        scales: .init(repeating: 1, count: count), zeroPoints: .init(repeating: 0, count: count), dtype: .int8,
        axis: axis,
        blockSize: block)
    }
    #expect(try scaleIndices(parameters(1, nil), [2, 2]) == [0, 0, 0, 0])
    #expect(try scaleIndices(parameters(2, 0), [2, 3]) == [0, 0, 0, 1, 1, 1])
    #expect(try scaleIndices(parameters(3, 1), [2, 3]) == [0, 1, 2, 0, 1, 2])
    #expect(try scaleIndices(parameters(3, -1), [2, 3]) == [0, 1, 2, 0, 1, 2])
    #expect(try scaleIndices(parameters(2, 1), [2, 2, 2]) == [0, 0, 1, 1, 0, 0, 1, 1])
    // Two blocks along the last axis, the second one cut short, for each row.
    #expect(try scaleIndices(parameters(4, 1, 2), [2, 3]) == [0, 0, 1, 2, 2, 3])
    // Blocks of two rows; every column has scales of its own.
    #expect(try scaleIndices(parameters(4, 0, 2), [3, 2]) == [0, 1, 0, 1, 2, 3])
    #expect(try scaleIndices(parameters(1, 0, 9), [3]) == [0, 0, 0])
    #expect(try scaleIndices(parameters(2, 1), [0, 2]) == [])
  }

  @Test func channelsInAnotherOrder() throws {
    let parameters = try QuantizationParameters(
      scales: [1, 2, 3], zeroPoints: [4, 5, 6], dtype: .int8, range: -100...100, axis: 0)
    let expected = try QuantizationParameters(
      scales: [3, 1], zeroPoints: [6, 4], dtype: .int8, range: -100...100, axis: 1)
    #expect(try parameters.selecting([2, 0], axis: 1) == expected)
    let whole = try QuantizationParameters(scale: 1, zeroPoint: 2, dtype: .uint8)
    #expect(try whole.selecting([2, 0], axis: 1) == whole)
  }
}
