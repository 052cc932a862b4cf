import CZlib
public import OctetCore

/// An npz file whose tensors are read one by one, or row by row, when they are asked for.
///
///     let archive = try NpzArchive(contentsOf: "images.npz")
///     let rows = try archive.rows(of: "images")
///     while let batch = try rows.next(32) { … }
public struct NpzArchive: Sendable {
  /// The names of the tensors, in the order of the file.
  public let names: [String]
  private let path: String
  private let file: MappedFile
  private let entries: [String: ZipDirectory.Entry]

  static let suffix = ".npy"

  /// Reads the directory of the file at `path`, and none of its tensors.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be read; `invalidFile` if its directory is damaged;
  ///   `unsupported` for encryption, other compression than deflate, and entries other than npy.
  public init(contentsOf path: String) throws {
    let file = try naming(path) { try MappedFile(path) }
    var names: [String] = []
    var entries: [String: ZipDirectory.Entry] = [:]
    try naming(path) {
      for entry in try file.withUnsafeBytes({ try ZipDirectory($0) }).entries {
        try naming(excerpt(entry.name)) {
          guard entry.name.utf8.suffix(4).elementsEqual(Self.suffix.utf8) else {
            throw OctetError(.unsupported, "name", expected: "entries named *.npy only", found: excerpt(entry.name))
          }
          let name = String(decoding: entry.name.utf8.dropLast(4), as: UTF8.self)
          guard entries.updateValue(entry, forKey: name) == nil else {
            throw OctetError(.invalidFile, "name", expected: "one entry", found: "two entries of that name")
          }
          names.append(name)
        }
      }
    }
    (self.path, self.file, self.names, self.entries) = (path, file, names, entries)
  }

  /// The element type (as it is read) and the shape of a tensor, from its header.
  ///
  /// - Throws: `OctetError`: as ``NpzFile/init(contentsOf:)``; `unknownName` if there is no such tensor.
  public func type(of name: String) throws -> TensorType {
    try withEntry(name) { entry, bytes in
      let header = try Self.header(entry, bytes)
      return TensorType(header.element.dtype, fixed: header.shape)
    }
  }

  /// A whole tensor.
  ///
  /// - Throws: as ``type(of:)``.
  public func tensor(_ name: String) throws -> Tensor {
    try withEntry(name) { entry, bytes in try Self.tensor(entry, bytes, of: file) }
  }

  /// A tensor of rank 1 or more by pieces along its first axis. (A column-major one of rank 2 or more is read whole.)
  ///
  /// - Throws: as ``type(of:)``; `shapeMismatch` for a tensor of rank 0.
  public func rows(of name: String) throws -> NpzRows {
    try withEntry(name) { entry, bytes in
      let header = try Self.header(entry, bytes)
      guard !header.shape.isEmpty else {
        throw OctetError(.shapeMismatch, "shape", expected: "a first axis", found: "[]")
      }
      let isWhole = header.isColumnMajor && header.shape.count > 1
      return try NpzRows(
        "\(path): \(excerpt(entry.name))", entry, header, file,
        whole: isWhole ? Self.tensor(entry, bytes, of: file) : nil)
    }
  }

  private func withEntry<Result>(
    _ name: String, _ body: (ZipDirectory.Entry, UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try naming(path) {
      guard let entry = entries[name] else {
        throw OctetError(.unknownName, "arrays", expected: "one named \(name)", found: nearNames(to: name, in: names))
      }
      return try naming(excerpt(entry.name)) {
        try file.withUnsafeBytes { try body(entry, UnsafeRawBufferPointer(rebasing: $0[entry.range])) }
      }
    }
  }

  private static func header(_ entry: ZipDirectory.Entry, _ bytes: UnsafeRawBufferPointer) throws -> NpyHeader {
    switch entry.method {
    case .deflated: return try header(deflated: bytes, entry.uncompressedByteCount)
    case .stored:
      let header = try NpyHeader(bytes)
      guard header.byteCount + header.dataByteCount == bytes.count else {
        throw OctetError(
          .invalidFile, "elements", expected: "\(header.dataByteCount) bytes for the shape and type",
          found: "\(bytes.count - header.byteCount)")
      }
      return header
    }
  }

  private static func tensor(_ entry: ZipDirectory.Entry, _ bytes: UnsafeRawBufferPointer, of file: MappedFile) throws
    -> Tensor
  {
    switch entry.method {
    case .stored:
      try check(octet_crc32(0, bytes.baseAddress, bytes.count), against: entry.crc32)
      return try Npy.tensor(bytes, from: file)
    case .deflated:
      let block = try inflate(bytes, to: entry.uncompressedByteCount)
      let inflated = UnsafeRawBufferPointer(block.bytes)
      try check(octet_crc32(0, inflated.baseAddress, inflated.count), against: entry.crc32)
      return try Npy.tensor(inflated, from: block)
    }
  }

  static func check(_ found: UInt32, against expected: UInt32) throws {
    guard found == expected else {
      throw OctetError(
        .invalidFile, "CRC-32", expected: String(expected, radix: 16), found: String(found, radix: 16))
    }
  }

  /// Decompresses an entry. First only its beginning, to see that its npy header promises as many bytes as the
  /// directory does: a lie about the size is found before memory is asked for.
  private static func inflate(_ bytes: UnsafeRawBufferPointer, to byteCount: Int) throws -> ByteBlock {
    _ = try header(deflated: bytes, byteCount)
    guard let block = ByteBlock(byteCount: byteCount) else {
      throw OctetError(.unsupported, "size", expected: "an entry that fits memory", found: "\(byteCount) bytes")
    }
    let status = octet_inflate_raw(bytes.baseAddress, bytes.count, block.bytes.baseAddress, byteCount)
    guard status == 0 else {
      throw OctetError(
        .invalidFile, "compressed data", expected: "deflate data of \(byteCount) bytes",
        found: "zlib's status \(status)")
    }
    return block
  }

  /// The npy header of a compressed entry, whose promise of bytes must be the directory's.
  private static func header(deflated bytes: UnsafeRawBufferPointer, _ byteCount: Int) throws -> NpyHeader {
    guard octet_zlib_available() else {
      throw OctetError(
        .unsupported, "method", expected: "zlib (libz.so.1; package zlib1g or zlib) for a compressed entry",
        found: "a system without it")
    }
    let beginning = [UInt8](unsafeUninitializedCapacity: min(byteCount, NpyHeader.largestByteCount)) { buffer, count in
      count = octet_inflate_raw_prefix(bytes.baseAddress, bytes.count, buffer.baseAddress, buffer.count)
    }
    let header = try beginning.withUnsafeBytes { try NpyHeader($0) }
    guard header.byteCount + header.dataByteCount == byteCount else {
      throw OctetError(
        .invalidFile, "size", expected: "\(header.byteCount + header.dataByteCount) bytes as the npy header says",
        found: "\(byteCount)")
    }
    return header
  }
}
