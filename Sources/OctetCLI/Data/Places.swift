import Foundation
import Octet

/// Makes sure that what is written takes the place of nothing that is read or written too.
///
/// - Parameters:
///   - written: a path by the name of its option; `nil` if the option is not given.
///   - others: the same of other files.
/// - Throws: `WrongUse` if two of them are the same place.
func requirePlace(_ written: (option: String, path: String?), besides others: [(option: String, path: String?)]) throws
{
  func place(_ path: String) -> String { URL(filePath: path).resolvingSymlinksInPath().standardizedFileURL.path }
  guard let path = written.path else { return }
  for case (let option, let other?) in others where place(other) == place(path) {
    throw WrongUse("\(written.option) and \(option) are the same: \(path)")
  }
}

/// The names of what is in a folder, sorted.
///
/// - Throws: `OctetError` (`fileAccess`) if it cannot be read.
func namesInFolder(_ path: String) throws -> [String] {
  // (What Foundation says of its failures is nothing for people.)
  guard let folder = opendir(path) else {
    throw OctetError(.fileAccess, path, expected: "a folder that can be read", found: String(cString: strerror(errno)))
  }
  closedir(folder)
  return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
}

/// Makes a folder, and those around it, if it is not there.
///
/// - Throws: `OctetError` (`fileAccess`) if that cannot be done.
func makeFolder(_ path: String) throws {
  try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  guard access(path, W_OK | X_OK) == 0, let folder = opendir(path) else {
    throw OctetError(
      .fileAccess, path, expected: "a folder, or a place for one", found: String(cString: strerror(errno)))
  }
  closedir(folder)
}
