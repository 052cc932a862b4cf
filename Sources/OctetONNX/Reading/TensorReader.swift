import Foundation
import OctetCore

/// Makes tensors of the file's tensors: raw bytes, typed fields or bytes in another file.
struct TensorReader {
  let externalData: ExternalData?

  /// - Throws: `OctetError`: `invalidFile` if its parts contradict one another, `unsupported` for an element type that we
  ///   have nothing for.
  func tensor(_ proto: Onnx_TensorProto, _ subject: String) throws -> Tensor {
    try naming(subject) {
      let element = try ElementType(number: Int(proto.dataType), "data_type")
      let dtype = try element.requireDType("data_type")
      guard !proto.hasSegment else {
        throw OctetError(.unsupported, "segment", expected: "tensors in one piece", found: "a segment")
      }
      let shape = proto.dims.map { Int($0) }
      try TensorType(dtype, fixed: shape).requireSensible("dims")
      let count = elementCount(of: shape)
      let byteCount = (count * element.bitWidth + 7) / 8
      if proto.dataLocation == .external {
        guard let externalData else {
          throw OctetError(.unsupported, "external_data", expected: "a model in a folder", found: "one in memory")
        }
        return try externalData.withBytes(of: proto, count: byteCount) { bytes, file in
          if element.isStoredAsIs, let base = bytes.baseAddress, count > 0,
            Int(bitPattern: base).isMultiple(of: element.bitWidth / 8)
          {
            return Tensor(storage: TensorStorage(borrowing: bytes, from: file), shape: shape, dtype: dtype)
          }
          return try element.tensor(bytes, shape)
        }
      }
      if proto.hasRawData {
        guard proto.rawData.count == byteCount else {
          throw OctetError(
            .invalidFile, "raw_data", expected: "\(byteCount) bytes for \(element) \(shape)",
            found: "\(proto.rawData.count)")
        }
        return try proto.rawData.withUnsafeBytes { try element.tensor($0, shape) }
      }
      return try typed(proto, element, shape, count)
    }
  }

  private func typed(_ proto: Onnx_TensorProto, _ element: ElementType, _ shape: [Int], _ count: Int) throws -> Tensor {
    func check(_ found: Int, _ field: String, _ expected: Int? = nil) throws {
      guard found == expected ?? count else {
        throw OctetError(
          .invalidFile, field, expected: "\(expected ?? count) elements for \(element) \(shape)", found: "\(found)")
      }
    }
    func narrow<T: TensorScalar & FixedWidthInteger>(_: T.Type) throws -> Tensor {
      try check(proto.int32Data.count, "int32_data")
      return try Tensor(
        proto.int32Data.map { value in
          guard let narrow = T(exactly: value) else {
            throw OctetError(.invalidFile, "int32_data", expected: "numbers of \(element)", found: "\(value)")
          }
          return narrow
        }, shape: shape)
    }
    func halves(_ value: (UInt16) -> Float) throws -> Tensor {
      try check(proto.int32Data.count, "int32_data")
      return try Tensor(proto.int32Data.map { value(UInt16(truncatingIfNeeded: $0)) }, shape: shape)
    }
    func wide() throws -> Tensor {
      try check(proto.uint64Data.count, "uint64_data")
      return try Tensor(proto.uint64Data.map(fittingInt64), shape: shape)
    }
    switch element {
    case .float:
      try check(proto.floatData.count, "float_data")
      return try Tensor(proto.floatData, shape: shape)
    case .double:
      try check(proto.doubleData.count, "double_data")
      return try Tensor(proto.doubleData.map { Float($0) }, shape: shape)
    case .int64:
      try check(proto.int64Data.count, "int64_data")
      return try Tensor(proto.int64Data, shape: shape)
    case .uint64, .uint32: return try wide()
    case .int32: return try narrow(Int32.self)
    case .int16: return try narrow(Int16.self)
    case .int8: return try narrow(Int8.self)
    case .uint16: return try narrow(UInt16.self)
    case .uint8: return try narrow(UInt8.self)
    case .bool:
      try check(proto.int32Data.count, "int32_data")
      return try Tensor(proto.int32Data.map { $0 != 0 }, shape: shape)
    case .float16: return try halves(float(half:))
    case .bfloat16: return try halves { Float(bitPattern: UInt32($0) << 16) }
    case .uint4, .int4:
      let bytes = (count + 1) / 2
      try check(proto.int32Data.count, "int32_data", bytes)
      return try proto.int32Data.map { UInt8(truncatingIfNeeded: $0) }.withUnsafeBytes {
        try element.tensor($0, shape)
      }
    case .string, .complex64, .complex128, .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float4e2m1,
      .float8e8m0:
      throw OctetError(.unsupported, "data_type", expected: "numbers or truth values", found: "\(element)")
    }
  }
}

extension ElementType {
  /// Whether the bytes of a file are those of our tensors, on a little-endian machine.
  fileprivate var isStoredAsIs: Bool {
    switch self {
    case .float, .uint8, .int8, .uint16, .int16, .int32, .int64: true
    default: false
    }
  }

  /// The tensor of elements that lie one after another, little-endian; the number of bytes has been checked.
  fileprivate func tensor(_ bytes: UnsafeRawBufferPointer, _ shape: [Int]) throws -> Tensor {
    func convert<Source: FixedWidthInteger, Target: TensorScalar>(
      _: Source.Type, _ converted: (Source) throws -> Target
    ) throws -> Tensor {
      try Tensor(
        (0..<elementCount(of: shape)).map { index in
          let source = bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Source>.size, as: Source.self)
          return try converted(Source(littleEndian: source))
        }, shape: shape)
    }
    switch self {
    case .float16: return try convert(UInt16.self, float(half:))
    case .bfloat16: return try convert(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
    case .double: return try convert(UInt64.self) { Float(Double(bitPattern: $0)) }
    case .uint32: return try convert(UInt32.self) { Int64($0) }
    case .uint64: return try convert(UInt64.self, fittingInt64)
    case .bool: return try convert(UInt8.self) { $0 != 0 }
    default:
      var tensor = Tensor(uninitialized: shape, dtype: try requireDType("data_type"))
      tensor.withUnsafeMutableBytes { $0.copyMemory(from: bytes) }
      return tensor
    }
  }
}

private func fittingInt64(_ value: UInt64) throws -> Int64 {
  guard let fitting = Int64(exactly: value) else {
    throw OctetError(.unsupported, "elements", expected: "integers that fit int64", found: "\(value)")
  }
  return fitting
}

/// The number that these bits of an IEEE half-precision number stand for.
private func float(half bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10 & 0x1F)
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0: return Float(bitPattern: sign | (Float(fraction) * 0x1p-24).bitPattern)
  case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}
