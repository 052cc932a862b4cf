/// The type of a tensor's elements.
public enum DType: String, Hashable, Sendable, Codable, CaseIterable {
  case float32, float16
  case uint8, int8, uint16, int16
  /// Two elements to a byte, the first one in the low half.
  case uint4, int4
  case int32, int64
  case bool

  /// Bits of one element in memory.
  public var bitWidth: Int {
    switch self {
    case .uint4, .int4: 4
    case .uint8, .int8, .bool: 8
    case .float16, .uint16, .int16: 16
    case .float32, .int32: 32
    case .int64: 64
    }
  }

  /// Bytes that `count` elements take (packed types round up to whole bytes).
  public func byteCount(of count: Int) -> Int { (count * bitWidth + 7) / 8 }

  /// The whole range of an integer type that values can be quantized to; `nil` for all others.
  public var quantizedRange: ClosedRange<Int>? {
    switch self {
    case .uint4: 0...15
    case .int4: -8...7
    case .uint8: 0...255
    case .int8: -128...127
    case .uint16: 0...65535
    case .int16: -32768...32767
    case .float32, .float16, .int32, .int64, .bool: nil
    }
  }
}

/// A Swift type whose values are a tensor's elements.
public protocol TensorScalar: Sendable {
  static var dtype: DType { get }
}

extension Float: TensorScalar { public static var dtype: DType { .float32 } }
extension UInt8: TensorScalar { public static var dtype: DType { .uint8 } }
extension Int8: TensorScalar { public static var dtype: DType { .int8 } }
extension UInt16: TensorScalar { public static var dtype: DType { .uint16 } }
extension Int16: TensorScalar { public static var dtype: DType { .int16 } }
extension Int32: TensorScalar { public static var dtype: DType { .int32 } }
extension Int64: TensorScalar { public static var dtype: DType { .int64 } }
extension Bool: TensorScalar { public static var dtype: DType { .bool } }
