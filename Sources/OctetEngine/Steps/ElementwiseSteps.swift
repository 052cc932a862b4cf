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

/// Sum or product of two values of the same layout and shape, or of images and one number for each of their channels.
struct BinaryStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let kind: Op.Binary
  let isInteger: Bool
  var label: String { kind.rawValue }

  func call(_ memory: Memory) -> Call {
    let (a, b, to) = (inputs[0], inputs[1], output)
    let size = isInteger ? 1 : 4
    let combine = isInteger ? integers(memory) : floats(memory)
    func run(_ first: Int, _ second: Int, _ count: Int) {
      combine(
        memory.addresses[a] + first * size, memory.addresses[b] + second * size, count,
        memory.addresses[to] + first * size)
    }
    let shape = memory.shapes.shape(to)
    if memory.shapes.shape(b) == shape {
      return memory.parts(memory.shapes.count(to), cost: 3 * size) { part in
        run(part.lowerBound, part.lowerBound, part.count)
      }
    }
    // Pixel by pixel: channels lie innermost.
    let (channels, pixels) = (shape[1], shape[2] * shape[3])
    return memory.parts(shape[0] * pixels, cost: 3 * size * channels + 16) { part in
      for pixel in part { run(pixel * channels, pixel / pixels * channels, channels) }
    }
  }

  /// (operand, operand, count, result)
  private typealias Combination = (
    UnsafeMutableRawPointer, UnsafeMutableRawPointer, Int, UnsafeMutableRawPointer
  ) -> Void

  private func floats(_ memory: Memory) -> Combination {
    let kernels = memory.kernels
    let isSum = kind == .add
    return { a, b, count, to in
      let (x, y) = (a.assumingMemoryBound(to: Float.self), b.assumingMemoryBound(to: Float.self))
      let out = to.assumingMemoryBound(to: Float.self)
      if isSum {
        kernels.add_f32(x, y, count, -.infinity, .infinity, out)
      } else {
        kernels.mul_f32(x, y, count, out)
      }
    }
  }

  private func integers(_ memory: Memory) -> Combination {
    let kernels = memory.kernels
    let isSum = kind == .add
    let (first, second) = (memory.quantization(inputs[0]), memory.quantization(inputs[1]))
    let q = memory.quantization(output)
    let (lower, upper) = q.bounds()
    return { a, b, count, to in
      let (x, y) = (a.assumingMemoryBound(to: UInt8.self), b.assumingMemoryBound(to: UInt8.self))
      let out = to.assumingMemoryBound(to: UInt8.self)
      if isSum {
        kernels.add_u8(
          x, Int32(first.zero), first.scale / q.scale, y, Int32(second.zero), second.scale / q.scale, count,
          Int32(q.zero), lower, upper, out)
      } else {
        kernels.mul_u8(
          x, Int32(first.zero), y, Int32(second.zero), count, first.scale * second.scale / q.scale, Int32(q.zero),
          lower, upper, out)
      }
    }
  }
}
