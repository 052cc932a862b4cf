import OctetCore

/// Reads JSON whose form is known, strictly and in one pass: what stands in the header of a safetensors file.
///
/// A general parser would silently keep one of two equal keys, turn 1.5 and true into integers and build a tree many
/// times the size of a header of up to 100 MB.
struct JSONScanner {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Reads an object and calls `body` for each key, in order, with the scanner at the key's value.
  mutating func object(_ body: (inout JSONScanner, String) throws -> Void) throws {
    try expect("{")
    if skip("}") { return }
    repeat {
      let key = try string()
      try expect(":")
      try body(&self, key)
    } while skip(",")
    try expect("}", or: "','")
  }

  /// Reads an array of integers.
  mutating func integers() throws -> [Int] {
    try expect("[")
    if skip("]") { return [] }
    var values: [Int] = []
    repeat { values.append(try integer()) } while skip(",")
    try expect("]", or: "','")
    return values
  }

  /// Makes sure that nothing but white space follows.
  mutating func end() throws {
    skipWhiteSpace()
    guard position == bytes.count else { throw unexpected("the end") }
  }

  private mutating func integer() throws -> Int {
    skipWhiteSpace()
    let start = position
    if peek == UInt8(ascii: "-") { position += 1 }
    let firstDigit = position
    while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    let text = String(decoding: bytes[start..<min(position, start + 24)], as: UTF8.self)
    let leadingZero = position - firstDigit > 1 && bytes[firstDigit] == UInt8(ascii: "0")
    let isFraction = peek.map { "eE.".utf8.contains($0) } ?? false
    guard position > firstDigit, position - start <= 20, !leadingZero, !isFraction, let value = Int(text) else {
      position = start
      throw unexpected("an integer")
    }
    return value
  }

  mutating func string() throws -> String {
    try expect("\"", or: "a string")
    var decoded: [UInt8] = []
    var start = position
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        decoded.append(contentsOf: bytes[start..<position])
        position += 1
        guard let text = String(validating: decoded, as: UTF8.self) else {
          throw OctetError(.invalidFile, "header", expected: "UTF-8", found: "other bytes in a string at \(start)")
        }
        return text
      case UInt8(ascii: "\\"):
        decoded.append(contentsOf: bytes[start..<position])
        position += 1
        decoded.append(contentsOf: String(try escapedCharacter()).utf8)
        start = position
      case 0..<0x20:
        throw unexpected("no control character in a string")
      default:
        position += 1
      }
    }
    throw unexpected("the end of a string")
  }

  /// What follows a backslash.
  private mutating func escapedCharacter() throws -> Unicode.Scalar {
    guard let kind = peek else { throw unexpected("an escape") }
    position += 1
    switch Unicode.Scalar(kind) {
    case "\"", "\\", "/": return Unicode.Scalar(kind)
    case "b": return "\u{8}"
    case "f": return "\u{C}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "u":
      let unit = try codeUnit()
      // Beyond the basic plane: two units, a high and a low surrogate.
      if (0xD800..<0xDC00).contains(unit), peek == UInt8(ascii: "\\") {
        position += 1
        guard peek == UInt8(ascii: "u") else { throw unexpected("a low surrogate") }
        position += 1
        let low = try codeUnit()
        guard (0xDC00..<0xE000).contains(low) else { throw unexpected("a low surrogate") }
        return try scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
      }
      return try scalar(unit)
    default:
      position -= 1
      throw unexpected("an escape")
    }
  }

  private mutating func codeUnit() throws -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw unexpected("a hexadecimal digit")
      }
      unit = unit << 4 | UInt32(digit)
      position += 1
    }
    return unit
  }

  private func scalar(_ value: UInt32) throws -> Unicode.Scalar {
    guard let scalar = Unicode.Scalar(value) else { throw unexpected("no lone surrogate") }
    return scalar
  }

  // MARK: Bytes

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

  private mutating func expect(_ character: Unicode.Scalar, or other: String? = nil) throws {
    guard skip(character) else { throw unexpected(other.map { "\($0) or '\(character)'" } ?? "'\(character)'") }
  }

  private func unexpected(_ expected: String) -> OctetError {
    let next = bytes[min(position, bytes.count)..<min(position + 16, bytes.count)]
    let found = next.isEmpty ? "the end" : "'\(String(decoding: next, as: UTF8.self))'"
    return OctetError(.invalidFile, "header", expected: "JSON: \(expected)", found: "\(found) at byte \(position)")
  }
}

/// `text` as a JSON string, quoted.
func quotedForJSON(_ text: String) -> String {
  var quoted = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": quoted += "\\\""
    case "\\": quoted += "\\\\"
    case "\u{0}"..<" ":
      let digits = String(scalar.value, radix: 16)
      quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: quoted.unicodeScalars.append(scalar)
    }
  }
  return quoted + "\""
}
