import CKernels
import OctetCore

/// What is computed from whole rows of consecutive elements.
enum RowFunction: Sendable {
  case softmax(isLogarithm: Bool)
  case normalize(Op.Normalize, scale: [Float]?, bias: [Float]?)

  var label: String {
    switch self {
    case .softmax(let isLogarithm): isLogarithm ? "log softmax" : "softmax"
    case .normalize(let normalize, _, _): Op.normalize(normalize).kind.rawValue
    }
  }

  /// Elements of a row.
  func columns(of shape: [Int]) throws -> Int {
    switch self {
    case .softmax: shape.last!
    case .normalize(let normalize, _, _): try normalize.columns(of: TensorType(.float32, fixed: shape))
    }
  }

  /// The rows `rows` of a value, the first of which `x` points to.
  func evaluate(
    _ x: UnsafePointer<Float>, rows: Range<Int>, columns: Int, shape: [Int], into out: UnsafeMutablePointer<Float>,
    _ kernels: octet_isa
  ) {
    switch self {
    case .softmax(false): kernels.softmax_f32(x, rows.count, columns, out)
    case .softmax(true): kernels.log_softmax_f32(x, rows.count, columns, out)
    case .normalize(let normalize, let scale, let bias):
      if case .layer = normalize.domain {
        return kernels.layer_norm_f32(x, rows.count, columns, scale, bias, normalize.epsilon, out)
      }
      kernels.layer_norm_f32(x, rows.count, columns, nil, nil, normalize.epsilon, out)
      if scale == nil && bias == nil { return }
      // A row has a whole number of channels; the rows of a sample have them all.
      let channels = shape[1]
      let pixels = elementCount(of: Array(shape.dropFirst(2)))
      let perRow = columns / pixels
      for row in rows {
        for index in 0..<perRow {
          let channel = (row * perRow + index) % channels
          let (factor, offset) = (scale?[channel] ?? 1, bias?[channel] ?? 0)
          let values = out + (row - rows.lowerBound) * columns + index * pixels
          for i in 0..<pixels { values[i] = values[i] * factor + offset }
        }
      }
    }
  }
}

/// Softmax or normalization. Integers become real numbers row by row, in the worker's scratch, and integers again.
struct RowStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let function: RowFunction
  let isInteger: Bool
  var label: String { function.label }

  func scratchSize(_ shapes: Shapes) throws -> Int {
    isInteger ? 2 * aligned(4 * (try function.columns(of: shapes.shape(output)))) : 0
  }

  func call(_ memory: Memory) throws -> Call {
    let (from, to, function) = (inputs[0], output, function)
    let shape = memory.shapes.shape(to)
    let columns = try function.columns(of: shape)
    let rows = columns == 0 ? 0 : memory.shapes.count(to) / columns
    let kernels = memory.kernels
    if !isInteger {
      return memory.parts(rows, cost: columns * 32) { part in
        let start = part.lowerBound * columns
        function.evaluate(
          memory.floats(from) + start, rows: part, columns: columns, shape: shape, into: memory.floats(to) + start,
          kernels)
      }
    }
    let (old, new) = (memory.quantization(from), memory.quantization(to))
    let (lower, upper) = new.bounds()
    let stride = aligned(4 * columns)
    return memory.workerParts(rows, cost: columns * 32) { part, worker in
      let real = memory.scratch(worker).assumingMemoryBound(to: Float.self)
      let result = (memory.scratch(worker) + stride).assumingMemoryBound(to: Float.self)
      for row in part {
        kernels.dequantize_u8(memory.bytes(from) + row * columns, columns, old.scale, Int32(old.zero), real)
        function.evaluate(real, rows: row..<row + 1, columns: columns, shape: shape, into: result, kernels)
        kernels.quantize(
          result, columns, new.scale, Int32(new.zero), lower, upper, memory.bytes(to) + row * columns)
      }
    }
  }
}
