import Octet
import OctetONNX

/// What reads files that others have made.
///
/// Each takes the bytes of a file to the end: also what is read only when it is used, and what is made of it next.
enum Parser: String, CaseIterable {
  case onnx, safetensors, npy, npz, idx, model, qconfig

  /// - Throws: `OctetError`, and nothing else.
  func read(_ path: String) throws {
    switch self {
    case .onnx: try use(ONNXModel(contentsOf: path).graph)
    case .model: try use(Graph(contentsOf: path))
    case .safetensors: try SafetensorsFile(contentsOf: path).tensors.values.forEach(touch)
    case .npy: try touch(Npy.read(contentsOf: path))
    case .npz: try readArchive(path)
    case .idx: try touch(Idx.read(contentsOf: path))
    case .qconfig: _ = try QConfigMap(contentsOf: path).json()
    }
  }

  private func readArchive(_ path: String) throws {
    let archive = try NpzArchive(contentsOf: path)
    for name in archive.names {
      // Each on its own: one that is refused says nothing about the next.
      try? checked { _ = try archive.type(of: name) }
      try? checked { try touch(archive.tensor(name)) }
      try? checked {
        let rows = try archive.rows(of: name)
        while let some = try rows.next(3) { try touch(some) }
      }
    }
  }

  /// Every byte of a tensor, so that one that lies outside of the file is noticed.
  private func touch(_ tensor: Tensor) throws {
    switch tensor.dtype {
    case .float32: _ = try tensor.scalars(as: Float.self).reduce(0, +)
    case .int8: _ = try tensor.scalars(as: Int8.self).reduce(0, ^)
    case .uint8: _ = try tensor.scalars(as: UInt8.self).reduce(0, ^)
    case .int16: _ = try tensor.scalars(as: Int16.self).reduce(0, ^)
    case .uint16: _ = try tensor.scalars(as: UInt16.self).reduce(0, ^)
    case .int32: _ = try tensor.scalars(as: Int32.self).reduce(0, ^)
    case .int64: _ = try tensor.scalars(as: Int64.self).reduce(0, ^)
    case .bool: _ = try tensor.scalars(as: Bool.self).count { $0 }
    // (These have no elements in Swift.)
    case .float16, .int4, .uint4: break
    }
  }

  /// What commands make of a graph.
  private func use(_ graph: Graph) throws {
    _ = graph.description
    for parameter in graph.parameters.values { try touch(parameter.value) }
    let fused = try graph.foldingConstants().fused()
    try? checked { _ = try fused.onnxBytes() }
    try? checked { _ = try Plan(fused) }
  }
}

/// Runs `body`, whose errors are `OctetError`: any other is a fault.
func checked(_ body: () throws -> Void) throws {
  do {
    try body()
  } catch {
    guard error is OctetError else { fatalError("not an OctetError: \(type(of: error)): \(error)") }
    throw error
  }
}
