import OctetCore

/// Images or signals of another size, over NHWC. Integers are mixed in float32, as `Σ weight · (q − zero)`, and rounded
/// half to even.
struct ResizeStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let attributes: Op.Resize
  let isInteger: Bool
  var label: String { "resize" }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let rank = memory.shapes.shape(from).count
    let (source, result) = (imageShape(memory.shapes.shape(from)), imageShape(memory.shapes.shape(to)))
    let columns = attributes.samples(length: source[3], index: rank - 3)
    let rows =
      rank == 4 ? attributes.samples(length: source[2], index: 0) : [Op.Resize.Sample(lower: 0, upper: 0, weight: 0)]
    let channels = source[1]
    let line = source[3] * channels
    let isInteger = isInteger
    let q = isInteger ? memory.quantization(to) : nil
    return memory.parts(result[0] * result[2], cost: result[3] * channels * (isInteger ? 8 : 20)) { range in
      for index in range {
        let (image, row) = (index / result[2], rows[index % result[2]])
        let upper = (image * source[2] + row.lower) * line
        let lower = (image * source[2] + row.upper) * line
        for (x, column) in columns.enumerated() {
          let target = (index * result[3] + x) * channels
          let corners = Corners(
            upperLeft: upper + column.lower * channels, upperRight: upper + column.upper * channels,
            lowerLeft: lower + column.lower * channels, lowerRight: lower + column.upper * channels,
            across: column.weight, down: row.weight)
          if let q {
            corners.mix(memory.bytes(from), memory.bytes(to) + target, channels, q)
          } else {
            corners.mix(memory.floats(from), memory.floats(to) + target, channels)
          }
        }
      }
    }
  }

  /// Four pixels and their shares.
  private struct Corners {
    let upperLeft: Int, upperRight: Int, lowerLeft: Int, lowerRight: Int
    let across: Float, down: Float

    @inline(__always)
    private func blend(_ a: Float, _ b: Float, _ weight: Float) -> Float {
      weight == 0 ? a : a * (1 - weight) + b * weight
    }

    func mix(_ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int) {
      for c in 0..<count {
        out[c] = blend(
          blend(x[upperLeft + c], x[upperRight + c], across), blend(x[lowerLeft + c], x[lowerRight + c], across), down)
      }
    }

    func mix(
      _ x: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<UInt8>, _ count: Int, _ q: ActivationQuantization
    ) {
      if across == 0, down == 0 { return out.update(from: x + upperLeft, count: count) }
      let zero = Float(q.zero)
      for c in 0..<count {
        let value = blend(
          blend(Float(x[upperLeft + c]) - zero, Float(x[upperRight + c]) - zero, across),
          blend(Float(x[lowerLeft + c]) - zero, Float(x[lowerRight + c]) - zero, across), down)
        // Between the corners, so within the range.
        out[c] = UInt8(Int(value.rounded(.toNearestOrEven)) + q.zero)
      }
    }
  }
}
