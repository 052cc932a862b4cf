import OctetCore

/// The entries of a zip archive, as its central directory lists them.
///
/// Zip64 is understood where its fields are used. An archive in several parts, encrypted entries, bytes before the
/// first entry and entries that share bytes (of which deflate bombs are made) are errors.
struct ZipDirectory {
  struct Entry {
    let name: String
    let method: Method
    let crc32: UInt32
    /// Where its bytes lie in the archive, compressed or not.
    let range: Range<Int>
    let uncompressedByteCount: Int
  }

  enum Method: UInt16 {
    case stored = 0
    case deflated = 8
  }

  let entries: [Entry]

  static let localSignature: UInt32 = 0x0403_4B50
  static let centralSignature: UInt32 = 0x0201_4B50
  static let endSignature: UInt32 = 0x0605_4B50
  static let end64Signature: UInt32 = 0x0606_4B50
  static let end64LocatorSignature: UInt32 = 0x0706_4B50
  static let zip64ExtraField: UInt16 = 1
  static let endByteCount = 22
  static let end64ByteCount = 56
  static let end64LocatorByteCount = 20

  /// The most that deflate can make of one byte: 258 bytes for every 2 bits.
  private static let largestRatio = 1032

  /// - Throws: `OctetError`: `invalidFile` if the archive is damaged; `unsupported` for encryption and other methods of
  ///   compression.
  init(_ archive: UnsafeRawBufferPointer) throws {
    let directory = try DirectoryPlace(archive)
    var entries: [Entry] = []
    var occupied: [(range: Range<Int>, name: String)] = []
    var position = directory.range.lowerBound
    while position < directory.range.upperBound {
      let record = try CentralRecord(archive, at: position, end: directory.range.upperBound)
      position += record.byteCount
      let entry = try naming(excerpt(record.name)) {
        try Self.entry(record, in: archive, end: directory.range.lowerBound)
      }
      occupied.append((record.localOffset..<entry.range.upperBound, entry.name))
      entries.append(entry)
    }
    guard entries.count == directory.entryCount else {
      throw OctetError(
        .invalidFile, "directory", expected: "\(directory.entryCount) entries", found: "\(entries.count)")
    }
    occupied.sort { $0.range.lowerBound < $1.range.lowerBound }
    for (before, after) in zip(occupied, occupied.dropFirst()) where before.range.upperBound > after.range.lowerBound {
      throw OctetError(
        .invalidFile, excerpt(after.name), expected: "bytes of its own",
        found: "an overlap with \(excerpt(before.name))")
    }
    self.entries = entries
  }

  /// Checks a record of the directory against the header that stands before the entry's bytes.
  private static func entry(_ record: CentralRecord, in archive: UnsafeRawBufferPointer, end: Int) throws -> Entry {
    guard record.flags & 0x2041 == 0 else {
      throw OctetError(.unsupported, "flags", expected: "no encryption", found: "an encrypted entry")
    }
    guard let method = Method(rawValue: record.method) else {
      throw OctetError(.unsupported, "method", expected: "0 (stored) or 8 (deflated)", found: "\(record.method)")
    }
    let offset = record.localOffset
    guard archive.integer(at: offset, as: UInt32.self) == localSignature,
      let localFlags = archive.integer(at: offset + 6, as: UInt16.self),
      let localMethod = archive.integer(at: offset + 8, as: UInt16.self),
      let nameCount = archive.integer(at: offset + 26, as: UInt16.self),
      let extraCount = archive.integer(at: offset + 28, as: UInt16.self),
      let name = archive.slice(at: offset + 30, count: Int(nameCount))
    else {
      throw OctetError(.invalidFile, "local header", expected: "one at \(offset)", found: "other bytes")
    }
    guard localMethod == record.method, localFlags & 0x2041 == 0, name.elementsEqual(record.name.utf8) else {
      throw OctetError(
        .invalidFile, "local header", expected: "the directory's name, method and flags", found: "others")
    }
    let start = offset + 30 + Int(nameCount) + Int(extraCount)
    guard start <= end, record.compressedByteCount <= end - start else {
      throw OctetError(
        .invalidFile, "compressed size", expected: "at most \(max(end - start, 0)) bytes before the directory",
        found: "\(record.compressedByteCount)")
    }
    let largest =
      switch method {
      case .stored: record.compressedByteCount
      case .deflated: record.compressedByteCount.multipliedReportingOverflow(by: largestRatio).partialValue
      }
    let isPossible =
      method == .stored ? record.uncompressedByteCount == largest : record.uncompressedByteCount <= largest
    guard isPossible else {
      throw OctetError(
        .invalidFile, "size", expected: "\(method == .stored ? "" : "at most ")\(largest) bytes",
        found: "\(record.uncompressedByteCount)")
    }
    return Entry(
      name: record.name, method: method, crc32: record.crc32, range: start..<start + record.compressedByteCount,
      uncompressedByteCount: record.uncompressedByteCount)
  }
}

/// Where the central directory lies, from the record at the end of the archive.
private struct DirectoryPlace {
  let range: Range<Int>
  let entryCount: Int

  init(_ archive: UnsafeRawBufferPointer) throws {
    guard let end = Self.endRecord(archive),
      let disk = archive.integer(at: end + 4, as: UInt32.self),
      let count = archive.integer(at: end + 10, as: UInt16.self),
      let countHere = archive.integer(at: end + 8, as: UInt16.self),
      let size = archive.integer(at: end + 12, as: UInt32.self),
      let offset = archive.integer(at: end + 16, as: UInt32.self)
    else {
      throw OctetError(.invalidFile, "end of archive", expected: "a zip archive's last record", found: "none")
    }
    guard disk == 0 || disk == 0xFFFF_FFFF, countHere == count else {
      throw OctetError(.unsupported, "end of archive", expected: "an archive in one part", found: "several parts")
    }
    if count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
      (range, entryCount) = try Self.zip64(archive, before: end)
    } else {
      guard Int(offset) + Int(size) == end else {
        throw OctetError(
          .invalidFile, "end of archive", expected: "a directory that ends at \(end)",
          found: "\(Int(offset) + Int(size))")
      }
      range = Int(offset)..<end
      entryCount = Int(count)
    }
  }

  /// The position of the last record, which a comment of up to 64 KB may follow.
  private static func endRecord(_ archive: UnsafeRawBufferPointer) -> Int? {
    let last = archive.count - ZipDirectory.endByteCount
    guard last >= 0 else { return nil }
    for position in stride(from: last, through: max(last - 0xFFFF, 0), by: -1)
    where archive.integer(at: position, as: UInt32.self) == ZipDirectory.endSignature {
      if archive.integer(at: position + 20, as: UInt16.self).map(Int.init) == last - position { return position }
    }
    return nil
  }

  private static func zip64(_ archive: UnsafeRawBufferPointer, before end: Int) throws -> (Range<Int>, Int) {
    let locator = end - ZipDirectory.end64LocatorByteCount
    guard archive.integer(at: locator, as: UInt32.self) == ZipDirectory.end64LocatorSignature,
      let record = archive.integer(at: locator + 8, as: UInt64.self).flatMap({ Int(exactly: $0) }),
      record <= locator, archive.integer(at: record, as: UInt32.self) == ZipDirectory.end64Signature,
      let count = archive.integer(at: record + 32, as: UInt64.self).flatMap({ Int(exactly: $0) }),
      let size = archive.integer(at: record + 40, as: UInt64.self).flatMap({ Int(exactly: $0) }),
      let offset = archive.integer(at: record + 48, as: UInt64.self).flatMap({ Int(exactly: $0) }),
      offset <= record, size == record - offset
    else {
      throw OctetError(
        .invalidFile, "end of archive (zip64)", expected: "a record that points to the directory", found: "other bytes")
    }
    return (offset..<record, count)
  }
}

/// One record of the central directory.
private struct CentralRecord {
  let name: String
  let flags: UInt16
  let method: UInt16
  let crc32: UInt32
  let compressedByteCount: Int
  let uncompressedByteCount: Int
  let localOffset: Int
  /// Bytes of the record itself.
  let byteCount: Int

  init(_ archive: UnsafeRawBufferPointer, at position: Int, end: Int) throws {
    guard let record = archive.slice(at: position, count: min(46, end - position)),
      record.integer(at: 0, as: UInt32.self) == ZipDirectory.centralSignature,
      let flags = record.integer(at: 8, as: UInt16.self), let method = record.integer(at: 10, as: UInt16.self),
      let crc32 = record.integer(at: 16, as: UInt32.self),
      let compressed = record.integer(at: 20, as: UInt32.self), let size = record.integer(at: 24, as: UInt32.self),
      let nameCount = record.integer(at: 28, as: UInt16.self).map(Int.init),
      let extraCount = record.integer(at: 30, as: UInt16.self).map(Int.init),
      let commentCount = record.integer(at: 32, as: UInt16.self).map(Int.init),
      let offset = record.integer(at: 42, as: UInt32.self),
      position + 46 + nameCount + extraCount + commentCount <= end,
      let nameBytes = archive.slice(at: position + 46, count: nameCount),
      let extra = archive.slice(at: position + 46 + nameCount, count: extraCount)
    else {
      throw OctetError(.invalidFile, "directory", expected: "a record at \(position)", found: "other bytes")
    }
    guard let name = String(validating: nameBytes, as: UTF8.self) else {
      throw OctetError(.invalidFile, "directory: name", expected: "UTF-8", found: "other bytes at \(position)")
    }
    self.name = name
    self.flags = flags
    self.method = method
    self.crc32 = crc32
    byteCount = 46 + nameCount + extraCount + commentCount
    var zip64 = Zip64Fields(extra)
    do {
      // Only fields that overflow are in the extra field, in this order.
      uncompressedByteCount = try zip64.value(size)
      compressedByteCount = try zip64.value(compressed)
      localOffset = try zip64.value(offset)
    } catch let error as OctetError {
      throw error.within(excerpt(name))
    }
  }
}

/// The 8-byte values of a record's zip64 extra field.
private struct Zip64Fields {
  private var rest = UnsafeRawBufferPointer(start: nil, count: 0)

  init(_ extra: UnsafeRawBufferPointer) {
    var position = 0
    while let kind = extra.integer(at: position, as: UInt16.self),
      let count = extra.integer(at: position + 2, as: UInt16.self)
    {
      if kind == ZipDirectory.zip64ExtraField, let field = extra.slice(at: position + 4, count: Int(count)) {
        rest = field
        return
      }
      position += 4 + Int(count)
    }
  }

  /// The value itself, or the next one of the extra field if it says 0xFFFFFFFF.
  mutating func value(_ short: UInt32) throws -> Int {
    guard short == 0xFFFF_FFFF else { return Int(short) }
    guard let long = rest.integer(at: 0, as: UInt64.self), long < 1 << 62 else {
      throw OctetError(.invalidFile, "zip64 extra field", expected: "a size or offset", found: "none")
    }
    rest = UnsafeRawBufferPointer(rebasing: rest[8...])
    return Int(long)
  }
}
