import CZlib
import OctetCore

/// A file compressed by gzip (RFC 1952), of one member.
struct Gzip {
  private let deflated: UnsafeRawBufferPointer
  private let crc32: UInt32
  /// The number of bytes that were compressed, modulo 2³².
  private let byteCount: Int

  /// - Returns: `nil` for bytes that do not begin as such a file does.
  /// - Throws: `OctetError`: `invalidFile` for a damaged beginning or end, `unsupported` where there is no zlib.
  init?(_ bytes: UnsafeRawBufferPointer) throws {
    guard bytes.count >= 2, bytes[0] == 0x1F, bytes[1] == 0x8B else { return nil }
    guard octet_zlib_available() else {
      throw OctetError(
        .unsupported, "gzip", expected: "zlib (libz.so.1; package zlib1g or zlib) for a compressed file",
        found: "a system without it")
    }
    func damaged(_ expected: String) -> OctetError {
      OctetError(.invalidFile, "gzip header", expected: expected, found: "a file of \(bytes.count) bytes that has not")
    }
    guard bytes.count >= 18, bytes[2] == 8, bytes[3] & 0xE0 == 0 else { throw damaged("method 8 and known flags") }
    let flags = bytes[3]
    var start = 10
    if flags & 4 != 0 {
      guard let count = bytes.integer(at: start, as: UInt16.self) else { throw damaged("an extra field") }
      start += 2 + Int(count)
    }
    // The file's name and a comment, each ended by a zero.
    for flag in [UInt8(8), 16] where flags & flag != 0 {
      guard start < bytes.count, let end = bytes[start...].firstIndex(of: 0) else { throw damaged("a name that ends") }
      start = end + 1
    }
    if flags & 2 != 0 { start += 2 }
    guard start <= bytes.count - 8, let crc32 = bytes.integer(at: bytes.count - 8, as: UInt32.self),
      let byteCount = bytes.integer(at: bytes.count - 4, as: UInt32.self)
    else { throw damaged("8 bytes behind the data") }
    deflated = UnsafeRawBufferPointer(rebasing: bytes[start..<bytes.count - 8])
    self.crc32 = crc32
    self.byteCount = Int(byteCount)
  }

  /// What was compressed.
  ///
  /// - Parameter size: how many bytes that must be, by its beginning (at most 1 KB; what cannot be decompressed is left out)
  ///   and by what the file's end says, modulo 2³²: a lie is found before memory is asked for.
  /// - Throws: what `size` throws; `OctetError` (`invalidFile`) for damaged data or another number of bytes.
  func contents(size: (_ beginning: UnsafeRawBufferPointer, _ byteCount: Int) throws -> Int) throws -> ByteBlock {
    let beginning = [UInt8](unsafeUninitializedCapacity: 1024) { buffer, count in
      count = octet_inflate_raw_prefix(deflated.baseAddress, deflated.count, buffer.baseAddress, buffer.count)
    }
    let count = try beginning.withUnsafeBytes { try size($0, byteCount) }
    // (Deflate makes at most 1032 bytes of one.)
    guard count / 1032 <= deflated.count, let block = ByteBlock(byteCount: count) else {
      throw OctetError(
        .invalidFile, "size", expected: "what \(deflated.count) compressed bytes can hold, and memory",
        found: "\(count) bytes")
    }
    let status = octet_inflate_raw(deflated.baseAddress, deflated.count, block.bytes.baseAddress, count)
    guard status == 0 else {
      throw OctetError(
        .invalidFile, "compressed data", expected: "deflate data of \(count) bytes", found: "zlib's status \(status)")
    }
    try NpzArchive.check(octet_crc32(0, block.bytes.baseAddress, count), against: crc32)
    return block
  }
}
