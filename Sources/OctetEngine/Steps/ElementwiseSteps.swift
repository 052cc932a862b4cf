import CKernels
import OctetCore

/// Float to integers, integers to float, and integers to integers of another scale.
struct ScaleStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let kind: Kind

  enum Kind: String {
    case quantize, dequantize, requantize
  }

  var label: String { kind.rawValue }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let kernels = memory.kernels
    let count = memory.shapes.count(to)
    switch kind {
    case .quantize:
      let q = memory.quantization(to)
      let (lower, upper) = q.bounds()
      return memory.parts(count, cost: 5) { range in
        kernels.quantize(
          memory.floats(from) + range.lowerBound, range.count, q.scale, Int32(q.zero), lower, upper,
          memory.bytes(to) + range.lowerBound)
      }
    case .dequantize:
      let q = memory.quantization(from)
      return memory.parts(count, cost: 5) { range in
        kernels.dequantize_u8(
          memory.bytes(from) + range.lowerBound, range.count, q.scale, Int32(q.zero),
          memory.floats(to) + range.lowerBound)
      }
    case .requantize:
      let (old, new) = (memory.quantization(from), memory.quantization(to))
      let (lower, upper) = new.bounds()
      return memory.parts(count, cost: 2) { range in
        kernels.requantize_u8(
          memory.bytes(from) + range.lowerBound, range.count, Int32(old.zero), old.scale / new.scale, Int32(new.zero),
          lower, upper, memory.bytes(to) + range.lowerBound)
      }
    }
  }
}

/// A clip or ReLU that stands alone; integers keep their scale.
struct ClipStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let activation: Activation
  let isInteger: Bool
  var label: String { "\(activation)" }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let kernels = memory.kernels
    let range = activation.range
    if memory.isFloat(from) {
      return memory.parts(memory.shapes.count(to), cost: 8) { part in
        kernels.clamp_f32(
          memory.floats(from) + part.lowerBound, part.count, range.lowerBound, range.upperBound,
          memory.floats(to) + part.lowerBound)
      }
    }
    let q = memory.quantization(to)
    let (lower, upper) = q.bounds(range)
    let (low, high) = (
      UInt8(q.zero + Int(lower.rounded(.toNearestOrEven))), UInt8(q.zero + Int(upper.rounded(.toNearestOrEven)))
    )
    return memory.parts(memory.shapes.count(to), cost: 2) { part in
      kernels.clamp_u8(memory.bytes(from) + part.lowerBound, part.count, low, high, memory.bytes(to) + part.lowerBound)
    }
  }
}
