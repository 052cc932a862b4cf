import CZlib
public import OctetCore

/// One tensor in a file, in the IDX format of the MNIST data sets, plain or compressed by gzip.
///
/// The format: two zeros, the element type, the number of axes; for each axis its size, big-endian in 4 bytes; the elements,
/// big-endian, in row-major order.
public enum Idx {
  /// Reads the tensor in the file at `path`. Whether it is compressed is told by its first bytes, not by its name.
  ///
  /// Elements: uint8, int8, int16, int32, float32, and float64, which becomes float32. A compressed file needs the system's
  /// zlib and is checked against its CRC-32; uint8 and int8 of a plain one share the file's memory as
  /// ``SafetensorsFile/init(contentsOf:)`` says.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be read; `invalidFile` if it is damaged, too short or too
  ///   long; `unsupported` for other element types, and for a compressed file where there is no zlib. The subject names
  ///   file and field.
  public static func read(contentsOf path: String) throws -> Tensor {
    try naming(path) {
      let file = try MappedFile(path)
      return try file.withUnsafeBytes { bytes in
        guard let archive = try Gzip(bytes) else { return try tensor(bytes, from: file) }
        let block = try archive.contents { beginning, byteCount in
          let header = try IdxHeader(beginning)
          guard (header.byteCount + header.dataByteCount) % (1 << 32) == byteCount else {
            throw OctetError(
              .invalidFile, "size", expected: "\(header.byteCount + header.dataByteCount) bytes as the IDX header says",
              found: "\(byteCount)")
          }
          return header.byteCount + header.dataByteCount
        }
        return try tensor(UnsafeRawBufferPointer(block.bytes), from: block)
      }
    }
  }

  /// The tensor that `bytes`, a whole IDX file, holds; borrowed from `owner` where that is possible.
  private static func tensor(_ bytes: UnsafeRawBufferPointer, from owner: AnyObject) throws -> Tensor {
    let header = try IdxHeader(bytes)
    let data = UnsafeRawBufferPointer(rebasing: bytes[header.byteCount...])
    guard data.count == header.dataByteCount else {
      throw OctetError(
        .invalidFile, "elements", expected: "\(header.dataByteCount) bytes for the shape and type",
        found: "\(data.count)")
    }
    let width = header.element.byteWidth
    guard width > 1 else { return try header.element.tensor(data, shape: header.shape, from: owner) }
    guard let turned = ByteBlock(byteCount: data.count) else {
      throw OctetError(.unsupported, "elements", expected: "a size that fits memory", found: "\(data.count) bytes")
    }
    for first in stride(from: 0, to: data.count, by: width) {
      for byte in 0..<width { turned.bytes[first + byte] = data[first + width - 1 - byte] }
    }
    return try header.element.tensor(UnsafeRawBufferPointer(turned.bytes), shape: header.shape, from: turned)
  }
}

/// What stands before the elements of an IDX file.
private struct IdxHeader {
  let element: StoredElement
  let shape: [Int]
  let byteCount: Int
  let dataByteCount: Int

  init(_ bytes: UnsafeRawBufferPointer) throws {
    guard let magic = bytes.slice(at: 0, count: 4), magic[0] == 0, magic[1] == 0 else {
      let found = bytes.prefix(4).map { String($0, radix: 16) }.joined(separator: " ")
      throw OctetError(
        .invalidFile, "magic number", expected: "0 0 and two bytes more, or gzip's 1f 8b",
        found: found.isEmpty ? "an empty file" : found)
    }
    switch magic[2] {
    case 0x08: element = .same(.uint8)
    case 0x09: element = .same(.int8)
    case 0x0B: element = .same(.int16)
    case 0x0C: element = .same(.int32)
    case 0x0D: element = .same(.float32)
    case 0x0E: element = .float64
    default:
      throw OctetError(
        .unsupported, "element type", expected: "8, 9, b, c, d or e", found: String(magic[2], radix: 16))
    }
    byteCount = 4 + 4 * Int(magic[3])
    guard let sizes = bytes.slice(at: 4, count: 4 * Int(magic[3])) else {
      throw OctetError(
        .invalidFile, "header", expected: "\(byteCount) bytes for \(magic[3]) axes", found: "a file of \(bytes.count)")
    }
    shape = (0..<Int(magic[3])).map { axis in
      (0..<4).reduce(0) { $0 << 8 | Int(sizes[4 * axis + $1]) }
    }
    guard let dataByteCount = element.byteCount(of: shape) else {
      throw OctetError(.invalidFile, "shape", expected: "sizes of a tensor", found: "\(shape)")
    }
    self.dataByteCount = dataByteCount
  }
}
