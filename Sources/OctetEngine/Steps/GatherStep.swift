import CKernels
import OctetCore

/// Rows of a value or of a table at indices that are computed or given.
struct GatherStep: SingleCallStep {
  enum Source {
    case slot(Int)
    /// Real numbers
    case table(Tensor)
    /// Integers as stored (signed ones plus 128), and the scale of each row.
    case quantizedTable([UInt8], zero: Int, scales: [Float])
  }

  enum Indices {
    case slot(Int)
    case constant([Int])
  }

  let name: String
  let source: Source
  let indices: Indices
  let output: Int
  /// The shape of a table.
  let tableShape: [Int]
  let axis: Int

  var inputs: [Int] {
    var slots: [Int] = []
    if case .slot(let slot) = source { slots.append(slot) }
    if case .slot(let slot) = indices { slots.append(slot) }
    return slots
  }

  var label: String {
    if case .slot = source { "gather" } else { "embedding" }
  }

  func call(_ memory: Memory) -> Call {
    let shape = if case .slot(let slot) = source { memory.shapes.shape(slot) } else { tableShape }
    let size = shape[axis]
    let row = elementCount(of: Array(shape[(axis + 1)...]))
    let outer = elementCount(of: Array(shape[..<axis]))
    let (to, name) = (output, name)
    let width = memory.shapes.slots[to].dtype.byteCount(of: 1)
    let copyRow = rowCopier(memory, row: row, width: width)
    let (indices, count) = reader(memory)
    return Call { _, _ in
      for index in 0..<count {
        let position = indices(index)
        guard (-size..<size).contains(position) else {
          return memory.record(
            OctetError(.invalidArgument, "indices", expected: "numbers in \(-size)..<\(size)", found: "\(position)"),
            name)
        }
        let place = position < 0 ? position + size : position
        for block in 0..<outer {
          copyRow(block * size + place, memory.addresses[to] + (block * count + index) * row * width)
        }
      }
    }
  }

  /// Reads an index; and how many there are.
  private func reader(_ memory: Memory) -> ((Int) -> Int, Int) {
    switch indices {
    case .constant(let numbers): return ({ numbers[$0] }, numbers.count)
    case .slot(let slot):
      let isShort = memory.shapes.slots[slot].dtype == .int32
      return (
        { index in
          isShort
            ? Int(memory.addresses[slot].assumingMemoryBound(to: Int32.self)[index])
            : Int(memory.addresses[slot].assumingMemoryBound(to: Int64.self)[index])
        }, memory.shapes.count(slot)
      )
    }
  }

  /// Writes row `index` of the source.
  private func rowCopier(_ memory: Memory, row: Int, width: Int) -> (Int, UnsafeMutableRawPointer) -> Void {
    switch source {
    case .slot(let slot):
      return { index, to in
        to.copyMemory(from: memory.addresses[slot] + index * row * width, byteCount: row * width)
      }
    case .table(let tensor):
      return { index, to in
        tensor.withUnsafeBytes { to.copyMemory(from: $0.baseAddress! + index * row * width, byteCount: row * width) }
      }
    case .quantizedTable(let bytes, let zero, let scales):
      let q = memory.quantization(output)
      let (lower, upper) = q.bounds()
      let kernels = memory.kernels
      return { index, to in
        bytes.withUnsafeBufferPointer {
          kernels.requantize_u8(
            $0.baseAddress! + index * row, row, Int32(zero), (scales.count == 1 ? scales[0] : scales[index]) / q.scale,
            Int32(q.zero), lower, upper, to.assumingMemoryBound(to: UInt8.self))
        }
      }
    }
  }
}
