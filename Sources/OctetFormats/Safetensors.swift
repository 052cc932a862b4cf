import OctetCore

/// The contents of a safetensors file: named tensors, and named strings about them.
///
/// The format: 8 bytes little-endian length of the header, the header (JSON: for each tensor its dtype, shape and place),
/// the elements. Read are F64 and BF16 (which become float32), F32, F16, I64, I32, I16, U16, I8, U8 and BOOL. Octet's
/// 4-bit types are written as U8 with their type and shape in the metadata (`octet.packed`), and read back as what they
/// were.
public struct SafetensorsFile: Sendable {
  public let tensors: [String: Tensor]
  /// The strings of `__metadata__`, without Octet's own note about packed tensors.
  public let metadata: [String: String]

  /// Reads the file at `path`.
  ///
  /// The file is mapped into memory: tensors share its pages until they are written to (which never changes the file),
  /// so that what is not used is not loaded. It must not be shortened or overwritten in place while they are in use;
  /// replacing it by another, as ``write(_:metadata:to:)`` does, is safe.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be read; `invalidFile` if it breaks the rules of the format
  ///   anywhere; `unsupported` for another dtype. The subject names file, tensor and field.
  public init(contentsOf path: String) throws {
    (tensors, metadata) = try naming(path) {
      let file = try MappedFile(path)
      return try file.withUnsafeBytes { try Self.parse($0, from: file) }
    }
  }

  private static func parse(
    _ bytes: UnsafeRawBufferPointer, from file: MappedFile
  ) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
    guard let length = bytes.integer(at: 0, as: UInt64.self) else {
      throw OctetError(.invalidFile, "header length", expected: "8 bytes", found: "a file of \(bytes.count)")
    }
    guard length <= SafetensorsHeader.largestByteCount, let json = bytes.slice(at: 8, count: Int(length)) else {
      throw OctetError(
        .invalidFile, "header length",
        expected: "at most \(min(bytes.count - 8, SafetensorsHeader.largestByteCount)) bytes", found: "\(length)")
    }
    let data = UnsafeRawBufferPointer(rebasing: bytes[(8 + json.count)...])
    let header = try SafetensorsHeader(json: json, dataByteCount: data.count)
    var tensors: [String: Tensor] = [:]
    for entry in header.entries {
      tensors[entry.name] = try naming(excerpt(entry.name)) {
        try entry.element.tensor(UnsafeRawBufferPointer(rebasing: data[entry.range]), shape: entry.shape, from: file)
      }
    }
    var metadata = header.metadata
    if let note = metadata.removeValue(forKey: PackedTensors.metadataKey) {
      try naming("\(SafetensorsHeader.metadataName): \(PackedTensors.metadataKey)") {
        try PackedTensors.restore(&tensors, note: note)
      }
    }
    return (tensors, metadata)
  }

  /// Writes `tensors` and `metadata` to `path`, whole or not at all. The same contents always give the same bytes.
  ///
  /// - Throws: `OctetError`: `fileAccess` if the file cannot be written; `invalidArgument` for a tensor named
  ///   `__metadata__`, metadata named `octet.packed` or a header beyond the format's limit of 100 MB; `notTraceable` for
  ///   a traced tensor.
  public static func write(_ tensors: [String: Tensor], metadata: [String: String] = [:], to path: String) throws {
    try naming(path) {
      // Largest elements first, so that every tensor begins where its elements may lie; the format allows no gaps.
      let ordered = tensors.map { (name: $0.key, tensor: $0.value) }.sorted {
        let widths = (max($0.tensor.dtype.bitWidth, 8), max($1.tensor.dtype.bitWidth, 8))
        return widths.0 == widths.1 ? byBytes($0.name, $1.name) : widths.0 > widths.1
      }
      let header = try header(of: ordered, metadata: metadata)
      try writeWhole(to: path) { writer in
        try writer.write(header)
        for (_, tensor) in ordered { try tensor.withUnsafeBytes { try writer.write($0) } }
      }
    }
  }

  /// Length and JSON, filled up with spaces so that the data begins at a multiple of 64 bytes.
  private static func header(
    of tensors: [(name: String, tensor: Tensor)], metadata: [String: String]
  ) throws -> [UInt8] {
    for (reserved, isUsed) in [
      (SafetensorsHeader.metadataName, tensors.contains { $0.name == SafetensorsHeader.metadataName }),
      (PackedTensors.metadataKey, metadata[PackedTensors.metadataKey] != nil),
    ] where isUsed {
      throw OctetError(.invalidArgument, reserved, expected: "a name that is not reserved", found: reserved)
    }
    var entries: [String] = []
    var metadata = metadata
    metadata[PackedTensors.metadataKey] = PackedTensors.note(on: tensors)
    if !metadata.isEmpty {
      let strings = metadata.sorted { byBytes($0.key, $1.key) }
        .map { "\(quotedForJSON($0.key)):\(quotedForJSON($0.value))" }
      entries.append("\"\(SafetensorsHeader.metadataName)\":{\(strings.joined(separator: ","))}")
    }
    var end = 0
    for (name, tensor) in tensors {
      let byteCount = try naming(excerpt(name)) {
        try tensor.requireConcrete("its elements")
        return tensor.dtype.byteCount(of: try tensor.count)
      }
      let (dtype, isPacked) = storedName(of: tensor.dtype)
      let shape = isPacked ? [byteCount] : tensor.shape
      entries.append(
        "\(quotedForJSON(name)):{\"dtype\":\"\(dtype)\",\"shape\":[\(shape.map(String.init).joined(separator: ","))],"
          + "\"data_offsets\":[\(end),\(end + byteCount)]}")
      end += byteCount
    }
    var json = Array("{\(entries.joined(separator: ","))}".utf8)
    json.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (64 - (8 + json.count) % 64) % 64))
    guard json.count <= SafetensorsHeader.largestByteCount else {
      throw OctetError(
        .invalidArgument, "header", expected: "at most \(SafetensorsHeader.largestByteCount) bytes",
        found: "\(json.count)")
    }
    var header: [UInt8] = []
    header.appendLittleEndian(UInt64(json.count))
    return header + json
  }

  private static func storedName(of dtype: DType) -> (name: String, isPacked: Bool) {
    switch dtype {
    case .float32: ("F32", false)
    case .float16: ("F16", false)
    case .int64: ("I64", false)
    case .int32: ("I32", false)
    case .int16: ("I16", false)
    case .uint16: ("U16", false)
    case .int8: ("I8", false)
    case .uint8: ("U8", false)
    case .bool: ("BOOL", false)
    case .uint4, .int4: ("U8", true)
    }
  }
}
