public import OctetCore

/// Writes an npz file whose tensors grow row by row and need not fit into memory.
///
/// Rows wait in files without names beside the new one, which appears when it is whole (``finish()``): whatever ends the
/// process before leaves nothing behind.
public final class NpzWriter {
  private struct Rows {
    let spool: SpoolFile
    let dtype: DType
    var shape: [Int]
  }

  private let path: String
  private var arrays: [String: Rows] = [:]

  /// - Throws: `OctetError` (`fileAccess`) if no file can be made in the folder of `path`.
  public init(_ path: String) throws {
    self.path = path
    try checkPlace(path)
  }

  /// The types of the tensors so far.
  public var types: [String: TensorType] {
    arrays.mapValues { TensorType($0.dtype, fixed: $0.shape) }
  }

  /// Appends rows to the tensor `name` along its first axis.
  ///
  /// - Throws: `OctetError`: `shapeMismatch` or `dtypeMismatch` if they are unlike the rows before; `fileAccess` if the disk
  ///   is full; `unsupported` for uint4 and int4; `notTraceable` for a traced tensor.
  public func append(_ rows: Tensor, to name: String) throws {
    try naming(path) {
      try naming(name) {
        try rows.requireConcrete("its elements")
        guard let count = rows.shape.first else {
          throw OctetError(.shapeMismatch, "rows", expected: "a first axis", found: "a scalar")
        }
        var array = try arrays[name] ?? newArray(for: rows)
        guard array.dtype == rows.dtype else {
          throw OctetError(.dtypeMismatch, "rows", expected: array.dtype.rawValue, found: rows.dtype.rawValue)
        }
        guard array.shape.dropFirst().elementsEqual(rows.shape.dropFirst()) else {
          throw OctetError(
            .shapeMismatch, "rows", expected: "shape \(array.shape.dropFirst()) as before",
            found: "\(rows.shape.dropFirst())")
        }
        try rows.withUnsafeBytes { try array.spool.write($0) }
        array.shape[0] += count
        arrays[name] = array
      }
    }
  }

  private func newArray(for rows: Tensor) throws -> Rows {
    // Types that the format does not have are refused before there is anything to regret.
    _ = try NpyHeader.bytes(rows.dtype, rows.shape)
    return Rows(spool: try SpoolFile(beside: path), dtype: rows.dtype, shape: [0] + rows.shape.dropFirst())
  }

  /// Puts the file in its place, whole or not at all: what ``NpzFile/write(_:to:)`` would write.
  ///
  /// - Throws: `OctetError` (`fileAccess`) if that cannot be done.
  public func finish() throws {
    try naming(path) {
      try writeWhole(to: path) { writer in
        var archive = ZipWriter()
        for (name, array) in arrays.sorted(by: { byBytes($0.key, $1.key) }) {
          let header = try NpyHeader.bytes(array.dtype, array.shape)
          try array.spool.contents().withUnsafeBytes {
            try archive.append(name: name + NpzArchive.suffix, head: header, body: $0, to: &writer)
          }
        }
        try archive.finish(&writer)
      }
    }
  }
}
