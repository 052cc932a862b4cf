import Foundation
package import OctetCore
import OctetFormats

/// The folder of Package.swift.
package let packageRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path(percentEncoded: false)

/// One case of a file of reference vectors: its attributes and its tensors.
package struct VectorCase: Sendable, CustomStringConvertible {
  package let name: String
  package let attributes: [String: JSONValue]
  package let tensors: [String: Tensor]

  package var description: String { name }

  /// All cases of `Tests/Vectors/<file>.safetensors`, by name.
  ///
  /// Tensors are named `<case>/<field>`; the metadata `cases` is a JSON object of the cases' attributes.
  package static func load(_ file: String) throws -> [VectorCase] {
    let path = "\(packageRoot)/Tests/Vectors/\(file).safetensors"
    let contents = try SafetensorsFile(contentsOf: path)
    guard let json = contents.metadata["cases"] else {
      throw OctetError(
        .invalidFile, path, expected: "metadata named cases", found: "\(contents.metadata.keys.sorted())")
    }
    let attributes = try JSONDecoder().decode([String: [String: JSONValue]].self, from: Data(json.utf8))
    var tensors: [String: [String: Tensor]] = [:]
    for (name, tensor) in contents.tensors {
      let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
      guard parts.count == 2, attributes[parts[0]] != nil else {
        throw OctetError(.invalidFile, path, expected: "tensors named <case>/<field>", found: name)
      }
      tensors[parts[0], default: [:]][parts[1]] = tensor
    }
    return attributes.keys.sorted().map {
      VectorCase(name: $0, attributes: attributes[$0]!, tensors: tensors[$0] ?? [:])
    }
  }

  /// The tensor of a field; throws if there is none.
  package func tensor(_ field: String) throws -> Tensor {
    guard let tensor = tensors[field] else { throw missing(field, tensors.keys.sorted()) }
    return tensor
  }

  /// The tensors below `prefix`, under what follows it: `state/0.weight` as `0.weight`.
  package func tensors(below prefix: String) -> [String: Tensor] {
    Dictionary(
      uniqueKeysWithValues: tensors.filter { $0.key.hasPrefix(prefix) }.map {
        (String($0.key.dropFirst(prefix.count)), $0.value)
      })
  }

  /// An attribute; throws if there is none of this name and type.
  package func int(_ name: String) throws -> Int { try attribute(name) { Int(exactly: $0.number ?? .nan) } }
  package func ints(_ name: String) throws -> [Int] {
    try attribute(name) { value in
      guard case .array(let values) = value else { return nil }
      let integers = values.compactMap { Int(exactly: $0.number ?? .nan) }
      return integers.count == values.count ? integers : nil
    }
  }
  package func floats(_ name: String) throws -> [Float] {
    try attribute(name) { value in
      guard case .array(let values) = value else { return nil }
      let numbers = values.compactMap(\.number)
      return numbers.count == values.count ? numbers.map { Float($0) } : nil
    }
  }
  package func float(_ name: String) throws -> Float { try attribute(name) { $0.number.map { Float($0) } } }
  package func string(_ name: String) throws -> String {
    try attribute(name) { if case .string(let value) = $0 { value } else { nil } }
  }
  package func bool(_ name: String) throws -> Bool {
    try attribute(name) { if case .bool(let value) = $0 { value } else { nil } }
  }

  private func attribute<Value>(_ name: String, _ read: (JSONValue) -> Value?) throws -> Value {
    guard let value = attributes[name].flatMap(read) else { throw missing(name, attributes.keys.sorted()) }
    return value
  }

  private func missing(_ field: String, _ found: [String]) -> OctetError {
    OctetError(.unknownName, "vector \(name)", expected: field, found: "\(found)")
  }
}

/// Any JSON value.
package enum JSONValue: Hashable, Sendable, Decodable {
  case null, bool(Bool), number(Double), string(String), array([JSONValue]), object([String: JSONValue])

  package init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let string = try? value.decode(String.self) {
      self = .string(string)
    } else if let array = try? value.decode([JSONValue].self) {
      self = .array(array)
    } else {
      self = .object(try value.decode([String: JSONValue].self))
    }
  }

  package var number: Double? { if case .number(let value) = self { value } else { nil } }

  /// The value of a key; `nil` if there is none, or if this is no object.
  package subscript(key: String) -> JSONValue? { if case .object(let values) = self { values[key] } else { nil } }
}
