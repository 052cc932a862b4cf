import OctetCore

/// What GPTQ has to know of a layer's inputs x: `Σ x xᵀ` over all vectors x that were seen.
///
/// The Hessian of `‖(W − Q) X‖²` is this times 2, in the mean over N vectors times 2/N. No factor changes what GPTQ does,
/// so none is applied, and the sums of several inputs of one weight just add up.
struct Hessian {
  /// The number of inputs of the layer.
  let size: Int
  /// [size, size] in row-major order; only the upper triangle is kept. Float32 suffices: rounding is a millionth of the
  /// diagonal, the dampening a hundredth.
  private(set) var sum: [Float]
  /// How many vectors have been seen.
  private(set) var count = 0

  init(size: Int) {
    self.size = size
    sum = [Float](repeating: 0, count: size * size)
  }

  /// - Parameter x: [..., size] float32.
  /// - Throws: `OctetError` (`notANumber`) if there is a NaN or an infinity.
  mutating func add(_ x: Tensor) throws {
    try x.withUnsafeScalars(as: Float.self) { elements in
      let wrong = elements.count { !$0.isFinite }
      guard wrong == 0 else {
        throw OctetError(
          .notANumber, "GPTQ", expected: "finite numbers", found: "\(wrong) NaN or infinite in \(x.type)")
      }
      let rows = elements.count / size
      guard rows > 0, let base = elements.baseAddress else { return }
      // A strip of rows of xᵀ x at a time, from the diagonal on: half of the products, and little memory.
      let height = min(256, size)
      var strip = [Float](repeating: 0, count: height * size)
      for start in stride(from: 0, to: size, by: height) {
        let (m, n) = (min(height, size - start), size - start)
        FloatGEMM.multiply(
          m: m, n: n, k: rows, base + start, (1, size), base + start, (size, 1), into: &strip)
        for i in 0..<m {
          for j in i..<n { sum[(start + i) * size + start + j] += strip[i * n + j] }
        }
      }
      count += rows
    }
  }

  mutating func add(_ other: Hessian) {
    precondition(size == other.size)
    for i in sum.indices { sum[i] += other.sum[i] }
    count += other.count
  }

  subscript(i: Int, j: Int) -> Float { sum[min(i, j) * size + max(i, j)] }
}
