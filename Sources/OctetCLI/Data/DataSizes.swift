import Foundation
import Octet

/// What data says of inputs that a model leaves open: their sizes, and the values of single numbers, which may choose what the
/// model does.
struct DataSizes: Hashable {
  /// Sizes by the names that the model has for them, those of first axes apart.
  private(set) var inner: [String: Int] = [:]
  private(set) var first: [String: Int] = [:]
  /// Inputs of one whole number or truth value.
  private(set) var numbers: [String: Tensor] = [:]

  /// What tensors for the inputs that a model declares say; `nil` if they do not fit.
  init?(_ types: [String: TensorType], _ numbers: [String: Tensor], for inputs: [Graph.Input]) {
    self.numbers = numbers
    for input in inputs {
      guard let type = types[input.name], type.rank == input.type.rank else { return nil }
      for (dimension, size) in zip(input.type.shape, type.shape) {
        guard case .symbolic(let name) = dimension, let size = size.size else { continue }
        guard inner[name] ?? first[name] ?? size == size else { return nil }
        let isFirst = inputs.contains { $0.type.shape.first == dimension }
        if isFirst { first[name] = size } else { inner[name] = size }
      }
    }
  }

  /// These without what was not needed.
  func keeping(first isFirst: Bool, numbers areNumbers: Bool) -> DataSizes {
    var sizes = self
    if !isFirst { sizes.first = [:] }
    if !areNumbers { sizes.numbers = [:] }
    return sizes
  }

  /// Of the tensors of one run.
  init?(_ tensors: [String: Tensor], for inputs: [Graph.Input]) {
    let numbers = tensors.filter { name, tensor in
      inputs.contains { $0.name == name && Self.isNumber($0.type, tensor.type) }
    }
    self.init(tensors.mapValues(\.type), numbers, for: inputs)
  }

  /// Of the first run of data (``Samples``) for the inputs that a model declares.
  init?(of path: String, for inputs: [Graph.Input], batch: Int) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else { return nil }
    if isDirectory.boolValue {
      let names = try? FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasSuffix(".npz") }
      guard let file = names?.min() else { return nil }
      let archive = try NpzArchive(contentsOf: "\(path)/\(file)")
      let present = inputs.map(\.name).filter(archive.names.contains)
      self.init(
        try Dictionary(uniqueKeysWithValues: present.map { ($0, try archive.tensor($0)) }), for: inputs)
      return
    }
    let archive = try NpzArchive(contentsOf: path)
    var (types, numbers) = ([String: TensorType](), [String: Tensor]())
    for input in inputs where archive.names.contains(input.name) {
      var type = try archive.type(of: input.name)
      if Self.isNumber(input.type, type) { numbers[input.name] = try archive.tensor(input.name) }
      if type.rank == input.type.rank + 1 {
        type.shape.removeFirst()
      } else if type.rank == input.type.rank, let name = input.type.shape.first, name.size == nil,
        !inputs.contains(where: { $0.type.shape.dropFirst().contains(name) })
      {
        // The first axis counts samples, unless the size stands elsewhere too.
        type.shape[0] = .fixed(min(batch, type.shape[0].size!))
      }
      types[input.name] = type
    }
    self.init(types, numbers, for: inputs)
  }

  private static func isNumber(_ declared: TensorType, _ type: TensorType) -> Bool {
    declared.shape.allSatisfy { $0 == 1 } && declared.shape == type.shape && declared.dtype == type.dtype
      && [.int32, .int64, .bool].contains(type.dtype)
  }

  static func == (a: DataSizes, b: DataSizes) -> Bool { a.key == b.key }
  func hash(into hasher: inout Hasher) { hasher.combine(key) }

  private var key: [String: [Int]] {
    var key = inner.merging(first) { $1 }.mapValues { [$0] }
    for (name, number) in numbers { key[name] = number.withUnsafeBytes { $0.map { Int($0) } } }
    return key
  }

  /// For people: `height = 640, sr = 16000, width = 640`.
  var description: String {
    let values = numbers.mapValues { number in
      switch number.dtype {
      case .int64: (try? number.item(as: Int64.self)).map(Int.init) ?? 0
      case .int32: (try? number.item(as: Int32.self)).map(Int.init) ?? 0
      default: (try? number.item(as: Bool.self)) == true ? 1 : 0
      }
    }
    return inner.merging(first) { $1 }.merging(values) { $1 }.sorted { $0.key < $1.key }.map { "\($0) = \($1)" }
      .joined(separator: ", ")
  }
}
