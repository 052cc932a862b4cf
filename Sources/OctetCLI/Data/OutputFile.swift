import Foundation
import Octet

/// Where outputs of runs go: one `.npz` in which they are stacked, or a folder with one for each run.
final class OutputFile {
  let path: String
  private let writer: NpzWriter?
  private let isStacked: Bool
  /// What one `.npz` holds so far.
  var types: [String: TensorType] { writer?.types ?? [:] }

  /// - Throws: `OctetError` (`fileAccess`) if nothing can be written there; `WrongUse` if it is where the data is.
  init(_ path: String, for samples: Samples, from data: String) throws {
    self.path = path
    isStacked = samples.isStacked
    func place(_ path: String) -> String { URL(filePath: path).resolvingSymlinksInPath().standardizedFileURL.path }
    guard place(path) != place(data) else { throw WrongUse("--output and --inputs are the same: \(path)") }
    guard samples.isFolder else {
      writer = try NpzWriter(path)
      return
    }
    writer = nil
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw OctetError(.fileAccess, path, expected: "a folder, or a place for one", found: error.localizedDescription)
    }
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

/// Runs `body`, which puts a file in its place, without being ended by Ctrl-C halfway.
private func withoutInterruption<Result>(_ body: () throws -> Result) rethrows -> Result {
  let handlers = [SIGINT, SIGTERM].map { ($0, signal($0, SIG_IGN)) }
  defer { for (number, handler) in handlers { signal(number, handler) } }
  return try body()
}
