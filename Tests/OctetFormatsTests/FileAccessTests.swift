import Foundation
import OctetCore
import OctetFormats
import Testing

@Suite struct FileAccessTests {
  private struct Interruption: Error {}

  /// Promise 7: files are written whole or not at all.
  @Test func filesAreWrittenWholeOrNotAtAll() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/model.safetensors"
      // With an old file and without one, stopped after little and after much.
      for old in [nil, [UInt8]("old".utf8)] {
        if let old { try put(old, at: path) }
        for count in [0, 1, 1 << 20] {
          #expect(throws: Interruption.self) {
            try writeWhole(to: path) { writer in
              try writer.write([UInt8](repeating: 7, count: count))
              throw Interruption()
            }
          }
          #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder) == (old == nil ? [] : ["model.safetensors"]))
          if let old { #expect(try contents(of: path) == old) }
        }
      }
      // The formats too: the second tensor cannot be written as npy.
      let tensors = [
        "a": try Tensor([Float](repeating: 1, count: 100_000), shape: [100_000]), "b": try tensor([1], .int4, [2]),
      ]
      #expect(throws: OctetError.self) { try NpzFile.write(tensors, to: path) }
      #expect(try contents(of: path) == Array("old".utf8))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.safetensors"])

      try writeWhole(to: path) { try $0.write(Array("new".utf8)) }
      #expect(try contents(of: path) == Array("new".utf8))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.safetensors"])
    }
  }

  #if os(Linux)
    /// A killed process leaves nothing of a file that it had not finished, which has no name yet.
    @Test func filesAreNamelessUntilTheyAreWhole() throws {
      try withTemporaryFolder { folder in
        func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder) }
        // Where the file system can do that: with what <fcntl.h> calls O_TMPFILE.
        let probe = open(folder, O_RDWR | O_DIRECTORY | 0o20_000_000 | O_CLOEXEC, 0o600)
        guard probe >= 0 else { return }
        close(probe)
        try writeWhole(to: folder + "/model") { writer in
          try writer.write([UInt8](repeating: 7, count: 1 << 20))
          #expect(try names() == [])
        }
        #expect(try names() == ["model"])
      }
    }
  #endif

  @Test func aFileMayBeReplacedWhileItsTensorsAreInUse() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/weights.safetensors"
      let old = try Tensor((0..<100_000).map { Float($0) }, shape: [100_000])
      try SafetensorsFile.write(["w": old], to: path)
      let read = try #require(SafetensorsFile(contentsOf: path).tensors["w"])
      try SafetensorsFile.write(["w": read[0..<10]], to: path)
      #expect(bytes(of: read) == bytes(of: old))
      #expect(try SafetensorsFile(contentsOf: path).tensors["w"]?.shape == [10])
    }
  }

  @Test func writesOfEverySizeArriveInOrder() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/pieces"
      let sizes = [0, 1, 65_535, 65_536, 3, 65_534, 200_000, 1, 0, 65_537, 12]
      var expected: [UInt8] = []
      try writeWhole(to: path) { writer in
        for (i, size) in sizes.enumerated() {
          let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 * 31 + i) }
          expected += piece
          try writer.write(piece)
          #expect(writer.byteCount == expected.count)
        }
      }
      #expect(try contents(of: path) == expected)
    }
  }

  @Test func newFilesHaveUsualPermissionsAndLinksAreFollowed() throws {
    try withTemporaryFolder { folder in
      try put([1], at: folder + "/usual")
      try writeWhole(to: folder + "/ours") { try $0.write([1]) }
      func permissions(_ name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: folder + "/" + name)[.posixPermissions] as? Int
      }
      #expect(try permissions("ours") == 0o666 & ~Int(currentMask()))

      try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "usual")
      try writeWhole(to: folder + "/link") { try $0.write([2]) }
      #expect(try contents(of: folder + "/usual") == [2])
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/link") == "usual")
    }
  }

  @Test func whatCannotBeOpenedIsAnError() throws {
    try withTemporaryFolder { folder throws in
      for path in [folder + "/missing", folder, "", "a\0b"] {
        #expect(throws: OctetError.self) { try MappedFile(path) }
        let error = #expect(throws: OctetError.self) { try SafetensorsFile(contentsOf: path) }
        #expect(error?.code == .fileAccess)
        #expect(error?.subject == path)
      }
      for path in [folder + "/missing/file", folder, "/dev/null", "", "a\0b"] {
        let error = #expect(throws: OctetError.self) { try writeWhole(to: path) { try $0.write([1]) } }
        #expect(error?.code == .fileAccess)
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      // A pipe is refused, not waited for.
      #expect(mkfifo(folder + "/pipe", 0o600) == 0)
      #expect(throws: OctetError.self) { try MappedFile(folder + "/pipe") }
    }
  }

  @Test func aMappedFileShowsTheFile() throws {
    try withTemporaryFolder { folder in
      for count in [0, 1, 4096, 100_001] {
        let expected = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
        try put(expected, at: folder + "/file")
        let file = try MappedFile(folder + "/file")
        #expect(file.byteCount == count)
        #expect(file.withUnsafeBytes { Array($0) } == expected)
      }
    }
  }
}

/// The permissions that this process takes from new files.
private func currentMask() -> mode_t {
  let mask = umask(0o022)
  umask(mask)
  return mask
}
