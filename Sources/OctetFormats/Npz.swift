import CZlib
import OctetCore

/// The contents of an npz file: named tensors, a zip archive of npy files.
public struct NpzFile: Sendable {
  public let tensors: [String: Tensor]

  /// Reads the file at `path`, as `numpy.savez` and `numpy.savez_compressed` write it. Every entry is checked against
  /// its CRC-32.
  ///
  /// Types are read as ``Npy/read(contentsOf:)`` says; uncompressed tensors share the file's memory where their
  /// place in it suits their type. A compressed entry needs the system's zlib, and takes at most 1032 times the memory
  /// that it takes in the file (which is what deflate can do).
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be read; `invalidFile` if it is damaged; `unsupported` for
  ///   encryption, other compression, entries other than npy, element types as in ``Npy/read(contentsOf:)``, and a
  ///   compressed entry where there is no zlib. The subject names file, entry and field.
  public init(contentsOf path: String) throws {
    tensors = try naming(path) {
      let file = try MappedFile(path)
      return try file.withUnsafeBytes { archive in
        var tensors: [String: Tensor] = [:]
        for entry in try ZipDirectory(archive).entries {
          try naming(excerpt(entry.name)) {
            guard entry.name.utf8.suffix(4).elementsEqual(Self.suffix.utf8) else {
              throw OctetError(.unsupported, "name", expected: "entries named *.npy only", found: excerpt(entry.name))
            }
            let name = String(decoding: entry.name.utf8.dropLast(4), as: UTF8.self)
            let tensor = try Self.tensor(entry, in: archive, of: file)
            guard tensors.updateValue(tensor, forKey: name) == nil else {
              throw OctetError(.invalidFile, "name", expected: "one entry", found: "two entries of that name")
            }
          }
        }
        return tensors
      }
    }
  }

  /// Writes `tensors` to `path`, uncompressed, ordered by name, whole or not at all. The same contents always give the
  /// same bytes.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be written; `unsupported` for uint4 and int4, which the
  ///   format does not have; `invalidArgument` for a name beyond 64 KB; `notTraceable` for a traced tensor.
  public static func write(_ tensors: [String: Tensor], to path: String) throws {
    try naming(path) {
      try writeWhole(to: path) { writer in
        var archive = ZipWriter()
        for (name, tensor) in tensors.sorted(by: { byBytes($0.key, $1.key) }) {
          try naming(excerpt(name)) {
            let header = try NpyHeader.bytes(of: tensor)
            try tensor.withUnsafeBytes {
              try archive.append(name: name + suffix, head: header, body: $0, to: &writer)
            }
          }
        }
        try archive.finish(&writer)
      }
    }
  }

  private static let suffix = ".npy"

  private static func tensor(
    _ entry: ZipDirectory.Entry, in archive: UnsafeRawBufferPointer, of file: MappedFile
  ) throws -> Tensor {
    let bytes = UnsafeRawBufferPointer(rebasing: archive[entry.range])
    switch entry.method {
    case .stored:
      try check(bytes, against: entry.crc32)
      return try Npy.tensor(bytes, from: file)
    case .deflated:
      let block = try inflate(bytes, to: entry.uncompressedByteCount)
      let inflated = UnsafeRawBufferPointer(block.bytes)
      try check(inflated, against: entry.crc32)
      return try Npy.tensor(inflated, from: block)
    }
  }

  private static func check(_ bytes: UnsafeRawBufferPointer, against expected: UInt32) throws {
    let found = octet_crc32(0, bytes.baseAddress, bytes.count)
    guard found == expected else {
      throw OctetError(
        .invalidFile, "CRC-32", expected: String(expected, radix: 16), found: String(found, radix: 16))
    }
  }

  /// Decompresses an entry. First only its beginning, to see that its npy header promises as many bytes as the
  /// directory does: a lie about the size is found before memory is asked for.
  private static func inflate(_ bytes: UnsafeRawBufferPointer, to byteCount: Int) throws -> ByteBlock {
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
}
