import OctetCore

/// How many columns are quantized before the others are corrected, by one matrix product.
private let columnsAtOnce = 128

/// A weight [n, k] rounded column by column in the order given. The error e of a column, divided by U's diagonal, is taken
/// times the row of U from the columns behind it.
///
/// Scales and zero points are those of the whole weight before any correction, so that the order of columns changes neither
/// groups nor layout. Columns that never had an input become 0.
///
/// - Parameter progress: told how many columns have become done.
func gptq(
  _ weight: Tensor, _ quantization: WeightQuantization, _ order: ColumnOrder, progress: (Int) -> Void
) throws -> (integers: Tensor, parameters: QuantizationParameters) {
  let (n, k) = (weight.shape[0], weight.shape[1])
  let weight = try clearingDeadColumns(of: weight, order)
  let parameters = try quantization.parameters(for: weight)
  let blocks = parameters.scales.count / n
  let groups = order.columns.map { column in parameters.blockSize.map { column / $0 } ?? 0 }

  // w: [n, k], columns in the order in which they are rounded; errors: [n, columnsAtOnce].
  var w = try weight.withUnsafeScalars(as: Float.self) { weight in
    (0..<n * k).map { weight[$0 / k * k + order.columns[$0 % k]] }
  }
  var errors = [Float](repeating: 0, count: n * min(columnsAtOnce, k))
  var corrections = [Float](repeating: 0, count: n * k)
  var integers = try Tensor(zeros: [n, k], dtype: parameters.dtype)
  for start in stride(from: 0, to: k, by: columnsAtOnce) {
    let end = min(start + columnsAtOnce, k)
    let (width, rest) = (end - start, k - end)
    w.withUnsafeMutableBufferPointer { w in
      order.upper.withUnsafeBufferPointer { upper in
        integers.withUnsafeMutableBytes { integers in
          for row in 0..<n {
            let elements = w.baseAddress! + row * k
            for column in start..<end {
              let scale = parameters.scales[row * blocks + groups[column]]
              let zero = parameters.zeroPoints[row * blocks + groups[column]]
              let step = quantizedStep(
                elements[column], scale: scale, lower: Float(parameters.range.lowerBound - zero),
                upper: Float(parameters.range.upperBound - zero))
              storeInteger(step + zero, at: row * k + order.columns[column], parameters.dtype, in: integers)
              let line = upper.baseAddress! + column * k
              let error = (elements[column] - Float(step) * scale) / line[column]
              errors[row * width + column - start] = error
              for other in column + 1..<max(end, column + 1) { elements[other] -= error * line[other] }
            }
          }
        }
      }
    }
    if rest > 0 {
      order.upper.withUnsafeBufferPointer { upper in
        FloatGEMM.multiply(
          m: n, n: rest, k: width, errors, (width, 1), upper.baseAddress! + start * k + end, (k, 1), into: &corrections)
      }
      for row in 0..<n {
        for column in 0..<rest { w[row * k + end + column] -= corrections[row * rest + column] }
      }
    }
    progress(width)
  }
  return (integers, parameters)
}

private func clearingDeadColumns(of weight: Tensor, _ order: ColumnOrder) throws -> Tensor {
  guard order.isDead.contains(true) else { return weight }
  var weight = weight
  let (n, k) = (weight.shape[0], weight.shape[1])
  try weight.withUnsafeMutableScalars(as: Float.self) { elements in
    for (column, isDead) in zip(order.columns, order.isDead) where isDead {
      for row in 0..<n { elements[row * k + column] = 0 }
    }
  }
  return weight
}
