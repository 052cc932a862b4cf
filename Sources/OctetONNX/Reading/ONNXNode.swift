import OctetCore

/// A node of the model as the mappings see it: its operands, its attributes, and ways to make operations.
struct ONNXNode {
  let name: String
  let type: String
  /// The version of its operator set.
  let opset: Int
  let inputs: [Value?]
  let outputNames: [String]
  let attributes: [String: Onnx_AttributeProto]
  /// Free entries by key.
  var metadata: [String: String] = [:]
  let builder: GraphBuilder
  let reader: GraphReader
  let context: GraphReader.Context

  // MARK: - Operands

  func input(_ index: Int) throws -> Value {
    guard let value = optionalInput(index) else {
      throw OctetError(.invalidFile, "input \(index)", expected: "an operand", found: "none")
    }
    return value
  }

  func optionalInput(_ index: Int) -> Value? { index < inputs.count ? inputs[index] : nil }

  /// All operands of an operator that takes any number of them.
  func allInputs() throws -> [Value] { try inputs.indices.map(input) }

  /// The elements of an operand that must be known while reading.
  func constant(_ value: Value, _ what: String) throws -> Tensor {
    guard let tensor = value.tensor else {
      throw OctetError(
        .unsupported, what, expected: "a constant",
        found: value.holdsSizes ? "a size that is known only when the graph runs" : value.name)
    }
    return tensor
  }

  /// The integers that an operand holds, which must be known.
  func integers(_ value: Value, _ what: String) throws -> [Int] {
    let tensor = try constant(value, what)
    _ = try listed(tensor.count)
    return try tensor.integers(what)
  }

  /// Integers from operand `index`, or from an attribute where older versions have them; `nil` if there is neither.
  func integers(input index: Int, orAttribute name: String) throws -> [Int]? {
    if let value = optionalInput(index) { return try integers(value, name) }
    return try ints(name)
  }

  /// The number that an operand of one element holds.
  func number(_ value: Value, _ what: String) throws -> Float {
    let numbers = try constant(value, what).numbers(what)
    guard numbers.count == 1 else {
      throw OctetError(.invalidFile, what, expected: "one number", found: "\(numbers.count)")
    }
    return numbers[0]
  }

  /// Whether somebody may use result `index`.
  func isWanted(_ index: Int) -> Bool { index < outputNames.count && !outputNames[index].isEmpty }

  // MARK: - Attributes

  func has(_ name: String) -> Bool { attributes[name] != nil }

  func int(_ name: String, default value: Int) throws -> Int { try optionalInt(name) ?? value }

  func optionalInt(_ name: String) throws -> Int? { try attribute(name, .int) { Int($0.i) } }

  func ints(_ name: String) throws -> [Int]? { try attribute(name, .ints) { $0.ints.map { Int($0) } } }

  func float(_ name: String, default value: Float) throws -> Float { try attribute(name, .float) { $0.f } ?? value }

  func floats(_ name: String) throws -> [Float]? { try attribute(name, .floats) { $0.floats } }

  func string(_ name: String, default value: String) throws -> String {
    try attribute(name, .string) { String(decoding: $0.s, as: UTF8.self) } ?? value
  }

  func strings(_ name: String) throws -> [String]? {
    try attribute(name, .strings) { $0.strings.map { String(decoding: $0, as: UTF8.self) } }
  }

  func tensor(_ name: String) throws -> Tensor? {
    try attribute(name, .tensor) { try reader.tensors.tensor($0.t, "attribute \(name)") }
  }

  func graph(_ name: String) throws -> Onnx_GraphProto? { try attribute(name, .graph) { $0.g } }

  private func attribute<Result>(
    _ name: String, _ type: Onnx_AttributeProto.AttributeType, _ body: (Onnx_AttributeProto) throws -> Result
  ) throws -> Result? {
    guard let attribute = attributes[name] else { return nil }
    // Files of the first versions do not say the type.
    guard attribute.type == type || attribute.type == .undefined else {
      throw OctetError(.invalidFile, "attribute \(name)", expected: "\(type)", found: "\(attribute.type)")
    }
    return try body(attribute)
  }

  /// What an attribute says that Octet cannot do.
  func unsupported(_ what: String, expected: String, found: Any) -> OctetError {
    OctetError(.unsupported, what, expected: expected, found: "\(found)")
  }

  func invalid(_ what: String, expected: String, found: Any) -> OctetError {
    OctetError(.invalidFile, what, expected: expected, found: "\(found)")
  }

  /// Checks that attributes have the only values that Octet knows.
  func require(_ name: String, is value: Int) throws {
    let found = try int(name, default: value)
    guard found == value else { throw unsupported(name, expected: "\(value)", found: found) }
  }

  // MARK: - Operations

  /// How many numbers a mapping lists: the product of sizes of an operand, which a few bytes of a file may exaggerate.
  func listed(_ sizes: Int...) throws -> Int {
    let limit = 1 << 24
    var count = 1
    for size in sizes {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, product <= limit else {
        throw unsupported("sizes", expected: "at most \(limit) in all", found: sizes)
      }
      count = product
    }
    return count
  }

  func results(_ op: Op, _ operands: Value?...) throws -> [Value] {
    try builder.emit(op, operands, named: partName(op))
  }

  func results(_ op: Op, _ operands: [Value?]) throws -> [Value] { try builder.emit(op, operands, named: partName(op)) }

  /// The result of an operation that has one.
  func apply(_ op: Op, _ operands: Value?...) throws -> Value { try results(op, operands)[0] }

  private func partName(_ op: Op) -> String { "\(name)/\(op.kind.rawValue)" }

  func constant(_ tensor: Tensor, _ what: String = "constant") -> Value {
    builder.constant(tensor, named: "\(name)/\(what)")
  }

  func scalar(_ number: Float) throws -> Value { constant(try Tensor(number)) }

  func integers(_ numbers: [Int]) throws -> Value {
    constant(try Tensor(numbers.map { Int64($0) }, shape: [numbers.count]), "indices")
  }

  func unary(_ function: Op.Unary, _ x: Value) throws -> Value { try apply(.unary(function), x) }
  func add(_ a: Value, _ b: Value) throws -> Value { try apply(.binary(.add), a, b) }
  func sub(_ a: Value, _ b: Value) throws -> Value { try apply(.binary(.sub), a, b) }
  func mul(_ a: Value, _ b: Value) throws -> Value { try apply(.binary(.mul), a, b) }
  func div(_ a: Value, _ b: Value) throws -> Value { try apply(.binary(.div), a, b) }

  /// The axis counted from the front.
  func axis(_ axis: Int, rank: Int) throws -> Int {
    guard axis >= -rank, axis < rank else {
      throw invalid("axis", expected: "an axis of rank \(rank)", found: axis)
    }
    return axis < 0 ? axis + rank : axis
  }
}

extension Tensor {
  /// The elements of an integer tensor of any width.
  func integers(_ what: String) throws -> [Int] {
    switch dtype {
    case .int64: return try scalars(as: Int64.self).map { Int($0) }
    case .int32: return try scalars(as: Int32.self).map { Int($0) }
    case .uint8, .int8, .uint16, .int16, .uint4, .int4:
      let count = try count
      return withUnsafeBytes { bytes in (0..<count).map { loadInteger(at: $0, dtype, from: bytes) } }
    case .bool: return try scalars(as: Bool.self).map { $0 ? 1 : 0 }
    case .float32, .float16:
      throw OctetError(.dtypeMismatch, what, expected: "integers", found: "\(type)")
    }
  }

  /// The elements as real numbers.
  func numbers(_ what: String) throws -> [Float] {
    dtype == .float32 ? try scalars(as: Float.self) : try integers(what).map { Float($0) }
  }
}
