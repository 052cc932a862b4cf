// What libFuzzer, whose `main` the compiler links, calls.
//
// fuzz-readers PARSER [libFuzzer's arguments]: random files for one of Octet's readers, until one crashes it.
// fuzz-readers --seeds PARSER ROOT FOLDER: files to begin with, from the real ones of the repository at ROOT.

import Foundation
import Octet

/// The reader that is fuzzed, and the file that it reads. Readers read files: one is written over and over; the tensors of
/// the run before are gone by then.
private struct Fuzzer {
  let parser: Parser
  let path: String
  let file: Int32

  init(_ parser: Parser) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "octet-fuzz-\(parser)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    self.parser = parser
    path = folder.appending(path: "input").path
    file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else { fail("\(path) cannot be written") }
  }

  func run(_ bytes: UnsafePointer<UInt8>?, _ count: Int) {
    guard ftruncate(file, off_t(count)) == 0, pwrite(file, bytes, count, 0) == count else { fail("the disk is full") }
    try? checked { try parser.read(path) }
  }
}

// Set once, before the first run; libFuzzer has one thread.
nonisolated(unsafe) private var fuzzer: Fuzzer?

private func fail(_ text: String) -> Never {
  FileHandle.standardError.write(Data("fuzz-readers: \(text)\n".utf8))
  exit(2)
}

private func parser(_ name: String) -> Parser {
  guard let parser = Parser(rawValue: name) else {
    fail("which parser? \(Parser.allCases.map(\.rawValue).joined(separator: ", "))")
  }
  return parser
}

/// Takes the parser's name out of the arguments.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> Int32 {
  let words = (0..<Int(count.pointee)).map { String(cString: arguments.pointee[$0]!) }
  do {
    if words.count == 5, words[1] == "--seeds" {
      try parser(words[2]).writeSeeds(from: words[3], to: words[4])
      exit(0)
    }
    fuzzer = try Fuzzer(parser(words.count > 1 ? words[1] : ""))
  } catch {
    fail("\(error)")
  }
  for index in 1..<words.count - 1 { arguments.pointee[index] = arguments.pointee[index + 1] }
  count.pointee -= 1
  return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  fuzzer!.run(bytes, count)
  return 0
}
