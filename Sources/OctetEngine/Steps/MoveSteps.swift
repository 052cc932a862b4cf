import CKernels
import OctetCore

/// Between the order of a shape [n, c, h, w] and NHWC; also for rows [n, c·h·w].
struct LayoutStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  /// `nil`: as many as axis 1 has.
  let channels: Int?
  let toNHWC: Bool
  var label: String { toNHWC ? "to NHWC" : "from NHWC" }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let images = memory.shapes.shape(from)[0]
    let size = images == 0 ? 0 : memory.shapes.count(from) / images
    let channels = channels ?? memory.shapes.shape(from)[1]
    let pixels = size / max(channels, 1)
    let kernels = memory.kernels
    let isFloat = memory.isFloat(from)
    let toNHWC = toNHWC
    return memory.parts(images, cost: size * (isFloat ? 8 : 2)) { range in
      for image in range {
        switch (isFloat, toNHWC) {
        case (true, true):
          kernels.to_nhwc_f32(memory.floats(from) + image * size, channels, pixels, memory.floats(to) + image * size)
        case (true, false):
          kernels.to_nchw_f32(memory.floats(from) + image * size, channels, pixels, memory.floats(to) + image * size)
        case (false, true):
          kernels.to_nhwc_u8(memory.bytes(from) + image * size, channels, pixels, memory.bytes(to) + image * size)
        case (false, false):
          kernels.to_nchw_u8(memory.bytes(from) + image * size, channels, pixels, memory.bytes(to) + image * size)
        }
      }
    }
  }
}

/// Values one after another along an axis, all in the same layout and scale.
struct ConcatStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let axis: Int
  let isInteger: Bool
  var label: String { "concat" }

  func call(_ memory: Memory) -> Call {
    let to = output
    let layout = memory.shapes.slots[to].layout
    func inMemory(_ slot: Int) -> [Int] {
      let shape = memory.shapes.shape(slot)
      return layout == .nhwc ? [shape[0]] + shape[2...] + [shape[1]] : shape
    }
    let last = memory.shapes.shape(to).count - 1
    let axis = layout == .nhwc && self.axis > 0 ? (self.axis == 1 ? last : self.axis - 1) : self.axis
    let width = memory.shapes.slots[to].dtype.byteCount(of: 1)
    let shape = inMemory(to)
    let outer = elementCount(of: Array(shape[..<axis]))
    let row = elementCount(of: Array(shape[axis...])) * width
    let blocks = inputs.map { (slot: $0, bytes: elementCount(of: Array(inMemory($0)[axis...])) * width) }
    return memory.parts(outer, cost: row * 2) { range in
      var offset = 0
      for block in blocks {
        for index in range {
          (memory.addresses[to] + index * row + offset)
            .copyMemory(from: memory.addresses[block.slot] + index * block.bytes, byteCount: block.bytes)
        }
        offset += block.bytes
      }
    }
  }
}

/// A result that does not depend on the inputs.
struct ConstantStep: SingleCallStep {
  let name: String
  let tensor: Tensor
  let inputs: [Int] = []
  let output: Int
  var label: String { "constant" }

  func call(_ memory: Memory) -> Call {
    let (tensor, to) = (tensor, output)
    return Call { _, _ in
      tensor.withUnsafeBytes { memory.addresses[to].copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }
  }
}

/// A copy, for a result that must not share memory with another one.
struct CopyStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  var label: String { "copy" }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let bytes = memory.shapes.slots[to].dtype.byteCount(of: memory.shapes.count(to))
    return Call { _, _ in memory.addresses[to].copyMemory(from: memory.addresses[from], byteCount: bytes) }
  }
}
