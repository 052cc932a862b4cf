import CKernels
import OctetCore

/// The shapes of all values for one set of input shapes.
struct Shapes {
  let slots: [Slot]
  let types: [String: TensorType]
  let threads: Int

  /// The shape of a slot's value in the graph's order of axes.
  func shape(_ slot: Int) -> [Int] { types[slots[slot].value]!.fixedShape! }

  func count(_ slot: Int) -> Int { elementCount(of: shape(slot)) }

  func byteCount(_ slot: Int) -> Int {
    quantizedRows(slot).map { QuantizedRows.byteCount($0.rows, $0.columns, $0.activations) }
      ?? slots[slot].dtype.byteCount(of: count(slot))
  }

  /// The rows of a slot whose parameters follow them.
  func quantizedRows(_ slot: Int) -> QuantizedRows? {
    slots[slot].dynamic.map {
      let shape = shape(slot)
      return QuantizedRows(rows: elementCount(of: Array(shape.dropLast())), columns: shape.last ?? 1, $0)
    }
  }
}

/// Where everything is in one run of a plan.
final class Memory {
  let shapes: Shapes
  private let instructionSet = InstructionSet.current
  /// The address of each slot; inputs and outputs change from run to run.
  let addresses: UnsafeMutablePointer<UnsafeMutableRawPointer>
  private let arena: TensorStorage
  private let scratch: TensorStorage
  private let scratchStride: Int
  private let sharedWorkspace: TensorStorage
  private var kept: [EpilogueConstants] = []
  private var failure: (any Error)?

  init(shapes: Shapes, offsets: [Int?], arenaSize: Int, scratchSize: Int, workspaceSize: Int) {
    self.shapes = shapes
    arena = TensorStorage(byteCount: arenaSize)
    scratchStride = (scratchSize + 127) / 64 * 64
    scratch = TensorStorage(byteCount: scratchStride * shapes.threads)
    sharedWorkspace = TensorStorage(byteCount: workspaceSize)
    addresses = .allocate(capacity: max(shapes.slots.count, 1))
    for slot in shapes.slots.indices {
      // Slots outside the arena are set before every run.
      (addresses + slot).initialize(to: arena.base + (offsets[shapes.slots[slot].root] ?? 0))
    }
  }

  deinit { addresses.deallocate() }

  /// Keeps the first error of a step, which cannot throw, for the session.
  func record(_ error: any Error, _ node: String) {
    failure = failure ?? (error as? OctetError).map { $0.within(node) } ?? error
  }

  func throwFailure() throws {
    if let error = failure {
      failure = nil
      throw error
    }
  }

  /// Holds on to constants that a step's call points to.
  func keep(_ constants: EpilogueConstants) { kept.append(constants) }

  var kernels: octet_isa { instructionSet.kernels }
  var int8: UnsafePointer<octet_gemm_family> { instructionSet.int8 }
  var float32: UnsafePointer<octet_gemm_family> { instructionSet.float32 }

  /// An epilogue without its arrays by channel, and the scale of what it writes.
  func epilogue(_ activation: Activation?, output: Int) -> (octet_epilogue, scale: Float) {
    var epilogue = octet_epilogue()
    let range = activation?.range ?? -.infinity...(.infinity)
    (epilogue.lower, epilogue.upper) = (range.lowerBound, range.upperBound)
    epilogue.output = OCTET_OUTPUT_FLOAT32
    epilogue.residual_scale = 1
    guard let quantization = shapes.slots[output].quantization else { return (epilogue, 1) }
    epilogue.output = OCTET_OUTPUT_UINT8
    epilogue.zero = Int32(quantization.zero)
    (epilogue.lower, epilogue.upper) = quantization.bounds(activation?.range)
    return (epilogue, quantization.scale)
  }

  /// The address of a slot, to be asked for while running.
  @inline(__always)
  func bytes(_ slot: Int) -> UnsafeMutablePointer<UInt8> { addresses[slot].assumingMemoryBound(to: UInt8.self) }

  @inline(__always)
  func floats(_ slot: Int) -> UnsafeMutablePointer<Float> { addresses[slot].assumingMemoryBound(to: Float.self) }

  /// The memory that the workers of one step share, 64-byte aligned.
  var workspace: UnsafeMutableRawPointer { sharedWorkspace.base }

  func scratch(_ worker: Int) -> UnsafeMutableRawPointer { scratch.base + worker * scratchStride }

  func isFloat(_ slot: Int) -> Bool { shapes.slots[slot].dtype == .float32 }

  func quantization(_ slot: Int) -> ActivationQuantization { shapes.slots[slot].quantization! }

  /// A call over `count` independent parts (elements, rows), in as many items as are worth a thread.
  ///
  /// - Parameter cost: bytes that one part moves.
  func parts(_ count: Int, cost: Int, _ work: @escaping (Range<Int>) -> Void) -> Call {
    workerParts(count, cost: cost) { range, _ in work(range) }
  }

  /// The same for work that needs the scratch of its worker.
  func workerParts(_ count: Int, cost: Int, _ work: @escaping (Range<Int>, Int) -> Void) -> Call {
    let worthwhile = max(1, count * cost / 32768)
    let items = max(1, min(shapes.threads, count, worthwhile))
    // Boundaries at multiples of 64 parts keep vectors whole where that is possible.
    let even = (count + items - 1) / items
    let size = count >= items * 128 ? (even + 63) / 64 * 64 : even
    return Call(items: items) { item, worker in
      let range = min(item * size, count)..<min((item + 1) * size, count)
      if !range.isEmpty { work(range, worker) }
    }
  }
}
