/// An n-dimensional array of numbers, in row-major order.
///
/// A tensor is *concrete* (it has values) or *traced* (it stands for a value of a graph that is being recorded). Both
/// go through ``apply(_:_:)`` alike, and so does a concrete tensor that is being differentiated, which knows what it was
/// computed from. Tensors are values: copies share their memory until one of them is written.
public struct Tensor: Sendable {
  package enum Representation: Sendable {
    /// Elements lie one after another in `storage`, from `byteOffset` on.
    case concrete(storage: TensorStorage, byteOffset: Int, shape: [Int])
    case traced(TracedValue)
  }

  package private(set) var representation: Representation
  public let dtype: DType
  private var recorded: TapedValue?
  /// Where the tensor stands on the tape that records what is computed from parameters; `nil` if none does, or if its
  /// gradients have been computed.
  package var origin: TapedValue? { recorded.flatMap { $0.tape.isOpen ? $0 : nil } }

  /// The element type and shape; dimensions of a traced tensor may be symbolic.
  public var type: TensorType {
    switch representation {
    case .concrete(_, _, let shape): TensorType(dtype, fixed: shape)
    case .traced(let value): value.type
    }
  }

  /// The shape. A symbolic dimension of a traced tensor reads as −1, which may be handed on to ``reshape(_:)``.
  ///
  /// Do not calculate with a dimension that may be symbolic, nor branch on it: −1 is not its size. ``type`` tells them
  /// apart, and `count` throws where the size is needed.
  public var shape: [Int] {
    switch representation {
    case .concrete(_, _, let shape): shape
    case .traced(let value): value.type.shape.map { $0.size ?? -1 }
    }
  }

  public var rank: Int {
    switch representation {
    case .concrete(_, _, let shape): shape.count
    case .traced(let value): value.type.rank
    }
  }

  package init(traced value: TracedValue) {
    representation = .traced(value)
    dtype = value.type.dtype
  }

  package init(storage: TensorStorage, byteOffset: Int = 0, shape: [Int], dtype: DType) {
    precondition(byteOffset + dtype.byteCount(of: elementCount(of: shape)) <= storage.byteCount)
    representation = .concrete(storage: storage, byteOffset: byteOffset, shape: shape)
    self.dtype = dtype
  }

  /// A tensor of zeros.
  public init(zeros shape: [Int], dtype: DType = .float32) throws {
    let count = try requireElementCount(of: shape)
    self.init(storage: TensorStorage(byteCount: dtype.byteCount(of: count)), shape: shape, dtype: dtype)
  }

  /// A tensor for whoever writes all of its elements. The shape is that of a tensor that exists.
  package init(uninitialized shape: [Int], dtype: DType) {
    let storage = TensorStorage(byteCount: dtype.byteCount(of: elementCount(of: shape)), zeroed: false)
    self.init(storage: storage, shape: shape, dtype: dtype)
  }

  /// A tensor of the given elements in row-major order.
  ///
  /// - Throws: `OctetError` (`shapeMismatch`) if the number of scalars is not the product of `shape`.
  public init<T: TensorScalar>(_ scalars: [T], shape: [Int]) throws {
    let count = try requireElementCount(of: shape)
    guard count == scalars.count else {
      throw OctetError(
        .shapeMismatch, "Tensor", expected: "\(count) scalars for shape \(shape)", found: "\(scalars.count)")
    }
    self.init(uninitialized: shape, dtype: T.dtype)
    withUnsafeMutableBytes { bytes in scalars.withUnsafeBytes { bytes.copyMemory(from: $0) } }
  }

  /// A tensor with one element repeated.
  public init<T: TensorScalar>(repeating scalar: T, shape: [Int]) throws {
    try self.init([T](repeating: scalar, count: requireElementCount(of: shape)), shape: shape)
  }

  /// The number of elements.
  ///
  /// - Throws: `OctetError` (`notTraceable`) if the tensor is traced and its shape is not fully known.
  public var count: Int {
    get throws {
      switch representation {
      case .concrete(_, _, let shape): elementCount(of: shape)
      case .traced(let value):
        if let shape = value.type.fixedShape {
          elementCount(of: shape)
        } else {
          throw value.hasNoValues("its number of elements")
        }
      }
    }
  }

  /// All elements in row-major order.
  ///
  /// - Throws: `OctetError`: `dtypeMismatch` if `T` is not the element type; `notTraceable` if the tensor is traced,
  ///   naming the module that asked.
  public func scalars<T: TensorScalar>(as type: T.Type) throws -> [T] {
    try withUnsafeScalars(as: type) { Array($0) }
  }

  /// The only element of a tensor with one element.
  public func item<T: TensorScalar>(as type: T.Type) throws -> T {
    let scalars = try scalars(as: type)
    guard scalars.count == 1 else {
      throw OctetError(.shapeMismatch, "item", expected: "one element", found: "shape \(shape)")
    }
    return scalars[0]
  }

  /// Calls `body` with the elements in row-major order.
  ///
  /// - Throws: as ``scalars(as:)``, and what `body` throws.
  public func withUnsafeScalars<T: TensorScalar, Result>(
    as type: T.Type, _ body: (UnsafeBufferPointer<T>) throws -> Result
  ) throws -> Result {
    guard dtype == T.dtype else {
      throw OctetError(.dtypeMismatch, "Tensor", expected: T.dtype.rawValue, found: dtype.rawValue)
    }
    try requireConcrete("its elements")
    return try withUnsafeBytes { try body($0.bindMemory(to: T.self)) }
  }

  /// Calls `body` with the elements for writing; memory that other tensors share is copied first. For gradients, what has
  /// been written is a constant.
  ///
  /// - Throws: as ``scalars(as:)``, and what `body` throws.
  public mutating func withUnsafeMutableScalars<T: TensorScalar, Result>(
    as type: T.Type, _ body: (UnsafeMutableBufferPointer<T>) throws -> Result
  ) throws -> Result {
    guard dtype == T.dtype else {
      throw OctetError(.dtypeMismatch, "Tensor", expected: T.dtype.rawValue, found: dtype.rawValue)
    }
    try requireConcrete("its elements")
    return try withUnsafeMutableBytes { try body($0.bindMemory(to: T.self)) }
  }

  /// The rows `range` along the first axis, without copying. The memory stays shared; it may not be 64-byte aligned.
  ///
  /// - Throws: `OctetError`: `shapeMismatch` if the range leaves the axis; `notTraceable` if the tensor is traced.
  public subscript(range: Range<Int>) -> Tensor {
    get throws {
      guard case .concrete(let storage, let byteOffset, var shape) = representation else {
        throw notTraceable("a slice of it")
      }
      guard let rows = shape.first, range.lowerBound >= 0, range.upperBound <= rows else {
        throw OctetError(
          .shapeMismatch, "slice", expected: "a range within 0..<\(shape.first ?? 0)", found: "\(range)")
      }
      if origin != nil { return try slice(axis: 0, from: range.lowerBound, to: range.upperBound) }
      let row = elementCount(of: Array(shape.dropFirst()))
      guard (row * range.lowerBound * dtype.bitWidth).isMultiple(of: 8) else {
        throw OctetError(.unsupported, "slice", expected: "rows of whole bytes", found: "\(row) × \(dtype.rawValue)")
      }
      shape[0] = range.count
      return Tensor(
        storage: storage, byteOffset: byteOffset + dtype.byteCount(of: row * range.lowerBound), shape: shape,
        dtype: dtype)
    }
  }

  /// The same elements under another shape with the same number of elements, without copying. For concrete tensors
  /// inside the package; ``reshape(_:)`` is the operation.
  package func reinterpreted(as newShape: [Int]) -> Tensor {
    guard case .concrete(let storage, let byteOffset, let shape) = representation else {
      preconditionFailure("a traced tensor has no memory")
    }
    precondition(elementCount(of: shape) == elementCount(of: newShape))
    return Tensor(storage: storage, byteOffset: byteOffset, shape: newShape, dtype: dtype)
  }
}

// MARK: - Differentiation

extension Tensor {
  /// The same values without what they were computed from: a constant for gradients.
  public var detached: Tensor {
    var tensor = self
    tensor.recorded = nil
    return tensor
  }

  /// The same values as a value of a tape.
  func taped(as origin: TapedValue) -> Tensor {
    var tensor = self
    tensor.recorded = origin
    return tensor
  }
}

// MARK: - Memory

extension Tensor {
  package var isTraced: Bool {
    if case .traced = representation { true } else { false }
  }

  /// What records operations on this tensor.
  package var tracer: (any Tracer)? {
    if case .traced(let value) = representation { value.tracer } else { nil }
  }

  package func requireConcrete(_ wanted: String) throws {
    if case .traced(let value) = representation { throw value.hasNoValues(wanted) }
  }

  private func notTraceable(_ wanted: String) -> OctetError {
    guard case .traced(let value) = representation else { preconditionFailure("concrete") }
    return value.hasNoValues(wanted)
  }

  /// The bytes of a concrete tensor.
  package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    guard case .concrete(let storage, let byteOffset, let shape) = representation else {
      preconditionFailure("a traced tensor has no memory")
    }
    let bytes = UnsafeRawBufferPointer(
      start: storage.base + byteOffset, count: dtype.byteCount(of: elementCount(of: shape)))
    return try withExtendedLifetime(storage) { try body(bytes) }
  }

  /// The bytes of a concrete tensor for writing; copied first if they are shared or belong to a file.
  package mutating func withUnsafeMutableBytes<Result>(
    _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    guard case .concrete(var storage, var byteOffset, let shape) = representation else {
      preconditionFailure("a traced tensor has no memory")
    }
    let count = dtype.byteCount(of: elementCount(of: shape))
    // What is written has not been computed.
    recorded = nil
    // Let go of our own reference, so that a storage which only this tensor uses counts one reference.
    representation = .concrete(storage: .none, byteOffset: 0, shape: [0])
    if !storage.isWritable || !isKnownUniquelyReferenced(&storage) {
      let copy = TensorStorage(byteCount: count, zeroed: false)
      copy.base.copyMemory(from: storage.base + byteOffset, byteCount: count)
      storage = copy
      byteOffset = 0
    }
    representation = .concrete(storage: storage, byteOffset: byteOffset, shape: shape)
    return try body(UnsafeMutableRawBufferPointer(start: storage.base + byteOffset, count: count))
  }

  /// Where the elements of a concrete tensor lie, for as long as the tensor lives.
  package var address: UnsafeMutableRawPointer {
    guard case .concrete(let storage, let byteOffset, _) = representation else {
      preconditionFailure("a traced tensor has no memory")
    }
    return storage.base + byteOffset
  }

  /// Whether the tensor has values, of this element type and shape.
  package func holds(_ dtype: DType, _ shape: [Int]) -> Bool {
    guard case .concrete(_, _, let own) = representation else { return false }
    return self.dtype == dtype && own == shape
  }

  /// What tells one block of values from another: tensors with the same identity share all their memory.
  package struct Identity: Hashable {
    let storage: ObjectIdentifier
    let byteOffset: Int
  }

  package var identity: Identity? {
    guard case .concrete(let storage, let byteOffset, _) = representation else { return nil }
    return Identity(storage: ObjectIdentifier(storage), byteOffset: byteOffset)
  }
}

extension TensorStorage {
  /// A placeholder without elements.
  fileprivate static let none = TensorStorage(byteCount: 0)
}

/// The product of a shape's dimensions.
package func elementCount(of shape: [Int]) -> Int { shape.reduce(1, *) }

/// The product of a shape's dimensions; `nil` if one of them is negative, or if those that are not 0 make more elements
/// than a tensor can have. (So no part of an empty shape overflows either; and it may not pretend much, since loops go over
/// nothing too.)
package func checkedElementCount(of shape: [Int]) -> Int? {
  var count = 1
  for size in shape where size != 0 {
    let (product, overflow) = count.multipliedReportingOverflow(by: size)
    guard size > 0, !overflow, product <= 1 << 48 else { return nil }
    count = product
  }
  guard shape.contains(0) else { return count }
  return count <= 1 << 30 ? 0 : nil
}

private func requireElementCount(of shape: [Int]) throws -> Int {
  guard let count = checkedElementCount(of: shape) else {
    throw OctetError(.shapeMismatch, "Tensor", expected: "a shape of sensible sizes", found: "\(shape)")
  }
  return count
}

// MARK: - Printing

extension Tensor: CustomStringConvertible {
  /// The type, and the first elements if there are values: `float32 [2, 3]: 1.0 2.0 …`.
  public var description: String {
    guard case .concrete = representation else { return "\(type) (traced)" }
    func first<T: TensorScalar>(_: T.Type) -> String {
      let scalars = (try? withUnsafeScalars(as: T.self) { Array($0.prefix(8)) }) ?? []
      return scalars.map { "\($0)" }.joined(separator: " ") + (elementCount(of: shape) > 8 ? " …" : "")
    }
    let elements =
      switch dtype {
      case .float32: first(Float.self)
      case .uint8: first(UInt8.self)
      case .int8: first(Int8.self)
      case .uint16: first(UInt16.self)
      case .int16: first(Int16.self)
      case .int32: first(Int32.self)
      case .int64: first(Int64.self)
      case .bool: first(Bool.self)
      case .float16, .uint4, .int4: "…"
      }
    return "\(type): \(elements)"
  }
}
