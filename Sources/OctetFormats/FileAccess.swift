import OctetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file whose bytes are mapped into memory, read-only, for as long as this object lives.
///
/// Tensors borrow from it. Whoever shortens a file while it is mapped takes away the memory; Octet itself never does:
/// it writes a new file and puts it in the place of the old one (``writeWhole(to:_:)``).
package final class MappedFile: @unchecked Sendable {
  package let path: String
  // Constant from initialization to deinitialization; empty without an address for an empty file.
  private let bytes: UnsafeRawBufferPointer

  package var byteCount: Int { bytes.count }

  /// - Throws: `OctetError` (`fileAccess`) if there is no such regular file or it may not be read.
  package init(_ path: String) throws {
    self.path = path
    try checkForTerminator(path)
    // Not to wait for somebody who writes, should this be a pipe.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw fileError(path, "a file that can be read") }
    defer { close(descriptor) }
    bytes = try Self.map(descriptor, path)
  }

  /// The bytes of an open file.
  fileprivate init(_ descriptor: Int32, _ path: String) throws {
    self.path = path
    bytes = try Self.map(descriptor, path)
  }

  private static func map(_ descriptor: Int32, _ path: String) throws -> UnsafeRawBufferPointer {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw fileError(path, "a file that can be read") }
    guard isRegularFile(status) else {
      throw OctetError(.fileAccess, path, expected: "a regular file", found: "a folder, pipe or device")
    }
    let count = Int(status.st_size)
    guard count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw fileError(path, "a file of \(count) bytes that can be mapped")
    }
    return UnsafeRawBufferPointer(start: base, count: count)
  }

  /// Gives back the memory of a range that is not needed for a while; it is read anew when it is.
  package func release(_ range: Range<Int>) {
    let page = Int(getpagesize())
    // Whole pages inside the range, so that neighbours keep theirs; the first one is shared with what came before.
    let start = range.lowerBound / page * page
    let end = range.upperBound / page * page
    guard let base = bytes.baseAddress, start < end else { return }
    madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }

  /// Calls `body` with the bytes of the file. They stay valid while this object lives.
  package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(self) { try body(bytes) }
  }
}

/// Puts bytes at the end of a file that is being made.
package struct FileWriter: ~Copyable {
  private let descriptor: Int32
  private let path: String
  private var buffer: [UInt8] = []
  private static let bufferSize = 1 << 16

  /// How many bytes were written so far.
  package private(set) var byteCount = 0

  fileprivate init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
    buffer.reserveCapacity(Self.bufferSize)
  }

  /// - Throws: `OctetError` (`fileAccess`) if the system cannot take them (a full disk).
  package mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
    byteCount += bytes.count
    if buffer.count + bytes.count > Self.bufferSize { try flush() }
    if bytes.count >= Self.bufferSize {
      try writeThrough(bytes)
    } else {
      buffer.append(contentsOf: bytes)
    }
  }

  /// - Throws: `OctetError` (`fileAccess`) if the system cannot take them (a full disk).
  package mutating func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  fileprivate mutating func flush() throws {
    try buffer.withUnsafeBytes { try writeThrough($0) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func writeThrough(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafeWrite(descriptor, UnsafeRawBufferPointer(rebasing: rest))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw fileError(path, "a file that can be written") }
      rest = rest.dropFirst(count)
    }
  }
}

/// Makes the file at `path`, whole or not at all: `body` writes a temporary file in the same folder, which takes the
/// place of `path` only when every byte has reached the disk. If anything throws, an old file at `path` stays as it is
/// and nothing is left behind. On Linux nothing is left either where the process is killed meanwhile: the file has no name
/// before it is whole, wherever the file system can do that. (Ended between being named and taking the place of an old file,
/// the whole new file is left under another name.)
///
/// A symbolic link at `path` is followed. The new file has the permissions of any new file.
///
/// - Throws: `OctetError` (`fileAccess`) if the folder or the file cannot be written, or if something other than a
///   regular file is at `path`; what `body` throws.
package func writeWhole(to path: String, _ body: (inout FileWriter) throws -> Void) throws {
  try checkForTerminator(path)
  let target = try followingLinks(path)
  let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
  var (temporary, descriptor) = try makeFile(in: folder, for: path)
  var isOpen = true
  do {
    var writer = FileWriter(descriptor: descriptor, path: path)
    try body(&writer)
    try writer.flush()
    guard fsync(descriptor) == 0 else { throw fileError(path, "a file that can be written") }
    if temporary == nil { temporary = try nameFile(descriptor, in: folder, for: path) }
    isOpen = false
    guard close(descriptor) == 0 else { throw fileError(path, "a file that can be written") }
    guard rename(temporary!, target) == 0 else { throw fileError(path, "a place where a file can be put") }
  } catch {
    if isOpen { close(descriptor) }
    if let temporary { unlink(temporary) }
    throw error
  }
  // The name is on the disk once its folder is. Not every file system can do this, and the file is whole either way.
  let folderDescriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_CLOEXEC)
  if folderDescriptor >= 0 {
    fsync(folderDescriptor)
    close(folderDescriptor)
  }
}

/// A file that grows, without a name: it is gone when this object is, or when the process ends in whatever way.
final class SpoolFile {
  private let descriptor: Int32
  private let path: String
  private var writer: FileWriter

  /// - Parameter path: a file in whose folder there is room.
  /// - Throws: `OctetError` (`fileAccess`) if no file can be made there.
  init(beside path: String) throws {
    try checkForTerminator(path)
    let target = try followingLinks(path)
    let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
    let (temporary, descriptor) = try makeFile(in: folder, for: path)
    if let temporary { unlink(temporary) }
    self.descriptor = descriptor
    self.path = path
    writer = FileWriter(descriptor: descriptor, path: path)
  }

  deinit { close(descriptor) }

  /// - Throws: `OctetError` (`fileAccess`) if the system cannot take them (a full disk).
  func write(_ bytes: UnsafeRawBufferPointer) throws { try writer.write(bytes) }

  /// Everything that was written so far.
  func contents() throws -> MappedFile {
    try writer.flush()
    return try MappedFile(descriptor, path)
  }
}

/// Whether ``writeWhole(to:_:)`` can put a file at `path`, as far as that can be seen before: better than after an hour of
/// work.
///
/// - Throws: `OctetError` (`fileAccess`) if not.
package func checkPlace(_ path: String) throws { _ = try SpoolFile(beside: path) }

/// A new file that is open for reading and writing: without a name if the system can do that, otherwise under one that
/// nobody has.
private func makeFile(in folder: String, for path: String) throws -> (name: String?, descriptor: Int32) {
  #if os(Linux)
    // What <fcntl.h> calls O_TMPFILE. It is named by way of /proc.
    let unnamed: Int32 = 0o20_000_000 | O_DIRECTORY
    if access("/proc/self/fd", X_OK) == 0 {
      let descriptor = open(folder.isEmpty ? "." : folder, O_RDWR | unnamed | O_CLOEXEC, 0o666)
      if descriptor >= 0 { return (nil, descriptor) }
    }
  #endif
  return try makeTemporaryFile(in: folder, for: path)
}

/// Gives a file that has none a name that nobody has.
private func nameFile(_ descriptor: Int32, in folder: String, for path: String) throws -> String {
  while true {
    let name = temporaryName(in: folder)
    if linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 { return name }
    guard errno == EEXIST || errno == EINTR else { throw fileError(path, "a folder where files can be made") }
  }
}

private func temporaryName(in folder: String) -> String {
  folder + ".octet-" + String(UInt64.random(in: 0...UInt64.max), radix: 16) + ".tmp"
}

/// A new file that is open for reading and writing, under a name that nobody has.
private func makeTemporaryFile(in folder: String, for path: String) throws -> (name: String, descriptor: Int32) {
  var temporary = ""
  var descriptor: Int32 = -1
  repeat {
    temporary = temporaryName(in: folder)
    descriptor = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
  } while descriptor < 0 && (errno == EEXIST || errno == EINTR)
  guard descriptor >= 0 else { throw fileError(path, "a folder where files can be made") }
  return (temporary, descriptor)
}

/// The path behind symbolic links, if there is a file already.
package func followingLinks(_ path: String) throws -> String {
  var status = stat()
  guard stat(path, &status) == 0 else { return path }
  guard isRegularFile(status) else {
    throw OctetError(.fileAccess, path, expected: "a regular file or nothing", found: "a folder, pipe or device")
  }
  guard let resolved = realpath(path, nil) else { throw fileError(path, "a file that can be found") }
  defer { free(resolved) }
  return String(cString: resolved)
}

private func isRegularFile(_ status: stat) -> Bool { status.st_mode & S_IFMT == S_IFREG }

private func unsafeWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
  write(descriptor, bytes.baseAddress, bytes.count)
}

/// A path is handed over as a C string: what follows a NUL would be lost.
private func checkForTerminator(_ path: String) throws {
  guard !path.utf8.contains(0) else {
    throw OctetError(.fileAccess, path, expected: "a path without NUL", found: "one with NUL")
  }
}

/// What the system says about its last refusal.
private func fileError(_ path: String, _ expected: String) -> OctetError {
  OctetError(.fileAccess, path, expected: expected, found: String(cString: strerror(errno)))
}
