import OctetCore

/// ONNX's element types (`TensorProto.DataType`).
enum ElementType: Int {
  case float = 1
  case uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64
  case complex64, complex128, bfloat16, float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz
  case uint4, int4, float4e2m1, float8e8m0

  /// What tensors of this type become, exactly or as near as we can; `nil` for types that have no such thing.
  var dtype: DType? {
    switch self {
    case .float, .float16, .double, .bfloat16: .float32
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .int32: .int32
    case .int64, .uint32, .uint64: .int64
    case .bool: .bool
    case .uint4: .uint4
    case .int4: .int4
    case .string, .complex64, .complex128, .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz,
      .float4e2m1, .float8e8m0:
      nil
    }
  }

  /// Bits of an element in a file.
  var bitWidth: Int {
    switch self {
    case .uint4, .int4, .float4e2m1: 4
    case .uint8, .int8, .bool, .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0, .string: 8
    case .uint16, .int16, .float16, .bfloat16: 16
    case .float, .int32, .uint32: 32
    case .double, .int64, .uint64, .complex64: 64
    case .complex128: 128
    }
  }

  /// The type of this number.
  ///
  /// - Throws: `OctetError`: `invalidFile` if there is no such type.
  init(number: Int, _ subject: String) throws {
    guard let type = ElementType(rawValue: number) else {
      throw OctetError(.invalidFile, subject, expected: "an element type", found: "number \(number)")
    }
    self = type
  }

  /// What tensors of this type become.
  ///
  /// - Throws: `OctetError`: `unsupported` if they have no place here.
  func requireDType(_ subject: String) throws -> DType {
    guard let dtype else {
      throw OctetError(.unsupported, subject, expected: "numbers or truth values", found: "elements of type \(self)")
    }
    return dtype
  }
}
