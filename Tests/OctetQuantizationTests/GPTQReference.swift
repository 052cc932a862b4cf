import OctetCore
import OctetQuantization

/// GPTQ by its definition, in Double: after each column the remaining ones are moved to where the error is least, and the
/// column is taken out of the inverse Hessian by elimination. No blocks, no Cholesky factor.
struct GPTQReference {
  private(set) var integers: [Int]
  private(set) var dequantized: [Double]

  /// weight [n, k]; inputs [count, k]; parameters per channel or in blocks along axis 1.
  init(
    weight: [Float], inputs: [Float], n: Int, k: Int, _ parameters: QuantizationParameters, dampening: Double,
    isOrdered: Bool
  ) {
    var hessian = [[Double]](repeating: [Double](repeating: 0, count: k), count: k)
    for row in 0..<inputs.count / k {
      for i in 0..<k {
        for j in 0..<k { hessian[i][j] += 2 * Double(inputs[row * k + i]) * Double(inputs[row * k + j]) }
      }
    }
    let diagonal = (0..<k).map { hessian[$0][$0] }
    let live = diagonal.filter { $0 > 0 }
    let mean = live.reduce(0, +) / Double(live.count)
    for i in 0..<k { hessian[i][i] = diagonal[i] > 0 ? diagonal[i] + dampening * mean : 1 }
    var inverse = Self.inverse(hessian)

    var left = weight.map(Double.init)
    for i in left.indices where diagonal[i % k] == 0 { left[i] = 0 }
    integers = [Int](repeating: 0, count: n * k)
    dequantized = [Double](repeating: 0, count: n * k)
    let groups = parameters.scales.count / n
    var remaining = Array(0..<k)
    while !remaining.isEmpty {
      let place = isOrdered ? remaining.indices.max { diagonal[remaining[$0]] < diagonal[remaining[$1]] }! : 0
      let column = remaining.remove(at: place)
      for row in 0..<n {
        let group = row * groups + (parameters.blockSize.map { column / $0 } ?? 0)
        let (scale, zero) = (Double(parameters.scales[group]), parameters.zeroPoints[group])
        let index = row * k + column
        let step = Int((left[index] / scale).rounded(.toNearestOrEven)) + zero
        integers[index] = min(max(step, parameters.range.lowerBound), parameters.range.upperBound)
        dequantized[index] = Double(integers[index] - zero) * scale
        let error = (left[index] - dequantized[index]) / inverse[column][column]
        for other in remaining { left[row * k + other] -= error * inverse[column][other] }
      }
      let line = inverse[column]
      for i in remaining {
        let factor = inverse[i][column] / line[column]
        for j in remaining { inverse[i][j] -= factor * line[j] }
      }
    }
  }

  /// Gauss–Jordan elimination.
  private static func inverse(_ matrix: [[Double]]) -> [[Double]] {
    let n = matrix.count
    var (a, b) = (matrix, (0..<n).map { i in (0..<n).map { $0 == i ? 1.0 : 0 } })
    for column in 0..<n {
      let pivot = a[column][column]
      for j in 0..<n {
        a[column][j] /= pivot
        b[column][j] /= pivot
      }
      for row in 0..<n where row != column {
        let factor = a[row][column]
        for j in 0..<n {
          a[row][j] -= factor * a[column][j]
          b[row][j] -= factor * b[column][j]
        }
      }
    }
    return b
  }
}
