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
    let archive = try NpzArchive(contentsOf: path)
    tensors = try Dictionary(uniqueKeysWithValues: archive.names.map { ($0, try archive.tensor($0)) })
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
              try archive.append(name: name + NpzArchive.suffix, head: header, body: $0, to: &writer)
            }
          }
        }
        try archive.finish(&writer)
      }
    }
  }
}
