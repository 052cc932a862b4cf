import CKernels
import OctetCore

/// A function of one number.
enum ElementFunction: Sendable {
  case unary(Op.Unary)
  /// A function of two numbers one of which is fixed: the first or the second.
  case binary(Op.Binary, Float, isFirst: Bool)

  @inline(__always)
  func value(at x: Double) -> Double {
    switch self {
    case .unary(let function): function.value(at: x)
    case .binary(let function, let constant, let isFirst):
      isFirst ? function.value(Double(constant), x) : function.value(x, Double(constant))
    }
  }

  var label: String {
    switch self {
    case .unary(let function): Op.unary(function).kind.rawValue
    case .binary(let function, _, _): function.rawValue
    }
  }

  /// What each stored byte becomes. Its real number is the float32 that DequantizeLinear gives, the rest is double
  /// precision; NaN becomes the zero point.
  func table(from: ActivationQuantization, to: ActivationQuantization) -> [UInt8] {
    (0...255).map { byte in
      let real = Float(byte - from.zero) * from.scale
      let steps = value(at: Double(real)) / Double(to.scale)
      if steps.isNaN { return UInt8(to.zero) }
      let (lower, upper) = (Double(to.range.lowerBound - to.zero), Double(to.range.upperBound - to.zero))
      return UInt8(Int(min(max(steps, lower), upper).rounded(.toNearestOrEven)) + to.zero)
    }
  }

  func evaluate(_ x: UnsafePointer<Float>, count: Int, into out: UnsafeMutablePointer<Float>, _ kernels: octet_isa) {
    switch self {
    case .unary(let function): function.evaluate(x, count: count, into: out, kernels)
    // (As the others: one operation in double precision, rounded once more, is the operation in float32.)
    case .binary(.mul, let constant, _): for i in 0..<count { out[i] = x[i] * constant }
    case .binary(.add, let constant, _): for i in 0..<count { out[i] = x[i] + constant }
    case .binary: for i in 0..<count { out[i] = Float(value(at: Double(x[i]))) }
    }
  }
}

/// A function of each byte, by a table.
struct TableStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let function: ElementFunction
  var label: String { "\(function.label) (table)" }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let table = function.table(from: memory.quantization(from), to: memory.quantization(to))
    let kernels = memory.kernels
    return memory.parts(memory.shapes.count(to), cost: 2) { part in
      kernels.lookup_u8(memory.bytes(from) + part.lowerBound, part.count, table, memory.bytes(to) + part.lowerBound)
    }
  }
}

/// A function of each real number.
struct FunctionStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let function: ElementFunction
  var label: String { function.label }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let (function, kernels) = (function, memory.kernels)
    return memory.parts(memory.shapes.count(to), cost: 32) { part in
      function.evaluate(
        memory.floats(from) + part.lowerBound, count: part.count, into: memory.floats(to) + part.lowerBound, kernels)
    }
  }
}

/// ReLU with a slope for each channel, which lies innermost.
struct PReluStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let slopes: [Float]
  let isInteger: Bool
  var label: String { isInteger ? "prelu (tables)" : "prelu" }

  func call(_ memory: Memory) -> Call {
    let (from, to, slopes) = (inputs[0], output, slopes)
    let channels = slopes.count
    let pixels = memory.shapes.count(to) / channels
    if !isInteger {
      return memory.parts(pixels, cost: channels * 8) { part in
        for pixel in part {
          let (x, out) = (memory.floats(from) + pixel * channels, memory.floats(to) + pixel * channels)
          for c in 0..<channels { out[c] = x[c] < 0 ? slopes[c] * x[c] : x[c] }
        }
      }
    }
    let (old, new) = (memory.quantization(from), memory.quantization(to))
    let tables = slopes.flatMap { ElementFunction.unary(.leakyRelu(alpha: $0)).table(from: old, to: new) }
    return memory.parts(pixels, cost: channels * 4) { part in
      tables.withUnsafeBufferPointer { tables in
        for pixel in part {
          let (x, out) = (memory.bytes(from) + pixel * channels, memory.bytes(to) + pixel * channels)
          for c in 0..<channels { out[c] = tables[c * 256 + Int(x[c])] }
        }
      }
    }
  }
}
