import CZlib
public import OctetCore

/// A tensor of an npz file, read by pieces along its first axis: never more of it is in memory than one piece.
public final class NpzRows {
  /// The type of the whole tensor.
  public let type: TensorType
  /// How many rows are left.
  public private(set) var count: Int
  private let name: String
  private let entry: ZipDirectory.Entry
  private let header: NpyHeader
  private let file: MappedFile
  private let whole: Tensor?
  private let inflater: OpaquePointer?
  /// The next byte, in the file or in the decompressed entry.
  private var offset = 0
  private var crc: UInt32 = 0

  /// - Parameter whole: a tensor that is there already.
  init(_ name: String, _ entry: ZipDirectory.Entry, _ header: NpyHeader, _ file: MappedFile, whole: Tensor?) throws {
    type = TensorType(header.element.dtype, fixed: header.shape)
    count = header.shape[0]
    (self.name, self.entry, self.header, self.file, self.whole) = (name, entry, header, file, whole)
    inflater =
      whole == nil && entry.method == .deflated
      ? file.withUnsafeBytes { octet_inflater_create($0.baseAddress! + entry.range.lowerBound, entry.range.count) }
      : nil
    if whole == nil {
      guard entry.method == .stored || inflater != nil else { throw noMemory(0) }
      _ = try bytes(header.byteCount)
    }
  }

  deinit { octet_inflater_destroy(inflater) }

  /// The next `count` rows, or as many as are left; `nil` if none is.
  ///
  /// - Throws: `OctetError` (`invalidFile`) if the file is damaged; that the CRC-32 is wrong comes out with the last rows.
  public func next(_ count: Int) throws -> Tensor? {
    let rows = min(count, self.count)
    guard rows > 0 else { return nil }
    let first = header.shape[0] - self.count
    self.count -= rows
    if let whole { return try whole[first..<first + rows] }
    return try naming(name) {
      let block = try bytes(header.dataByteCount / header.shape[0] * rows)
      if self.count == 0 { try finish() }
      return try header.element.tensor(
        UnsafeRawBufferPointer(block.bytes), shape: [rows] + header.shape.dropFirst(), from: block)
    }
  }

  private func bytes(_ count: Int) throws -> ByteBlock {
    guard let block = ByteBlock(byteCount: count) else { throw noMemory(count) }
    if let inflater {
      let written = octet_inflater_read(inflater, block.bytes.baseAddress, count)
      guard written == count else {
        throw OctetError(
          .invalidFile, "compressed data", expected: "deflate data of \(entry.uncompressedByteCount) bytes",
          found: "its end or a fault after \(offset + written)")
      }
      file.release(entry.range.lowerBound..<entry.range.upperBound - octet_inflater_unread(inflater))
    } else {
      let start = entry.range.lowerBound + offset
      file.withUnsafeBytes { block.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + count])) }
      file.release(start..<start + count)
    }
    offset += count
    crc = octet_crc32(crc, block.bytes.baseAddress, count)
    return block
  }

  private func finish() throws {
    if let inflater, !octet_inflater_ends(inflater) {
      throw OctetError(
        .invalidFile, "compressed data", expected: "deflate data of \(entry.uncompressedByteCount) bytes",
        found: "more")
    }
    try NpzArchive.check(crc, against: entry.crc32)
  }

  private func noMemory(_ count: Int) -> OctetError {
    OctetError(.unsupported, name, expected: "rows that fit memory", found: "\(count) bytes")
  }
}
