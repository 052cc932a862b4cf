import Foundation
import OctetCore
import Testing

/// Files that NumPy and safetensors wrote (scripts/vectors/make_format_fixtures.py).
enum Fixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures").path

  static func path(_ name: String) -> String { folder + "/" + name }

  static func bytes(_ name: String) throws -> [UInt8] { try contents(of: path(name)) }

  static func names(suffix: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(suffix) }.sorted()
  }

  /// What the script put into a tensor of this name, as the type in which Octet reads it.
  static func expected(_ name: String, count: Int) -> (dtype: DType, elements: [Double]) {
    let pattern = (0..<count).map { Double((37 * $0 + 11) % 251) }
    switch name {
    case "float32", "float64", "bfloat16", "scalar", "empty": return (.float32, pattern.map { ($0 - 125) / 8 })
    case "float16": return (.float16, pattern.map { ($0 - 125) / 8 })
    case "bool": return (.bool, pattern.map { $0.truncatingRemainder(dividingBy: 2) })
    case "int8": return (.int8, pattern.map { $0 - 125 })
    case "int16": return (.int16, pattern.map { $0 - 125 })
    case "int32": return (.int32, pattern.map { ($0 - 125) * 1001 })
    case "int64": return (.int64, pattern.map { ($0 - 125) * 1001 })
    case "uint8": return (.uint8, pattern)
    case "uint16": return (.uint16, pattern)
    case "uint32", "uint64": return (.int64, pattern.map { $0 * 1001 })
    default: return (.float32, [Double](repeating: 0, count: count))
    }
  }

  static func shape(_ name: String) -> [Int] {
    switch name {
    case "scalar": []
    case "empty": [0, 3]
    case "zeros": [64, 64]
    default: [2, 3, 4]
    }
  }

  /// Checks a tensor against what the script put into it.
  static func check(_ tensor: Tensor, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let expected = expected(name, count: shape(name).reduce(1, *))
    #expect(tensor.shape == shape(name), "\(name)", sourceLocation: sourceLocation)
    #expect(tensor.dtype == expected.dtype, "\(name)", sourceLocation: sourceLocation)
    #expect(try elements(of: tensor) == expected.elements, "\(name)", sourceLocation: sourceLocation)
  }
}

/// A tensor's elements, whatever their type, one by one.
func elements(of tensor: Tensor) throws -> [Double] {
  let bytes = bytes(of: tensor)
  func integer(_ i: Int, width: Int) -> UInt64 {
    (0..<width).reduce(0) { $0 | UInt64(bytes[i * width + $1]) << (8 * $1) }
  }
  return try (0..<tensor.count).map { i in
    switch tensor.dtype {
    case .float32: Double(Float(bitPattern: UInt32(integer(i, width: 4))))
    case .float16: half(UInt16(integer(i, width: 2)))
    case .uint8, .bool: Double(bytes[i])
    case .int8: Double(Int8(bitPattern: bytes[i]))
    case .uint16: Double(integer(i, width: 2))
    case .int16: Double(Int16(truncatingIfNeeded: integer(i, width: 2)))
    case .int32: Double(Int32(truncatingIfNeeded: integer(i, width: 4)))
    case .int64: Double(Int64(truncatingIfNeeded: integer(i, width: 8)))
    case .uint4: Double((bytes[i / 2] >> (4 * (i % 2))) & 15)
    case .int4: Double(Int8(bitPattern: (bytes[i / 2] >> (4 * (i % 2))) << 4) >> 4)
    }
  }
}

/// A normal half-precision number.
private func half(_ bits: UInt16) -> Double {
  let sign: Double = bits >> 15 == 1 ? -1 : 1
  let exponent = Int(bits >> 10 & 31)
  guard exponent > 0 else { return sign * Double(bits & 1023) / 0x1p24 }
  return sign * (1 + Double(bits & 1023) / 1024) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
}

func bytes(of tensor: Tensor) -> [UInt8] { tensor.withUnsafeBytes { Array($0) } }

/// A tensor with the given bytes.
func tensor(_ bytes: [UInt8], _ dtype: DType, _ shape: [Int]) throws -> Tensor {
  var tensor = try Tensor(zeros: shape, dtype: dtype)
  tensor.withUnsafeMutableBytes { $0.copyBytes(from: bytes) }
  return tensor
}

/// Tensors of every element type and of shapes at the edges.
func tensorsOfEveryKind(packed: Bool) throws -> [String: Tensor] {
  var tensors: [String: Tensor] = [:]
  for dtype in DType.allCases where packed || dtype.bitWidth >= 8 {
    for shape in [[3, 5], [], [0], [4, 0, 2], [1, 1, 7]] {
      let count = dtype.byteCount(of: shape.reduce(1, *))
      let values = (0..<count).map { dtype == .bool ? UInt8($0 % 2) : UInt8(truncatingIfNeeded: 89 * $0 + 200) }
      tensors["\(dtype.rawValue)/\(shape)"] = try tensor(values, dtype, shape)
    }
  }
  return tensors
}

func expectEqual(
  _ found: [String: Tensor], _ expected: [String: Tensor], sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(found.keys.sorted() == expected.keys.sorted(), sourceLocation: sourceLocation)
  for (name, tensor) in expected {
    #expect(found[name]?.type == tensor.type, "\(name)", sourceLocation: sourceLocation)
    #expect(found[name].map(bytes(of:)) == bytes(of: tensor), "\(name)", sourceLocation: sourceLocation)
  }
}

/// A folder that is gone after `body`.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(path: "octet-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

func contents(of path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path))) }

/// Writes in place, as a damaged file comes about.
func put(_ bytes: [UInt8], at path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }

/// Runs `read` on a file of these bytes and expects an error of this code whose subject ends so.
func expectError(
  _ code: OctetError.Code, _ field: String, reading bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation,
  _ read: (String) throws -> Void
) throws {
  try withTemporaryFolder { folder in
    let path = folder + "/damaged"
    try put(bytes, at: path)
    let error = #expect(throws: OctetError.self, sourceLocation: sourceLocation) { try read(path) }
    #expect(error?.code == code, "\(String(describing: error))", sourceLocation: sourceLocation)
    #expect(error?.subject.hasPrefix(path) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
    #expect(error?.subject.hasSuffix(field) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
  }
}
