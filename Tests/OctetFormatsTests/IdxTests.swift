import OctetCore
import OctetFormats
import Testing

@Suite struct IdxTests {
  @Test(arguments: ["uint8", "int8", "int16", "int32", "float32", "float64"]) func readsEveryType(name: String) throws {
    try Fixtures.check(Idx.read(contentsOf: Fixtures.path(name + ".idx")), name)
  }

  @Test(arguments: ["uint8", "float64"]) func readsWhatGzipCompressed(name: String) throws {
    try Fixtures.check(Idx.read(contentsOf: Fixtures.path(name + ".idx.gz")), name)
  }

  /// The optional fields of gzip's header: text, checksum, extra, name, comment.
  @Test(arguments: [UInt8(0), 1, 2, 4, 8, 16, 31]) func readsEveryHeaderOfGzip(flags: UInt8) throws {
    let data = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9] as [UInt8]
    try withTemporaryFolder { folder in
      try put(gzip(data, flags: flags), at: folder + "/x")
      #expect(try Idx.read(contentsOf: folder + "/x").scalars(as: UInt8.self) == [7, 8, 9])
    }
  }

  @Test func shapesAtTheEdgesAreRead() throws {
    try withTemporaryFolder { folder in
      for (bytes, shape) in [
        ([0, 0, 8, 0, 5], []), ([0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 9], [0, 9]),
        ([0, 0, 13, 1, 0, 0, 0, 0], [0]),
      ] as [([UInt8], [Int])] {
        try put(bytes, at: folder + "/x")
        #expect(try Idx.read(contentsOf: folder + "/x").shape == shape)
      }
    }
  }

  // MARK: Malformed files

  private func check(
    _ bytes: [UInt8], _ field: String, _ code: OctetError.Code = .invalidFile,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try expectError(code, field, reading: bytes, sourceLocation: sourceLocation) { _ = try Idx.read(contentsOf: $0) }
  }

  @Test func wrongHeadersAreErrors() throws {
    try check([], "magic number")
    try check([0, 0, 8], "magic number")
    try check([1, 0, 8, 1, 0, 0, 0, 1, 5], "magic number")
    try check([0, 1, 8, 1, 0, 0, 0, 1, 5], "magic number")
    for code in [0, 7, 10, 15, 255] as [UInt8] {
      try check([0, 0, code, 1, 0, 0, 0, 1, 5], "element type", .unsupported)
    }
    try check([0, 0, 8, 2, 0, 0, 0, 1, 5], "header")
    try check([0, 0, 8, 255], "header")
  }

  @Test func wrongNumbersOfElementsAreErrors() throws {
    try check([0, 0, 8, 1, 0, 0, 0, 2, 5], "elements")
    try check([0, 0, 8, 1, 0, 0, 0, 2, 5, 6, 7], "elements")
    try check([0, 0, 13, 1, 0, 0, 0, 1, 5, 6, 7], "elements")
    // Little-endian by mistake: 16 million elements.
    try check([0, 0, 8, 1, 1, 0, 0, 0, 5], "elements")
  }

  @Test func extremeSizesAreErrors() throws {
    let most = [UInt8](repeating: 255, count: 4)
    try check([0, 0, 8, 1] + most, "elements")
    try check([0, 0, 8, 2] + most + most, "shape")
    try check([0, 0, 14, 255] + [UInt8](repeating: 255, count: 4 * 255), "shape")
    // None of so many.
    try check([0, 0, 8, 3] + most + most + [0, 0, 0, 0], "shape")
    // Compressed, and with the size modulo 2³² as it should be.
    let header: [UInt8] = [0, 0, 8, 2, 0, 1, 0, 0, 0, 1, 0, 0]
    try check(gzip(header), "size")
    // As much as zlib could have made of a little more than this, but has not.
    try check(gzip([0, 0, 8, 1, 0, 0, 16, 0]), "size")
    try check(gzip([0, 0, 8, 1, 0, 0, 16, 0], size: 4096 + 8), "compressed data")
  }

  @Test func damagedGzipIsAnError() throws {
    let whole = gzip([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])
    try check([0x1F, 0x8B], "gzip header")
    try check(Array(whole.prefix(17)), "gzip header")
    func changed(_ position: Int, _ byte: UInt8) -> [UInt8] {
      var bytes = whole
      bytes[position < 0 ? bytes.count + position : position] = byte
      return bytes
    }
    try check(changed(2, 7), "gzip header")
    try check(changed(3, 0x20), "gzip header")
    // An extra field, a name, a comment that do not end.
    for flag in [UInt8(4), 8, 16] { try check(gzip([255, 255, 255, 1], flags: flag, cut: true), "gzip header") }
    try check(changed(-1, 1), "size")
    try check(changed(-8, whole[whole.count - 8] ^ 1), "CRC-32")
    // The last element, which stands as it is in a block that is not compressed.
    try check(changed(-9, 10), "CRC-32")
    // A second member, which gzip would go on with.
    try check(whole + whole, "compressed data")
  }

  /// Bytes as gzip keeps them, in blocks that are not compressed.
  ///
  /// - Parameters:
  ///   - size: what the end says, if not the truth.
  ///   - cut: whether the optional fields are left out although the flags announce them, and all bytes are such that none ends.
  private func gzip(_ bytes: [UInt8], flags: UInt8 = 0, size: Int? = nil, cut: Bool = false) -> [UInt8] {
    var archive: [UInt8] = [0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 255]
    if cut { return archive + [UInt8](repeating: 255, count: 20) }
    if flags & 4 != 0 { archive += [3, 0, 65, 66, 67] }
    if flags & 8 != 0 { archive += [120, 0] }
    if flags & 16 != 0 { archive += [121, 122, 0] }
    if flags & 2 != 0 { archive += [1, 2] }
    func little(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    return archive + deflate(bytes) + little(crc(bytes)) + little(UInt32(truncatingIfNeeded: size ?? bytes.count))
  }

  /// CRC-32 bit by bit.
  private func crc(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { crc, byte in
      (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
  }
}
