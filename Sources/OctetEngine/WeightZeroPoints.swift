import OctetCore

extension QuantizationParameters {
  /// Weights of 8 bits with zero points as int8 without, which stand for the same real numbers; `nil` if the distances
  /// from the zero points need more than 8 bits, or if there is nothing to do.
  ///
  /// (Quantizers that know unsigned weights alone write symmetric ones with the zero point 128.)
  func withoutZeroPoints(_ integers: Tensor) throws -> (Tensor, QuantizationParameters)? {
    guard dtype == .uint8 || dtype == .int8 && !hasZeroZeroPoints, blockSize == nil else { return nil }
    let numbers =
      dtype == .uint8
      ? try integers.scalars(as: UInt8.self).map { Int($0) } : try integers.scalars(as: Int8.self).map { Int($0) }
    let axis = axis.map { $0 < 0 ? $0 + integers.rank : $0 }
    let inner = axis.map { elementCount(of: Array(integers.shape[($0 + 1)...])) } ?? max(numbers.count, 1)
    var distances = [Int8](repeating: 0, count: numbers.count)
    for (index, number) in numbers.enumerated() {
      guard let distance = Int8(exactly: number - zeroPoints[index / inner % zeroPoints.count]) else { return nil }
      distances[index] = distance
    }
    let parameters = try QuantizationParameters(
      scales: scales, zeroPoints: [Int](repeating: 0, count: scales.count), dtype: .int8, axis: self.axis)
    return (try Tensor(distances, shape: integers.shape), parameters)
  }
}
