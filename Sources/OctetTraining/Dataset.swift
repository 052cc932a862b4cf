public import OctetCore
import OctetFormats

/// Samples to learn from: arrays with a row for each sample, by name.
///
///     let digits = try Dataset(npz: "digits.npz", scales: ["images": 1 / 16]).reshapingRows(of: "images", to: [1, 8, 8])
///     let (training, test) = try (digits.subset(0..<1297), digits.subset(1297..<1797))
///
/// Arrays stay as they are stored (images of bytes take a quarter of the memory of float32). On the way into a ``Batch``
/// those with a scale become float32; other integers become int64, as losses take classes.
public struct Dataset: Sendable {
  /// As they are stored: [n, ...]
  public let arrays: [String: Tensor]
  /// What the elements of an array are multiplied by: they reach batches as float32.
  public let scales: [String: Float]
  /// How many samples there are.
  public let count: Int

  /// - Parameters:
  ///   - arrays: [n, ...], one n for all.
  ///   - scales: for arrays of uint8, int8, uint16, int16, int32 or float32.
  /// - Throws: `OctetError`: `shapeMismatch` for arrays of different n; `dtypeMismatch` for an element type that cannot be
  ///   scaled, or of 4 bits; `unknownName` for the scale of no array; `invalidArgument` for no samples or a scale that is not
  ///   finite.
  public init(_ arrays: [String: Tensor], scales: [String: Float] = [:]) throws {
    for (name, tensor) in arrays.sorted(by: { $0.key < $1.key }) {
      try tensor.requireConcrete("its samples")
      guard tensor.rank > 0 else {
        throw OctetError(.shapeMismatch, name, expected: "a row for each sample", found: "\(tensor.type)")
      }
      guard tensor.dtype.bitWidth >= 8 else {
        throw OctetError(.dtypeMismatch, name, expected: "elements of 8 bits or more", found: "\(tensor.type)")
      }
    }
    let counts = arrays.mapValues { $0.shape[0] }
    guard let count = counts.values.max(), count > 0 else {
      throw OctetError(.invalidArgument, "data set", expected: "one sample or more", found: "none")
    }
    guard counts.values.allSatisfy({ $0 == count }) else {
      let found = counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
      throw OctetError(.shapeMismatch, "data set", expected: "arrays of one number of samples", found: found)
    }
    for (name, scale) in scales.sorted(by: { $0.key < $1.key }) {
      guard let tensor = arrays[name] else {
        throw OctetError(
          .unknownName, "scale", expected: "an array such as \(nearNames(to: name, in: arrays.keys))", found: name)
      }
      guard [.uint8, .int8, .uint16, .int16, .int32, .float32].contains(tensor.dtype) else {
        throw OctetError(
          .dtypeMismatch, name, expected: "integers of at most 32 bits, or float32, to be scaled",
          found: "\(tensor.type)")
      }
      guard scale.isFinite else {
        throw OctetError(.invalidArgument, "scale of \(name)", expected: "a finite number", found: "\(scale)")
      }
    }
    (self.arrays, self.scales, self.count) = (arrays, scales, count)
  }

  /// All arrays of an npz file.
  ///
  /// - Throws: as `NpzFile(contentsOf:)` and ``init(_:scales:)``; the subject begins with the path.
  public init(npz path: String, scales: [String: Float] = [:]) throws {
    let arrays = try NpzFile(contentsOf: path).tensors
    self = try naming(path) { try Dataset(arrays, scales: scales) }
  }

  /// The arrays of IDX files, plain or compressed by gzip, under names of your own.
  ///
  ///     try Dataset(
  ///       idx: ["images": "train-images-idx3-ubyte.gz", "labels": "train-labels-idx1-ubyte.gz"], scales: ["images": 1 / 255])
  ///
  /// - Throws: as `Idx.read(contentsOf:)` and ``init(_:scales:)``.
  public init(idx paths: [String: String], scales: [String: Float] = [:]) throws {
    try self.init(paths.mapValues { try Idx.read(contentsOf: $0) }, scales: scales)
  }

  /// Consecutive samples, without copying.
  ///
  /// - Throws: `OctetError`: `shapeMismatch` for a range that leaves the samples, `invalidArgument` for an empty one.
  public func subset(_ range: Range<Int>) throws -> Dataset {
    try Dataset(arrays.mapValues { try $0[range] }, scales: scales)
  }

  /// The same with another shape of the rows of one array: [n, 28, 28] becomes [n, 1, 28, 28] by `[1, 28, 28]`.
  ///
  /// - Throws: `OctetError`: `unknownName` for no array, `shapeMismatch` for another number of elements.
  public func reshapingRows(of name: String, to shape: [Int]) throws -> Dataset {
    var arrays = arrays
    arrays[name] = try naming(name) { try array(name).reshape([count] + shape) }
    return try Dataset(arrays, scales: scales)
  }

  /// Some samples as networks take them: scaled.
  ///
  /// - Throws: `OctetError` (`invalidArgument`) for a sample that does not exist.
  public func batch(_ samples: some Sequence<Int>) throws -> Batch {
    let samples = Array(samples)
    if let wrong = samples.first(where: { !(0..<count).contains($0) }) {
      throw OctetError(.invalidArgument, "sample", expected: "0..<\(count)", found: "\(wrong)")
    }
    return Batch(
      samples: samples, tensors: Dictionary(uniqueKeysWithValues: arrays.keys.map { ($0, rows($0, samples)) }))
  }

  func array(_ name: String) throws -> Tensor {
    guard let tensor = arrays[name] else {
      throw OctetError(
        .unknownName, "array", expected: "one such as \(nearNames(to: name, in: arrays.keys))", found: name)
    }
    return tensor
  }

  /// Rows of an array, scaled: [samples, ...]
  func rows(_ name: String, _ samples: [Int]) -> Tensor {
    let array = arrays[name]!
    var result = Tensor(uninitialized: [samples.count] + array.shape.dropFirst(), dtype: array.dtype)
    array.withUnsafeBytes { source in
      let row = source.count / count
      result.withUnsafeMutableBytes { target in
        for (place, sample) in samples.enumerated() where row > 0 {
          (target.baseAddress! + place * row).copyMemory(from: source.baseAddress! + sample * row, byteCount: row)
        }
      }
    }
    return computed(result, name)
  }

  /// Stored elements of an array as networks and losses take them.
  func computed(_ tensor: Tensor, _ name: String) -> Tensor {
    let scale = scales[name]
    func integers<T: BinaryInteger>(_: T.Type) -> Tensor {
      scale.map { scale in converted(tensor) { (x: T) in Float(x) * scale } }
        ?? converted(tensor) { (x: T) in Int64(x) }
    }
    return switch tensor.dtype {
    case .uint8: integers(UInt8.self)
    case .int8: integers(Int8.self)
    case .uint16: integers(UInt16.self)
    case .int16: integers(Int16.self)
    case .int32: integers(Int32.self)
    case .float32: scale.map { scale in converted(tensor) { (x: Float) in x * scale } } ?? tensor
    case .float16, .int64, .bool, .uint4, .int4: tensor
    }
  }

  private func converted<Source, Target: TensorScalar>(_ tensor: Tensor, _ convert: (Source) -> Target) -> Tensor {
    var result = Tensor(uninitialized: tensor.shape, dtype: Target.dtype)
    tensor.withUnsafeBytes { source in
      let elements = source.bindMemory(to: Source.self)
      result.withUnsafeMutableBytes { target in
        let target = target.bindMemory(to: Target.self)
        for i in elements.indices { target[i] = convert(elements[i]) }
      }
    }
    return result
  }
}

/// Some samples of a ``Dataset``, as networks take them.
public struct Batch: Sendable {
  /// Which samples of the data set they are.
  public let samples: [Int]
  /// [samples, ...]
  public let tensors: [String: Tensor]

  public var count: Int { samples.count }

  /// The array of this name.
  ///
  /// - Throws: `OctetError` (`unknownName`), with near names.
  public subscript(name: String) -> Tensor {
    get throws {
      guard let tensor = tensors[name] else {
        throw OctetError(
          .unknownName, "batch", expected: "an array such as \(nearNames(to: name, in: tensors.keys))", found: name)
      }
      return tensor
    }
  }
}
