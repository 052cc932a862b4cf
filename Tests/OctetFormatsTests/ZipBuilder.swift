import CZlib

/// Makes zip archives, right ones and wrong ones, as naively as the format allows.
struct ZipBuilder {
  struct Entry {
    var name: String
    var contents: [UInt8]
    var method: UInt16 = 0
    var flags: UInt16 = 0
    var crc: UInt32
    var size: UInt64
    var compressedSize: UInt64
    /// The name in the local header.
    var localName: String
    /// Where the directory says that the entry is.
    var offset: UInt64?
    var usesZip64 = false

    /// A well-formed entry; deflated ones consist of blocks that are not compressed.
    init(_ name: String, _ contents: [UInt8], deflated: Bool = false) {
      self.name = name
      localName = name
      crc = octet_crc32_portable(0, contents, contents.count)
      size = UInt64(contents.count)
      method = deflated ? 8 : 0
      self.contents = deflated ? deflate(contents) : contents
      compressedSize = UInt64(self.contents.count)
    }
  }

  var entries: [Entry]
  var comment: [UInt8] = []
  var count: UInt16?
  var directoryOffset: UInt32?
  var usesZip64 = false

  init(_ entries: Entry...) { self.entries = entries }

  func bytes() -> [UInt8] {
    var archive: [UInt8] = []
    var directory: [UInt8] = []
    for entry in entries {
      let offset = entry.offset ?? UInt64(archive.count)
      let sizes = { (long: Bool) -> [UInt8] in
        long
          ? little(UInt64(UInt32.max) << 32 | UInt64(UInt32.max))
          : little(UInt32(truncatingIfNeeded: entry.compressedSize)) + little(UInt32(truncatingIfNeeded: entry.size))
      }
      let common =
        little(UInt16(20)) + little(entry.flags) + little(entry.method) + little(UInt32(0)) + little(entry.crc)
      archive += little(UInt32(0x0403_4B50)) + common + sizes(false) + little(UInt16(entry.localName.utf8.count))
      archive += little(UInt16(3)) + Array(entry.localName.utf8) + [1, 2, 3] + entry.contents
      let extra =
        entry.usesZip64
        ? little(UInt16(9)) + little(UInt16(1)) + [7] + little(UInt16(1)) + little(UInt16(24)) + little(entry.size)
          + little(entry.compressedSize) + little(offset) : []
      directory += little(UInt32(0x0201_4B50)) + little(UInt16(20)) + common + sizes(entry.usesZip64)
      directory += little(UInt16(entry.name.utf8.count)) + little(UInt16(extra.count)) + little(UInt16(2))
      directory += little(UInt64(0)) + little(entry.usesZip64 ? UInt32.max : UInt32(truncatingIfNeeded: offset))
      directory += Array(entry.name.utf8) + extra + [8, 9]
    }
    let offset = archive.count
    archive += directory
    let count = count ?? UInt16(entries.count)
    if usesZip64 {
      let record = archive.count
      archive += little(UInt32(0x0606_4B50)) + little(UInt64(44)) + little(UInt32(0)) + little(UInt64(0))
      archive +=
        little(UInt64(count)) + little(UInt64(count)) + little(UInt64(directory.count)) + little(UInt64(offset))
      archive += little(UInt32(0x0706_4B50)) + little(UInt32(0)) + little(UInt64(record)) + little(UInt32(1))
    }
    archive += little(UInt32(0x0605_4B50)) + little(UInt32(0))
    archive += little(usesZip64 ? UInt16.max : count) + little(usesZip64 ? UInt16.max : count)
    archive += little(usesZip64 ? UInt32.max : UInt32(directory.count))
    archive += little(directoryOffset ?? (usesZip64 ? UInt32.max : UInt32(offset)))
    return archive + little(UInt16(comment.count)) + comment
  }
}

/// Deflate data in blocks of at most 65535 bytes as they are.
func deflate(_ bytes: [UInt8]) -> [UInt8] {
  var blocks: [UInt8] = []
  var rest = bytes[...]
  repeat {
    let block = rest.prefix(0xFFFF)
    rest = rest.dropFirst(0xFFFF)
    blocks += [rest.isEmpty ? 1 : 0] + little(UInt16(block.count)) + little(~UInt16(block.count)) + block
  } while !rest.isEmpty
  return blocks
}

private func little(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
