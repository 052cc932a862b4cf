import CKernels
import OctetCore

/// Sum, difference or product of two values of the same layout and shape, or of images and one number for each of their
/// channels.
struct BinaryStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let kind: Op.Binary
  /// Whether the operands stand the other way round, which matters for a difference.
  var isSwapped = false
  /// What bounds the result of integers.
  var activation: Activation?
  let isInteger: Bool
  var label: String { kind.rawValue + (activation.map { " + \($0)" } ?? "") }

  func call(_ memory: Memory) -> Call {
    let (a, b, to) = (inputs[0], inputs[1], output)
    let size = isInteger ? 1 : 4
    let combine =
      isInteger
      ? integerCombination(
        kind, memory.quantization(a), memory.quantization(b), isSwapped: isSwapped, memory.quantization(to), activation,
        memory)
      : floatCombination(kind, memory)
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
}

/// Sum, difference or product of a value and a constant that lies over it again and again.
struct ConstantBinaryStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let kind: Op.Binary
  /// Whether the constant is the first operand.
  let isFirst: Bool
  let activation: Activation?
  private let quantization: ActivationQuantization?
  /// Repeated until a call is worth its while.
  private let constant: TensorStorage
  private let count: Int

  enum Constant {
    case floats([Float])
    /// As slots hold them.
    case integers([UInt8], ActivationQuantization)
  }

  init(
    name: String, inputs: [Int], output: Int, constant: Constant, kind: Op.Binary, isFirst: Bool,
    activation: Activation?
  ) {
    (self.name, self.inputs, self.output, self.kind) = (name, inputs, output, kind)
    (self.isFirst, self.activation) = (isFirst, activation)
    func repeated<Number>(_ numbers: [Number]) -> (TensorStorage, Int) {
      let times = (255 + numbers.count) / max(numbers.count, 1)
      let storage = TensorStorage(byteCount: times * numbers.count * MemoryLayout<Number>.stride)
      let to = storage.base.assumingMemoryBound(to: Number.self)
      for i in 0..<times { (to + i * numbers.count).update(from: numbers, count: numbers.count) }
      return (storage, times * numbers.count)
    }
    switch constant {
    case .floats(let numbers):
      quantization = nil
      (self.constant, count) = repeated(numbers)
    case .integers(let bytes, let parameters):
      quantization = parameters
      (self.constant, count) = repeated(bytes)
    }
  }

  var isInteger: Bool { quantization != nil }
  var label: String { kind.rawValue + " constant" + (activation.map { " + \($0)" } ?? "") }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let size = isInteger ? 1 : 4
    let combine =
      quantization.map { quantization in
        integerCombination(
          kind, memory.quantization(from), quantization, isSwapped: isFirst, memory.quantization(to), activation, memory
        )
      } ?? floatCombination(kind, memory)
    let (total, period) = (memory.shapes.count(to), count)
    let constant = self.constant
    guard total > 0 else { return Call(items: 0) { _, _ in } }
    return memory.parts((total + period - 1) / period, cost: 3 * size * period + 16) { part in
      for index in part {
        let start = index * period
        combine(
          memory.addresses[from] + start * size, constant.base, min(period, total - start),
          memory.addresses[to] + start * size)
      }
    }
  }
}

/// Sum or product of real numbers whose second operand is the same along some of the first axes: a mask of attention.
struct BroadcastBinaryStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let kind: Op.Binary
  var isInteger: Bool { false }
  var label: String { kind.rawValue }

  /// Whether an operand broadcasts to `result` and has whole rows for it, from the last axis on.
  static func pays(_ operand: TensorType, over result: TensorType) -> Bool {
    guard operand != result, operand.rank == result.rank, let last = result.shape.last, last != 1 else { return false }
    return operand.shape.last == last && zip(operand.shape, result.shape).allSatisfy { $0 == 1 || $0 == $1 }
  }

  func call(_ memory: Memory) -> Call {
    let (a, b, to) = (inputs[0], inputs[1], output)
    let (shape, repeated) = (memory.shapes.shape(to), memory.shapes.shape(b))
    // What both have in common at the end is one row.
    let common = zip(shape, repeated).reversed().prefix { $0 == $1 }.count
    let row = elementCount(of: shape.suffix(common))
    let offsets = BroadcastOffsets(of: Array(repeated.dropLast(common)), to: Array(shape.dropLast(common)))
    let places = (0..<elementCount(of: Array(shape.dropLast(common)))).map { offsets[$0] }
    let combine = floatCombination(kind, memory)
    return memory.parts(places.count, cost: 12 * row + 16) { rows in
      for index in rows {
        combine(
          memory.addresses[a] + index * row * 4, memory.addresses[b] + places[index] * row * 4, row,
          memory.addresses[to] + index * row * 4)
      }
    }
  }
}

/// (operand, operand, count, result)
private typealias Combination = (
  UnsafeMutableRawPointer, UnsafeMutableRawPointer, Int, UnsafeMutableRawPointer
) -> Void

private func floatCombination(_ kind: Op.Binary, _ memory: Memory) -> Combination {
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

private func integerCombination(
  _ kind: Op.Binary, _ first: ActivationQuantization, _ second: ActivationQuantization, isSwapped: Bool,
  _ result: ActivationQuantization, _ activation: Activation?, _ memory: Memory
) -> Combination {
  let kernels = memory.kernels
  let (lower, upper) = result.bounds(activation?.range)
  // A difference is a sum with one sign turned.
  let signs: (Float, Float) = kind == .sub ? (isSwapped ? (-1, 1) : (1, -1)) : (1, 1)
  return { a, b, count, to in
    let (x, y) = (a.assumingMemoryBound(to: UInt8.self), b.assumingMemoryBound(to: UInt8.self))
    let out = to.assumingMemoryBound(to: UInt8.self)
    if kind == .mul {
      kernels.mul_u8(
        x, Int32(first.zero), y, Int32(second.zero), count, first.scale * second.scale / result.scale,
        Int32(result.zero), lower, upper, out)
    } else {
      kernels.add_u8(
        x, Int32(first.zero), signs.0 * first.scale / result.scale, y, Int32(second.zero),
        signs.1 * second.scale / result.scale, count, Int32(result.zero), lower, upper, out)
    }
  }
}
