import OctetCore

/// How the elements of a slot lie in memory.
enum Layout: Hashable {
  /// In the order of the value's shape.
  case rowMajor
  /// A value [n, c, h, w] as n · h · w · c, a value [n, c, l] as n · l · c.
  case nhwc
  /// A value [n, c·h·w] whose rows lie as h · w · c.
  case flattened(channels: Int, pixels: Int)
}

/// A value of the plan: where the result of a step goes. Its memory is assigned for each shape that runs.
struct Slot {
  /// The value of the graph whose shape it has.
  let value: String
  /// Elements in memory; activations in integers are always uint8.
  let dtype: DType
  let layout: Layout
  /// What the bytes stand for.
  let quantization: ActivationQuantization?
  /// How they were quantized if their parameters follow them in memory (``QuantizedRows``).
  let dynamic: Op.DynamicQuantize?
  /// The slot whose memory this one shares; its own index otherwise.
  let root: Int
}

/// The parameters of an activation in integers: one scale, and bytes without sign.
///
/// Signed integers are stored plus 128, with the zero point plus 128: the real values are the same.
struct ActivationQuantization: Hashable {
  let scale: Float
  /// As stored.
  let zero: Int
  /// The stored bytes in use.
  let range: ClosedRange<Int>

  /// `nil` if the engine's kernels do not know such parameters.
  init?(_ parameters: QuantizationParameters) {
    guard parameters.isPerTensor, parameters.dtype == .uint8 || parameters.dtype == .int8 else { return nil }
    let shift = parameters.dtype == .int8 ? 128 : 0
    scale = parameters.scales[0]
    zero = parameters.zeroPoints[0] + shift
    range = parameters.range.lowerBound + shift...parameters.range.upperBound + shift
  }

  /// Integers of the graph as they are stored.
  func storedBytes(_ integers: Tensor) throws -> [UInt8] {
    integers.dtype == .uint8
      ? try integers.scalars(as: UInt8.self) : try integers.scalars(as: Int8.self).map { UInt8(bitPattern: $0) ^ 128 }
  }

  /// The range of an epilogue: integers minus the zero point, as narrow as an activation makes it.
  func bounds(_ activation: ClosedRange<Float>? = nil) -> (lower: Float, upper: Float) {
    let lower = Float(range.lowerBound - zero)
    let upper = Float(range.upperBound - zero)
    guard let activation else { return (lower, upper) }
    return (
      min(max(lower, activation.lowerBound / scale), upper), max(min(upper, activation.upperBound / scale), lower)
    )
  }
}
