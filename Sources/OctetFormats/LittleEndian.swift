// Tensors are borrowed from files as they lie there, and all formats here are little-endian.
#if _endian(big)
  #error("OctetFormats needs a little-endian machine")
#endif

extension UnsafeRawBufferPointer {
  /// The little-endian integer at `offset`; `nil` if it does not lie within the bytes.
  func integer<T: FixedWidthInteger>(at offset: Int, as type: T.Type) -> T? {
    guard let bytes = slice(at: offset, count: MemoryLayout<T>.size) else { return nil }
    return T(littleEndian: bytes.loadUnaligned(as: T.self))
  }

  /// `count` bytes from `offset` on; `nil` if they do not lie within the bytes.
  func slice(at offset: Int, count: Int) -> UnsafeRawBufferPointer? {
    guard offset >= 0, count >= 0, offset <= self.count, count <= self.count - offset else { return nil }
    return UnsafeRawBufferPointer(rebasing: self[offset..<offset + count])
  }
}

extension [UInt8] {
  /// Appends the bytes of `value`, the lowest first.
  mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}

/// A name from a file as it may stand in an error message, however long it is.
func excerpt(_ text: String) -> String {
  text.utf8.count <= 100 ? text : String(decoding: text.utf8.prefix(100), as: UTF8.self) + "…"
}

/// The order of names in the files that we write: by their bytes, the same on every machine.
func byBytes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
