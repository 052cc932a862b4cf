import OctetCore

/// The type of the elements in a file: one of ours, or one that becomes one of ours when it is read.
enum StoredElement: Equatable {
  case same(DType)
  /// → float32, rounded to nearest.
  case float64
  /// → float32, exactly.
  case bfloat16
  /// → int64.
  case uint32
  /// → int64; larger values are an error.
  case uint64

  /// The type of the elements of the tensor.
  var dtype: DType {
    switch self {
    case .same(let dtype): dtype
    case .float64, .bfloat16: .float32
    case .uint32, .uint64: .int64
    }
  }

  var byteWidth: Int {
    switch self {
    case .same(let dtype): dtype.bitWidth / 8
    case .float64, .uint64: 8
    case .uint32: 4
    case .bfloat16: 2
    }
  }

  /// Bytes of a tensor of this shape in the file; `nil` for a negative or absurdly large dimension.
  func byteCount(of shape: [Int]) -> Int? {
    checkedElementCount(of: shape).map { $0 * byteWidth }
  }

  /// The tensor whose elements are `bytes` in row-major order. It borrows them from `owner` if they are of one of our
  /// types and lie where such elements may lie, and copies them otherwise.
  ///
  /// `bytes` holds `byteCount(of: shape)` bytes.
  ///
  /// - Throws: `OctetError` (`invalidFile`) for a truth value other than 0 and 1 and for an integer beyond int64.
  func tensor(_ bytes: UnsafeRawBufferPointer, shape: [Int], from owner: AnyObject) throws -> Tensor {
    switch self {
    case .same(let dtype):
      if dtype == .bool { try checkTruthValues(bytes) }
      guard let base = bytes.baseAddress, bytes.count > 0, Int(bitPattern: base).isMultiple(of: byteWidth) else {
        return try copy(bytes, shape: shape, dtype: dtype)
      }
      return Tensor(storage: TensorStorage(borrowing: bytes, from: owner), shape: shape, dtype: dtype)
    case .float64:
      return try convert(bytes, from: UInt64.self, to: Float.self, shape: shape) { Float(Double(bitPattern: $0)) }
    case .bfloat16:
      return try convert(bytes, from: UInt16.self, to: Float.self, shape: shape) {
        Float(bitPattern: UInt32($0) << 16)
      }
    case .uint32:
      return try convert(bytes, from: UInt32.self, to: Int64.self, shape: shape) { Int64($0) }
    case .uint64:
      return try convert(bytes, from: UInt64.self, to: Int64.self, shape: shape) {
        guard let value = Int64(exactly: $0) else {
          throw OctetError(.invalidFile, "elements", expected: "integers that fit int64", found: "\($0)")
        }
        return value
      }
    }
  }

  private func copy(_ bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) throws -> Tensor {
    var tensor = try Tensor(zeros: shape, dtype: dtype)
    tensor.withUnsafeMutableBytes { $0.copyMemory(from: bytes) }
    return tensor
  }

  private func convert<Source: FixedWidthInteger, Target: TensorScalar>(
    _ bytes: UnsafeRawBufferPointer, from: Source.Type, to: Target.Type, shape: [Int],
    _ converted: (Source) throws -> Target
  ) throws -> Tensor {
    var tensor = try Tensor(zeros: shape, dtype: Target.dtype)
    try tensor.withUnsafeMutableScalars(as: Target.self) { targets in
      for i in targets.indices {
        let source = bytes.loadUnaligned(fromByteOffset: i * MemoryLayout<Source>.size, as: Source.self)
        targets[i] = try converted(Source(littleEndian: source))
      }
    }
    return tensor
  }

  /// A Swift `Bool` in memory is 0 or 1; anything else must not be read as one.
  private func checkTruthValues(_ bytes: UnsafeRawBufferPointer) throws {
    if let wrong = bytes.first(where: { $0 > 1 }) {
      throw OctetError(.invalidFile, "elements", expected: "truth values 0 and 1", found: "\(wrong)")
    }
  }
}

/// Copies elements that lie in column-major order (`order='F'`) into row-major order.
///
/// - Parameter width: bytes of an element: 1, 2, 4 or 8.
func copyToRowMajor(
  _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, shape: [Int], width: Int
) {
  func copy<Element: FixedWidthInteger>(as _: Element.Type) {
    // Without axes of size 1, which change nothing, no shape has more than a few dozen.
    let shape = shape.filter { $0 != 1 }
    var strides: [Int] = []
    var stride = width
    for size in shape {
      strides.append(stride)
      stride *= size
    }
    var index = [Int](repeating: 0, count: shape.count)
    var offset = 0
    for position in Swift.stride(from: 0, to: target.count, by: width) {
      target.storeBytes(
        of: source.loadUnaligned(fromByteOffset: offset, as: Element.self), toByteOffset: position, as: Element.self)
      // The next index in row-major order: the last axis counts fastest.
      for axis in shape.indices.reversed() {
        index[axis] += 1
        offset += strides[axis]
        if index[axis] < shape[axis] { break }
        offset -= strides[axis] * shape[axis]
        index[axis] = 0
      }
    }
  }
  switch width {
  case 1: copy(as: UInt8.self)
  case 2: copy(as: UInt16.self)
  case 4: copy(as: UInt32.self)
  default: copy(as: UInt64.self)
  }
}
