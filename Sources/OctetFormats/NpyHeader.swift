import OctetCore

/// The beginning of an npy file: magic, version, length, and a dictionary in Python's notation that says what follows,
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
struct NpyHeader {
  let element: StoredElement
  let isColumnMajor: Bool
  let shape: [Int]
  /// Bytes before the elements.
  let byteCount: Int
  /// Bytes of the elements.
  let dataByteCount: Int

  /// Headers are a few dozen bytes; those of version 1 cannot be longer than this, and no other needs to be.
  static let largestByteCount = 10 + 0xFFFF
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// Reads the header at the beginning of `bytes`, which may end anywhere after it.
  ///
  /// - Throws: `OctetError`: `invalidFile` if it is malformed; `unsupported` for big-endian or other element types.
  init(_ bytes: UnsafeRawBufferPointer) throws {
    guard let magic = bytes.slice(at: 0, count: 6), magic.elementsEqual(Self.magic) else {
      throw OctetError(.invalidFile, "magic", expected: "\\x93NUMPY", found: "other bytes")
    }
    guard let major = bytes.integer(at: 6, as: UInt8.self), (1...3).contains(major) else {
      throw OctetError(
        .invalidFile, "version", expected: "1, 2 or 3",
        found: bytes.integer(at: 6, as: UInt8.self).map(String.init) ?? "the end of the file")
    }
    let short = major == 1
    let length =
      short ? bytes.integer(at: 8, as: UInt16.self).map(Int.init) : bytes.integer(at: 8, as: UInt32.self).map(Int.init)
    let start = short ? 10 : 12
    guard let length, start + length <= Self.largestByteCount, let text = bytes.slice(at: start, count: length) else {
      throw OctetError(
        .invalidFile, "header length", expected: "at most \(min(bytes.count, Self.largestByteCount)) bytes",
        found: length.map(String.init) ?? "the end of the file")
    }
    byteCount = start + length
    var scanner = NpyHeaderScanner(text)
    let fields = try scanner.fields()
    shape = fields.shape
    isColumnMajor = fields.isColumnMajor
    element = try Self.element(of: fields.description)
    guard let dataByteCount = element.byteCount(of: shape) else {
      throw OctetError(
        .invalidFile, "shape", expected: "dimensions from 0 to a sensible size", found: excerpt("\(shape.prefix(32))"))
    }
    self.dataByteCount = dataByteCount
  }

  private static func element(of description: String) throws -> StoredElement {
    switch description {
    case "<f4": return .same(.float32)
    case "<f2": return .same(.float16)
    case "|u1", "<u1": return .same(.uint8)
    case "|i1", "<i1": return .same(.int8)
    case "<u2": return .same(.uint16)
    case "<i2": return .same(.int16)
    case "<i4": return .same(.int32)
    case "<i8": return .same(.int64)
    case "|b1", "<b1": return .same(.bool)
    case "<f8": return .float64
    case "<u4": return .uint32
    case "<u8": return .uint64
    default:
      let isBigEndian = description.hasPrefix(">")
      throw OctetError(
        .unsupported, "descr", expected: "little-endian <f2 <f4 <f8, |i1 <i2 <i4 <i8, |u1 <u2 <u4 <u8 or |b1",
        found: excerpt(description) + (isBigEndian ? " (big-endian)" : ""))
    }
  }

  /// The header of a tensor, version 1, filled up so that the elements begin at a multiple of 64 bytes.
  ///
  /// - Throws: `OctetError`: `unsupported` for 4-bit elements, which npy does not have; `notTraceable` for a traced
  ///   tensor; `invalidArgument` for a shape of thousands of dimensions.
  static func bytes(of tensor: Tensor) throws -> [UInt8] {
    try tensor.requireConcrete("its elements")
    return try bytes(tensor.dtype, tensor.shape)
  }

  /// The header of a tensor of this type and shape.
  static func bytes(_ dtype: DType, _ shape: [Int]) throws -> [UInt8] {
    let description =
      switch dtype {
      case .float32: "<f4"
      case .float16: "<f2"
      case .uint8: "|u1"
      case .int8: "|i1"
      case .uint16: "<u2"
      case .int16: "<i2"
      case .int32: "<i4"
      case .int64: "<i8"
      case .bool: "|b1"
      case .uint4, .int4:
        throw OctetError(
          .unsupported, "dtype", expected: "an element type that npy has (safetensors keeps 4-bit types)",
          found: dtype.rawValue)
      }
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = Array("{'descr': '\(description)', 'fortran_order': False, 'shape': (\(sizes)), }".utf8)
    let unpadded = 10 + text.count + 1
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (64 - unpadded % 64) % 64))
    text.append(UInt8(ascii: "\n"))
    guard let length = UInt16(exactly: text.count) else {
      throw OctetError(.invalidArgument, "shape", expected: "few dimensions", found: "\(shape.count)")
    }
    var header = magic + [1, 0]
    header.appendLittleEndian(length)
    return header + text
  }
}

/// Reads the dictionary of an npy header: three keys in any order, each once.
private struct NpyHeaderScanner {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func fields() throws -> (description: String, isColumnMajor: Bool, shape: [Int]) {
    var description: String?
    var isColumnMajor: Bool?
    var shape: [Int]?
    try expect("{")
    while !skip("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where description == nil: description = try string()
      case "fortran_order" where isColumnMajor == nil: isColumnMajor = try truthValue()
      case "shape" where shape == nil: shape = try tuple()
      default:
        throw OctetError(
          .invalidFile, "header", expected: "descr, fortran_order and shape, each once", found: excerpt(key))
      }
      guard skip(",") else {
        try expect("}")
        break
      }
    }
    skipWhiteSpace()
    guard position == bytes.count else { throw unexpected("the end") }
    guard let description, let isColumnMajor, let shape else {
      throw OctetError(
        .invalidFile, "header", expected: "descr, fortran_order and shape", found: "one of them missing")
    }
    return (description, isColumnMajor, shape)
  }

  /// A string without escapes, in either quotation mark.
  private mutating func string() throws -> String {
    skipWhiteSpace()
    guard let quote = peek, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
      // A structured type is a list.
      if peek == UInt8(ascii: "[") {
        throw OctetError(.unsupported, "descr", expected: "a plain element type", found: "a structured one")
      }
      throw unexpected("a string")
    }
    position += 1
    let start = position
    while let byte = peek, byte != quote, byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
    guard peek == quote, let text = String(validating: bytes[start..<position], as: UTF8.self) else {
      throw unexpected("a plain string")
    }
    position += 1
    return text
  }

  private mutating func truthValue() throws -> Bool {
    skipWhiteSpace()
    for (word, value) in [("True", true), ("False", false)] {
      if let found = bytes.slice(at: position, count: word.utf8.count), found.elementsEqual(word.utf8) {
        position += word.utf8.count
        return value
      }
    }
    throw unexpected("True or False")
  }

  private mutating func tuple() throws -> [Int] {
    try expect("(")
    var values: [Int] = []
    while !skip(")") {
      values.append(try integer())
      guard skip(",") else {
        try expect(")")
        break
      }
    }
    return values
  }

  private mutating func integer() throws -> Int {
    skipWhiteSpace()
    let start = position
    if peek == UInt8(ascii: "-") { position += 1 }
    while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    guard position - start <= 20, let value = Int(String(decoding: bytes[start..<position], as: UTF8.self)) else {
      position = start
      throw unexpected("an integer")
    }
    // Python 2 wrote long integers as 3L.
    if peek == UInt8(ascii: "L") { position += 1 }
    return value
  }

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipWhiteSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func skip(_ character: Unicode.Scalar) -> Bool {
    skipWhiteSpace()
    guard peek == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws {
    guard skip(character) else { throw unexpected("'\(character)'") }
  }

  private func unexpected(_ expected: String) -> OctetError {
    let next = bytes[min(position, bytes.count)..<min(position + 16, bytes.count)]
    let found = next.isEmpty ? "the end" : "'\(String(decoding: next, as: UTF8.self))'"
    return OctetError(.invalidFile, "header", expected: expected, found: "\(found) at byte \(position)")
  }
}
