import OctetCore

/// A value of the model while it is read.
struct Value {
  /// Its name in the graph.
  var name: String
  let type: TensorType
  /// Its elements, if they are known while reading.
  let constant: Tensor?
  /// Whether `constant`, of type int64, holds codes of symbolic dimensions (``SizeCodes``) among its numbers.
  var holdsSizes = false
  /// What it stands for inside of a pattern of dynamic quantization.
  var form: DynamicForm?

  var dtype: DType { type.dtype }
  var rank: Int { type.rank }
  var shape: [Dimension] { type.shape }

  /// The elements, if they are plain numbers.
  var tensor: Tensor? { holdsSizes ? nil : constant }
}

/// Sizes that are known only when the graph runs, as numbers: shape arithmetic moves them about like any others, and what
/// arrives where a shape is needed is decoded again.
final class SizeCodes {
  private static let first = Int64.min / 2
  private var names: [String] = []

  func code(_ dimension: Dimension) -> Int64 {
    switch dimension {
    case .fixed(let size): return Int64(size)
    case .symbolic(let name):
      let index = names.firstIndex(of: name) ?? names.endIndex
      if index == names.endIndex { names.append(name) }
      return Self.first + Int64(index)
    }
  }

  func dimension(_ code: Int64) -> Dimension {
    isSymbolic(code) ? .symbolic(names[Int(code - Self.first)]) : .fixed(Int(code))
  }

  func isSymbolic(_ code: Int64) -> Bool {
    code >= Self.first && code < Self.first + Int64(names.count)
  }

  func isIn(_ tensor: Tensor) throws -> Bool {
    guard !names.isEmpty, tensor.dtype == .int64 else { return false }
    return try tensor.withUnsafeScalars(as: Int64.self) { $0.contains(where: isSymbolic) }
  }
}
