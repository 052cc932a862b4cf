import OctetCore

extension QuantizationParameters {
  /// A matrix of integers with its axes swapped, and the parameters that it then has: channels and blocks of rows
  /// become those of columns.
  func transposed(_ matrix: Tensor) throws -> (integers: Tensor, parameters: QuantizationParameters) {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    var (scales, zeroPoints) = (scales, zeroPoints)
    let counted = axis.map { $0 < 0 ? $0 + 2 : $0 }
    if let blockSize, let counted {
      // One for each block: a matrix as well.
      let shape = counted == 0 ? [(rows + blockSize - 1) / blockSize, columns] : [rows, scales.count / max(rows, 1)]
      scales = swapped(scales, shape)
      zeroPoints = swapped(zeroPoints, shape)
    }
    let parameters = try QuantizationParameters(
      scales: scales, zeroPoints: zeroPoints, dtype: dtype, range: range, axis: counted.map { 1 - $0 },
      blockSize: blockSize)
    guard dtype.bitWidth == 4 else {
      return (try apply(.transpose(Op.Transpose([1, 0])), [matrix])[0], parameters)
    }
    let nibbles = matrix.withUnsafeBytes { bytes in
      (0..<rows * columns).map { (index: Int) -> UInt8 in
        let byte = bytes[index / 2]
        return index.isMultiple(of: 2) ? byte & 15 : byte >> 4
      }
    }
    let bytes = packed(swapped(nibbles, [rows, columns]))
    var result = Tensor(uninitialized: [columns, rows], dtype: dtype)
    result.withUnsafeMutableBytes { to in bytes.withUnsafeBytes { to.copyMemory(from: $0) } }
    return (result, parameters)
  }
}

/// The elements of a matrix, column by column.
private func swapped<Element>(_ elements: [Element], _ shape: [Int]) -> [Element] {
  elements.indices.map { (index: Int) -> Element in elements[index % shape[0] * shape[1] + index / shape[0]] }
}

/// Numbers of four bits, two to a byte, the first one in the low half.
func packed(_ numbers: [UInt8]) -> [UInt8] {
  stride(from: 0, to: numbers.count, by: 2).map { (index: Int) -> UInt8 in
    let high: UInt8 = index + 1 < numbers.count ? numbers[index + 1] << 4 : 0
    return (numbers[index] & 15) | high
  }
}
