import OctetCore

/// One tensor in a file, in NumPy's npy format.
public enum Npy {
  /// Reads the tensor in the file at `path` (versions 1 to 3 of the format, little-endian).
  ///
  /// Element types without a counterpart become wider or narrower: `<f8` → float32, `<u4` and `<u8` → int64. Column-major
  /// arrays (`fortran_order`) are transposed. All others share the file's memory as ``SafetensorsFile/init(contentsOf:)``
  /// says.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be read; `invalidFile` if it is damaged, too short or too
  ///   long; `unsupported` for big-endian, structured and other element types. The subject names file and field.
  public static func read(contentsOf path: String) throws -> Tensor {
    try naming(path) {
      let file = try MappedFile(path)
      return try file.withUnsafeBytes { try tensor($0, from: file) }
    }
  }

  /// Writes `tensor` to `path` (version 1, row-major), whole or not at all.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be written; `unsupported` for uint4 and int4, which the
  ///   format does not have; `notTraceable` for a traced tensor.
  public static func write(_ tensor: Tensor, to path: String) throws {
    try naming(path) {
      let header = try NpyHeader.bytes(of: tensor)
      try writeWhole(to: path) { writer in
        try writer.write(header)
        try tensor.withUnsafeBytes { try writer.write($0) }
      }
    }
  }

  /// The tensor that `bytes`, a whole npy file, holds; borrowed from `owner` where that is possible.
  static func tensor(_ bytes: UnsafeRawBufferPointer, from owner: AnyObject) throws -> Tensor {
    let header = try NpyHeader(bytes)
    let data = UnsafeRawBufferPointer(rebasing: bytes[header.byteCount...])
    guard data.count == header.dataByteCount else {
      throw OctetError(
        .invalidFile, "elements", expected: "\(header.dataByteCount) bytes for the shape and type",
        found: "\(data.count)")
    }
    guard header.isColumnMajor, header.shape.count > 1 else {
      return try header.element.tensor(data, shape: header.shape, from: owner)
    }
    let rows = ByteBlock(byteCount: data.count)
    guard let rows else {
      throw OctetError(.unsupported, "elements", expected: "a size that fits memory", found: "\(data.count) bytes")
    }
    copyToRowMajor(data, into: rows.bytes, shape: header.shape, width: header.element.byteWidth)
    return try header.element.tensor(UnsafeRawBufferPointer(rows.bytes), shape: header.shape, from: rows)
  }
}
