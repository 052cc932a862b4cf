import Foundation
import Octet

/// Where outputs of runs go: one `.npz` in which they are stacked, or a folder with one for each run.
final class OutputFile {
  let path: String
  private let writer: NpzWriter?
  private let isStacked: Bool
  /// What one `.npz` holds so far.
  var types: [String: TensorType] { writer?.types ?? [:] }

  /// - Throws: `OctetError` (`fileAccess`) if nothing can be written there.
  init(_ path: String, for samples: Samples) throws {
    self.path = path
    isStacked = samples.isStacked
    guard samples.isFolder else {
      writer = try NpzWriter(path)
      return
    }
    writer = nil
    try makeFolder(path)
  }

  /// - Throws: `OctetError` if they do not fit those before, or cannot be written.
  func add(_ outputs: [String: Tensor], of run: Samples.Run) throws {
    guard let writer else {
      return try withoutInterruption { try NpzFile.write(outputs, to: "\(path)/\(run.file!)") }
    }
    for (name, tensor) in outputs {
      let rows = isStacked || tensor.rank == 0 ? try tensor.reshape([1] + tensor.shape) : tensor
      do {
        try writer.append(rows, to: name)
      } catch let error as OctetError where error.code == .shapeMismatch {
        throw OctetError(
          error.code, error.subject,
          expected: "\(error.expected) (for outputs of several shapes: --inputs with a folder of .npz)",
          found: error.found)
      }
    }
  }

  /// Puts the file in its place.
  func finish() throws {
    try withoutInterruption { try writer?.finish() }
  }
}
