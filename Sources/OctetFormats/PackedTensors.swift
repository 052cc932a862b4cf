import OctetCore

/// How tensors of 4-bit elements go into a format that has none: as bytes of two elements each, beside a note in the
/// metadata, `{"name": {"dtype": "int4", "shape": [3, 5]}, …}`.
enum PackedTensors {
  static let metadataKey = "octet.packed"

  struct Note {
    var dtype: DType
    var shape: [Int]
  }

  /// The note about the packed ones among `tensors`; `nil` if there are none.
  static func note(on tensors: [(name: String, tensor: Tensor)]) -> String? {
    let packed = tensors.filter { $0.tensor.dtype.bitWidth < 8 }.sorted { byBytes($0.name, $1.name) }
    guard !packed.isEmpty else { return nil }
    let entries = packed.map { name, tensor in
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      return "\(quotedForJSON(name)):{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)]}"
    }
    return "{\(entries.joined(separator: ","))}"
  }

  /// Gives the tensors that `note` names their type and shape back.
  ///
  /// - Throws: `OctetError` (`invalidFile`) if the note is malformed or does not fit the tensors.
  static func restore(_ tensors: inout [String: Tensor], note: String) throws {
    for (name, note) in try notes(in: note) {
      try naming(excerpt(name)) {
        guard let bytes = tensors[name] else {
          throw OctetError(.invalidFile, "tensor", expected: "one of that name", found: "none")
        }
        guard let elements = StoredElement.same(.uint8).byteCount(of: note.shape) else {
          throw OctetError(
            .invalidFile, "shape", expected: "dimensions from 0 to a sensible size",
            found: excerpt("\(note.shape.prefix(32))"))
        }
        guard bytes.dtype == .uint8, bytes.shape == [note.dtype.byteCount(of: elements)],
          case .concrete(let storage, let byteOffset, _) = bytes.representation
        else {
          throw OctetError(
            .invalidFile, "shape", expected: "uint8 [\(note.dtype.byteCount(of: elements))] for the packed elements",
            found: excerpt("\(bytes.type)"))
        }
        tensors[name] = Tensor(storage: storage, byteOffset: byteOffset, shape: note.shape, dtype: note.dtype)
      }
    }
  }

  private static func notes(in text: String) throws -> [(String, Note)] {
    let bytes = Array(text.utf8)
    return try bytes.withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      var notes: [(String, Note)] = []
      try scanner.object { scanner, name in
        var dtype: String?
        var shape: [Int]?
        try scanner.object { scanner, field in
          switch field {
          case "dtype": dtype = try scanner.string()
          case "shape": shape = try scanner.integers()
          default:
            throw OctetError(.invalidFile, excerpt(name), expected: "dtype and shape", found: excerpt(field))
          }
        }
        guard let dtype = dtype.flatMap(DType.init(rawValue:)), dtype.bitWidth < 8, let shape else {
          throw OctetError(
            .invalidFile, excerpt(name), expected: "dtype uint4 or int4, and shape", found: excerpt(dtype ?? "none"))
        }
        notes.append((name, Note(dtype: dtype, shape: shape)))
      }
      try scanner.end()
      return notes
    }
  }
}
