import CKernels
import OctetCore

/// `x · wᵀ + bias` for rows of real numbers at an address: with float weights, or with integer ones and x quantized
/// with parameters of its own values.
struct RowProduct {
  let weights: ConvolutionWeights
  let rows: Int
  /// How x is quantized; `nil` with float weights.
  let activations: Op.DynamicQuantize?
  var activation: Activation?

  private var shape: octet_conv_shape {
    var shape = weights.shape
    (shape.in_h, shape.in_w, shape.out_h, shape.out_w) = (rows, 1, rows, 1)
    return shape
  }
  private var family: UnsafePointer<octet_gemm_family> {
    weights.isInteger ? InstructionSet.current.int8 : InstructionSet.current.float32
  }

  /// Bytes that one worker needs.
  var scratchSize: Int {
    var shape = self.shape
    return octet_conv_scratch_size(family, &shape)
  }

  // MARK: - Workspace: what is quantized, its parameters, and what follows from them

  private var quantizedSize: Int { activations.map { QuantizedRows.byteCount(rows, weights.shape.in_c, $0) } ?? 0 }
  private var constantsSize: Int { aligned(weights.paddedChannels * 4) }
  /// Bytes of workspace for ``calls(_:workspace:from:to:)``.
  var workspaceSize: Int { quantizedSize + productWorkspaceSize }
  /// Bytes of workspace for ``calls(_:workspace:quantized:to:)``.
  var productWorkspaceSize: Int {
    guard let activations else { return 0 }
    return activations.granularity == .row ? aligned(rows * weights.shape.out_c * 4) : 2 * constantsSize
  }

  // MARK: - Calls

  /// - Parameters:
  ///   - from: the address of x [rows, k] when the calls run.
  ///   - to: the address of the result [rows, n] when the calls run.
  func calls(
    _ memory: Memory, workspace: UnsafeMutableRawPointer, from: @escaping () -> UnsafePointer<Float>,
    to: @escaping () -> UnsafeMutablePointer<Float>
  ) -> [Call] {
    guard let activations else { return [floatCall(memory, from: from, to: to)] }
    let quantized = QuantizedRows(rows: rows, columns: weights.shape.in_c, activations)
    return quantized.calls(memory, from: from, to: { workspace })
      + calls(memory, workspace: workspace + quantizedSize, quantized: { workspace }, to: to)
  }

  /// The same for rows that are quantized already: `quantized` is the address of a ``QuantizedRows``.
  func calls(
    _ memory: Memory, workspace: UnsafeMutableRawPointer, quantized: @escaping () -> UnsafeMutableRawPointer,
    to: @escaping () -> UnsafeMutablePointer<Float>
  ) -> [Call] {
    let layout = QuantizedRows(rows: rows, columns: weights.shape.in_c, activations!)
    let constants = weights.constants()
    let (channels, rows) = (weights.shape.out_c, rows)
    let kernels = memory.kernels
    let range = activation?.range ?? -.infinity...(.infinity)
    var epilogue = octet_epilogue()
    (epilogue.lower, epilogue.upper) = (range.lowerBound, range.upperBound)
    epilogue.bias = UnsafePointer(constants.bias)

    if layout.activations.granularity == .tensor {
      let initial = workspace.assumingMemoryBound(to: Int32.self)
      let scale = (workspace + constantsSize).assumingMemoryBound(to: Float.self)
      epilogue.output = OCTET_OUTPUT_FLOAT32
      (epilogue.initial, epilogue.scale) = (UnsafePointer(initial), UnsafePointer(scale))
      let padded = weights.paddedChannels
      let prepare = Call { _, _ in
        let base = quantized()
        kernels.scale_channels(
          constants.sums, constants.scale, padded, layout.scales(base)[0], layout.zeroPoints(base)[0], initial, scale)
      }
      return [prepare, gemm(memory, epilogue, keeping: constants, from: quantized) { UnsafeMutableRawPointer(to()) }]
    }
    let sums = workspace.assumingMemoryBound(to: Int32.self)
    epilogue.output = OCTET_OUTPUT_INT32
    epilogue.initial = UnsafePointer(constants.zeros)
    epilogue.scale = UnsafePointer(constants.scale)
    let finish = memory.parts(rows, cost: channels * 8) { part in
      let base = quantized()
      kernels.scale_rows(
        sums + part.lowerBound * channels, part.count, channels, layout.scales(base) + part.lowerBound,
        layout.zeroPoints(base) + part.lowerBound, constants.sums, constants.scale, constants.bias, range.lowerBound,
        range.upperBound, to() + part.lowerBound * channels)
    }
    return [gemm(memory, epilogue, keeping: constants, from: quantized) { UnsafeMutableRawPointer(sums) }, finish]
  }

  private func floatCall(
    _ memory: Memory, from: @escaping () -> UnsafePointer<Float>, to: @escaping () -> UnsafeMutablePointer<Float>
  ) -> Call {
    let constants = weights.constants()
    let range = activation?.range ?? -.infinity...(.infinity)
    var epilogue = octet_epilogue()
    epilogue.output = OCTET_OUTPUT_FLOAT32
    (epilogue.lower, epilogue.upper) = (range.lowerBound, range.upperBound)
    epilogue.initial = UnsafePointer(constants.zeros)
    epilogue.scale = UnsafePointer(constants.scale)
    epilogue.bias = UnsafePointer(constants.bias)
    return gemm(
      memory, epilogue, keeping: constants, from: { UnsafeMutableRawPointer(mutating: from()) },
      to: { UnsafeMutableRawPointer(to()) })
  }

  private func gemm(
    _ memory: Memory, _ epilogue: octet_epilogue, keeping constants: ChannelConstants,
    from: @escaping () -> UnsafeMutableRawPointer, to: @escaping () -> UnsafeMutableRawPointer
  ) -> Call {
    var shape = self.shape
    let (family, packed) = (family, weights.packed)
    if rows == 0 { return Call(items: 0) { _, _ in } }
    let tasks = octet_conv_tasks(family, &shape, 1, memory.shapes.threads)
    let items = memory.shapes.threads == 1 ? 1 : min(tasks, memory.shapes.threads * 4)
    return Call(items: items) { [shape] item, worker in
      var (shape, epilogue) = (shape, epilogue)
      withExtendedLifetime(constants) {
        octet_conv_run(
          family, &shape, 1, from(), 0, packed.base, &epilogue, to(), tasks, tasks * item / items,
          tasks * (item + 1) / items, memory.scratch(worker))
      }
    }
  }
}

/// Rows in uint8, followed by the scales and the zero points of the tensor or of each row.
struct QuantizedRows {
  let rows: Int
  let columns: Int
  let activations: Op.DynamicQuantize

  init(rows: Int, columns: Int, _ activations: Op.DynamicQuantize) {
    self.rows = rows
    self.columns = columns
    self.activations = activations
  }

  private var parameterCount: Int { activations.granularity == .row ? rows : 1 }

  static func byteCount(_ rows: Int, _ columns: Int, _ activations: Op.DynamicQuantize) -> Int {
    let rows = QuantizedRows(rows: rows, columns: columns, activations)
    return aligned(rows.rows * columns) + 2 * aligned(4 * rows.parameterCount)
  }

  func scales(_ base: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
    (base + aligned(rows * columns)).assumingMemoryBound(to: Float.self)
  }

  func zeroPoints(_ base: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Int32> {
    (base + aligned(rows * columns) + aligned(4 * parameterCount)).assumingMemoryBound(to: Int32.self)
  }

  /// Quantizes x [rows, columns].
  func calls(
    _ memory: Memory, from: @escaping () -> UnsafePointer<Float>, to: @escaping () -> UnsafeMutableRawPointer
  ) -> [Call] {
    let (count, columns, quantMax) = (rows * columns, columns, activations.quantMax)
    let kernels = memory.kernels
    if count == 0 {
      // Nothing to quantize, but parameters that somebody may read.
      return [
        Call { _, _ in
          for row in 0..<parameterCount { (scales(to())[row], zeroPoints(to())[row]) = (1, 0) }
        }
      ]
    }
    if activations.granularity == .row {
      let call = memory.parts(rows, cost: columns * 6) { part in
        let (x, base) = (from() + part.lowerBound * columns, to())
        let bytes = base.assumingMemoryBound(to: UInt8.self) + part.lowerBound * columns
        let (scales, zeros) = (scales(base) + part.lowerBound, zeroPoints(base) + part.lowerBound)
        if quantMax == 255 {
          kernels.quantize_rows(x, part.count, columns, bytes, scales, zeros)
          return
        }
        for row in 0..<part.count {
          let parameters = DynamicParameters(of: x + row * columns, count: columns, quantMax: quantMax)
          parameters.quantize(x + row * columns, count: columns, into: bytes + row * columns)
          (scales[row], zeros[row]) = (parameters.scale, Int32(parameters.zeroPoint))
        }
      }
      return [call]
    }
    func store(_ parameters: DynamicParameters, _ base: UnsafeMutableRawPointer) {
      (scales(base)[0], zeroPoints(base)[0]) = (parameters.scale, Int32(parameters.zeroPoint))
    }
    let parts = max(1, min(memory.shapes.threads, count / 8192))
    if parts == 1 {
      let call = Call { _, _ in
        let (x, base) = (from(), to())
        let parameters = DynamicParameters(of: x, count: count, quantMax: quantMax)
        parameters.quantize(x, count: count, into: base.assumingMemoryBound(to: UInt8.self))
        store(parameters, base)
      }
      return [call]
    }
    // Every part finds its extremes; then every part reads those of all.
    let extremes = PartExtremes(parts)
    let observe = Call(items: parts) { part, _ in
      let first = count * part / parts
      var found = (minimum: Float.infinity, maximum: -Float.infinity)
      var (infinities, nans) = (0, 0)
      kernels.min_max(
        from() + first, count * (part + 1) / parts - first, &found.minimum, &found.maximum, &infinities, &nans)
      extremes[part] = found
    }
    let quantize = Call(items: parts) { part, _ in
      let (first, base) = (count * part / parts, to())
      let (minimum, maximum) = extremes.all
      let parameters = DynamicParameters(minimum: minimum, maximum: maximum, quantMax: quantMax)
      parameters.quantize(
        from() + first, count: count * (part + 1) / parts - first,
        into: base.assumingMemoryBound(to: UInt8.self) + first)
      if part == 0 { store(parameters, base) }
    }
    return [observe, quantize]
  }
}

/// The extremes that parts of a tensor have, each on a cache line of its own.
private final class PartExtremes {
  private static let stride = 8
  private let storage: UnsafeMutablePointer<(minimum: Float, maximum: Float)>
  private let parts: Int

  init(_ parts: Int) {
    self.parts = parts
    storage = .allocate(capacity: parts * Self.stride)
    storage.initialize(repeating: (.infinity, -.infinity), count: parts * Self.stride)
  }

  deinit { storage.deallocate() }

  subscript(part: Int) -> (minimum: Float, maximum: Float) {
    get { storage[part * Self.stride] }
    set { storage[part * Self.stride] = newValue }
  }

  var all: (minimum: Float, maximum: Float) {
    (0..<parts).reduce((.infinity, -.infinity)) { (min($0.0, self[$1].minimum), max($0.1, self[$1].maximum)) }
  }
}

/// Up to whole cache lines.
func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
