import CZlib
import OctetCore

/// Writes a zip archive of stored (uncompressed) entries. The same entries give the same bytes: every date is the
/// first one that zip knows, 1 January 1980.
struct ZipWriter: ~Copyable {
  private var directory: [UInt8] = []
  private var entryCount = 0

  private static let date: UInt16 = 1 << 5 | 1
  private static let namesAreUTF8: UInt16 = 1 << 11

  /// Appends an entry whose contents are `head` followed by `body`.
  mutating func append(
    name: String, head: [UInt8], body: UnsafeRawBufferPointer, to writer: inout FileWriter
  ) throws {
    guard let nameCount = UInt16(exactly: name.utf8.count) else {
      throw OctetError(.invalidArgument, "name", expected: "at most 65535 bytes", found: "\(name.utf8.count)")
    }
    let offset = writer.byteCount
    let size = head.count + body.count
    let crc = octet_crc32(octet_crc32(0, head, head.count), body.baseAddress, body.count)
    let sizeIsLong = size >= 0xFFFF_FFFF
    let offsetIsLong = offset >= 0xFFFF_FFFF
    let shortSize = sizeIsLong ? 0xFFFF_FFFF : UInt32(size)

    // What local header and directory have in common, from "version needed" to the length of the name.
    var common: [UInt8] = []
    common.appendLittleEndian(UInt16(sizeIsLong || offsetIsLong ? 45 : 20))
    common.appendLittleEndian(name.utf8.allSatisfy { $0 < 0x80 } ? 0 : Self.namesAreUTF8)
    common.appendLittleEndian(ZipDirectory.Method.stored.rawValue)
    common.appendLittleEndian(UInt16(0))  // time
    common.appendLittleEndian(Self.date)
    common.appendLittleEndian(crc)
    common.appendLittleEndian(shortSize)
    common.appendLittleEndian(shortSize)
    common.appendLittleEndian(nameCount)

    var local: [UInt8] = []
    local.appendLittleEndian(ZipDirectory.localSignature)
    local += common
    let localExtra = Self.zip64ExtraField(sizeIsLong ? [size, size] : [])
    local.appendLittleEndian(UInt16(localExtra.count))
    local += Array(name.utf8) + localExtra
    try writer.write(local)
    try writer.write(head)
    try writer.write(body)

    directory.appendLittleEndian(ZipDirectory.centralSignature)
    directory.appendLittleEndian(UInt16(45))  // made by
    directory += common
    let extra = Self.zip64ExtraField((sizeIsLong ? [size, size] : []) + (offsetIsLong ? [offset] : []))
    directory.appendLittleEndian(UInt16(extra.count))
    directory.appendLittleEndian(UInt16(0))  // comment
    directory.appendLittleEndian(UInt16(0))  // part
    directory.appendLittleEndian(UInt16(0))  // internal attributes
    directory.appendLittleEndian(UInt32(0))  // external attributes
    directory.appendLittleEndian(offsetIsLong ? 0xFFFF_FFFF : UInt32(offset))
    directory += Array(name.utf8) + extra
    entryCount += 1
  }

  /// Appends the directory. Nothing may follow.
  consuming func finish(_ writer: inout FileWriter) throws {
    let offset = writer.byteCount
    try writer.write(directory)
    let isLong = entryCount >= 0xFFFF || offset >= 0xFFFF_FFFF || directory.count >= 0xFFFF_FFFF
    var end: [UInt8] = []
    if isLong {
      end.appendLittleEndian(ZipDirectory.end64Signature)
      end.appendLittleEndian(UInt64(ZipDirectory.end64ByteCount - 12))  // what follows
      end.appendLittleEndian(UInt16(45))  // made by
      end.appendLittleEndian(UInt16(45))  // needed
      end.appendLittleEndian(UInt32(0))  // this part
      end.appendLittleEndian(UInt32(0))  // the directory's part
      end.appendLittleEndian(UInt64(entryCount))
      end.appendLittleEndian(UInt64(entryCount))
      end.appendLittleEndian(UInt64(directory.count))
      end.appendLittleEndian(UInt64(offset))

      end.appendLittleEndian(ZipDirectory.end64LocatorSignature)
      end.appendLittleEndian(UInt32(0))
      end.appendLittleEndian(UInt64(offset + directory.count))
      end.appendLittleEndian(UInt32(1))  // parts in all
    }
    end.appendLittleEndian(ZipDirectory.endSignature)
    end.appendLittleEndian(UInt32(0))  // this part, the directory's part
    end.appendLittleEndian(UInt16(clamping: entryCount))
    end.appendLittleEndian(UInt16(clamping: entryCount))
    end.appendLittleEndian(UInt32(clamping: directory.count))
    end.appendLittleEndian(UInt32(clamping: offset))
    end.appendLittleEndian(UInt16(0))  // comment
    try writer.write(end)
  }

  private static func zip64ExtraField(_ values: [Int]) -> [UInt8] {
    guard !values.isEmpty else { return [] }
    var field: [UInt8] = []
    field.appendLittleEndian(ZipDirectory.zip64ExtraField)
    field.appendLittleEndian(UInt16(values.count * 8))
    for value in values { field.appendLittleEndian(UInt64(value)) }
    return field
  }
}
