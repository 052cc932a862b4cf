import OctetCore

/// What the header of a safetensors file says, checked as far as the header itself goes.
struct SafetensorsHeader {
  struct Entry {
    let name: String
    let element: StoredElement
    let shape: [Int]
    /// Bytes of the data section.
    let range: Range<Int>
  }

  /// In the order of their data.
  private(set) var entries: [Entry] = []
  private(set) var metadata: [String: String] = [:]

  /// The limit of the format.
  static let largestByteCount = 100_000_000
  static let metadataName = "__metadata__"

  private static let elements: [String: StoredElement] = [
    "F64": .float64, "F32": .same(.float32), "F16": .same(.float16), "BF16": .bfloat16, "I64": .same(.int64),
    "I32": .same(.int32), "I16": .same(.int16), "U16": .same(.uint16), "I8": .same(.int8), "U8": .same(.uint8),
    "BOOL": .same(.bool),
  ]

  /// Reads the JSON of the header.
  ///
  /// - Throws: `OctetError`: `invalidFile` where the header breaks the format's rules; `unsupported` for an element type
  ///   that has no counterpart here. The subject names tensor and field.
  init(json: UnsafeRawBufferPointer, dataByteCount: Int) throws {
    guard json.first == UInt8(ascii: "{") else {
      throw OctetError(.invalidFile, "header", expected: "'{' at its beginning", found: "something else")
    }
    var scanner = JSONScanner(json)
    var names: Set<String> = []
    try scanner.object { scanner, name in
      guard names.insert(name).inserted else {
        throw OctetError(.invalidFile, excerpt(name), expected: "one entry", found: "two entries of that name")
      }
      try naming(excerpt(name)) {
        if name == Self.metadataName {
          metadata = try Self.metadata(&scanner)
        } else {
          entries.append(try Self.entry(name, &scanner))
        }
      }
    }
    try scanner.end()
    try checkLayout(dataByteCount: dataByteCount)
  }

  private static func metadata(_ scanner: inout JSONScanner) throws -> [String: String] {
    var metadata: [String: String] = [:]
    try scanner.object { scanner, key in
      let value = try naming(excerpt(key)) { try scanner.string() }
      guard metadata.updateValue(value, forKey: key) == nil else {
        throw OctetError(.invalidFile, excerpt(key), expected: "one value", found: "two values of that name")
      }
    }
    return metadata
  }

  private static func entry(_ name: String, _ scanner: inout JSONScanner) throws -> Entry {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
    var fields: Set<String> = []
    try scanner.object { scanner, field in
      guard fields.insert(field).inserted else {
        throw OctetError(.invalidFile, excerpt(field), expected: "one value", found: "two values of that name")
      }
      try naming(excerpt(field)) {
        switch field {
        case "dtype": dtype = try scanner.string()
        case "shape": shape = try scanner.integers()
        case "data_offsets": offsets = try scanner.integers()
        default:
          throw OctetError(.invalidFile, "field", expected: "dtype, shape, data_offsets", found: excerpt(field))
        }
      }
    }
    func present<Value>(_ value: Value?, _ field: String) throws -> Value {
      guard let value else { throw OctetError(.invalidFile, field, expected: "a value", found: "none") }
      return value
    }
    let element = try element(named: present(dtype, "dtype"))
    let sizes = try present(shape, "shape")
    let bounds = try present(offsets, "data_offsets")
    guard let byteCount = element.byteCount(of: sizes) else {
      throw OctetError(
        .invalidFile, "shape", expected: "dimensions from 0 to a sensible size", found: excerpt("\(sizes.prefix(32))"))
    }
    guard bounds.count == 2, bounds[0] >= 0, bounds[1] >= bounds[0] else {
      throw OctetError(
        .invalidFile, "data_offsets", expected: "beginning and end, in this order", found: "\(bounds.prefix(8))")
    }
    guard bounds[1] - bounds[0] == byteCount else {
      throw OctetError(
        .invalidFile, "data_offsets", expected: "\(byteCount) bytes for the shape and dtype", found: "\(bounds)")
    }
    return Entry(name: name, element: element, shape: sizes, range: bounds[0]..<bounds[1])
  }

  private static func element(named dtype: String) throws -> StoredElement {
    guard let element = elements[dtype] else {
      throw OctetError(
        .unsupported, "dtype", expected: "one of \(elements.keys.sorted().joined(separator: ", "))",
        found: excerpt(dtype))
    }
    return element
  }

  /// Every byte of the data belongs to exactly one tensor.
  private mutating func checkLayout(dataByteCount: Int) throws {
    entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var end = 0
    for entry in entries {
      guard entry.range.lowerBound == end else {
        throw OctetError(
          .invalidFile, "\(excerpt(entry.name)): data_offsets",
          expected: "a beginning at \(end), where the data before ends",
          found: "\(entry.range.lowerBound): \(entry.range.lowerBound < end ? "an overlap" : "a hole")")
      }
      end = entry.range.upperBound
      guard end <= dataByteCount else {
        throw OctetError(
          .invalidFile, "\(excerpt(entry.name)): data_offsets",
          expected: "an end within \(dataByteCount) bytes of data",
          found: "\(end)")
      }
    }
    guard end == dataByteCount else {
      throw OctetError(.invalidFile, "data", expected: "\(end) bytes as the header says", found: "\(dataByteCount)")
    }
  }
}
