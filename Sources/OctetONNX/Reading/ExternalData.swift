import OctetCore
import OctetFormats

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Weights in files beside the model. Only files below the model's folder are read, and none by way of a symbolic link or
/// `..`: a model must not make its reader look elsewhere.
final class ExternalData {
  private let folder: String
  private var files: [String: MappedFile] = [:]

  init(modelPath: String) {
    folder = modelPath.lastIndex(of: "/").map { String(modelPath[..<$0]) } ?? "."
  }

  /// Calls `body` with the stored bytes of a tensor, and the file that they stay valid with.
  func withBytes<Result>(
    of tensor: Onnx_TensorProto, count: Int, _ body: (UnsafeRawBufferPointer, MappedFile) throws -> Result
  ) throws -> Result {
    let entries = Dictionary(tensor.externalData.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    guard let location = entries["location"] else {
      throw OctetError(.invalidFile, "external_data", expected: "a location", found: entries.keys.sorted().description)
    }
    func number(_ key: String) throws -> Int? {
      guard let text = entries[key] else { return nil }
      guard let number = Int(text), number >= 0 else {
        throw OctetError(.invalidFile, "external_data", expected: "a \(key) of 0 or more", found: text)
      }
      return number
    }
    let offset = try number("offset") ?? 0
    guard try number("length") ?? count == count else {
      throw OctetError(.invalidFile, "external_data", expected: "a length of \(count)", found: entries["length"]!)
    }
    let file = try file(location)
    return try file.withUnsafeBytes { bytes in
      guard offset <= bytes.count, count <= bytes.count - offset else {
        throw OctetError(
          .invalidFile, location, expected: "\(count) bytes from \(offset) on", found: "\(bytes.count) bytes in all")
      }
      return try body(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]), file)
    }
  }

  /// The file of that name below the folder.
  func file(_ location: String) throws -> MappedFile {
    if let known = files[location] { return known }
    let parts = location.split(separator: "/", omittingEmptySubsequences: false)
    guard !parts.contains(where: { $0.isEmpty || $0 == ".." }), !location.utf8.contains(0) else {
      throw OctetError(
        .invalidFile, "external_data", expected: "a location below the model's folder", found: location)
    }
    let path = "\(folder)/\(parts.filter { $0 != "." }.joined(separator: "/"))"
    // Without links the path below the folder is already the real one.
    if let real = Self.realPath(path), let realFolder = Self.realPath(folder) {
      let expected = (realFolder == "/" ? "" : realFolder) + path.dropFirst(folder.count)
      guard real == expected else {
        throw OctetError(.invalidFile, "external_data", expected: "no symbolic links", found: location)
      }
    }
    let file = try MappedFile(path)
    files[location] = file
    return file
  }

  private static func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
