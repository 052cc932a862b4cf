import CZlib
import Foundation
import OctetCore
import OctetFormats
import Testing

@Suite struct NpzRowsTests {
  @Test(arguments: ["stored.npz", "compressed.npz", "streamed.npz"], [1, 2, 5])
  func piecesMakeTheWhole(name: String, count: Int) throws {
    let archive = try NpzArchive(contentsOf: Fixtures.path(name))
    let whole = try NpzFile(contentsOf: Fixtures.path(name)).tensors
    #expect(archive.names.count == whole.count)
    for (name, tensor) in whole {
      #expect(try archive.type(of: name) == tensor.type)
      expectEqual([name: try archive.tensor(name)], [name: tensor])
      guard tensor.rank > 0 else {
        try expectError(.shapeMismatch, "\(name).npy") { _ = try archive.rows(of: name) }
        continue
      }
      let rows = try archive.rows(of: name)
      #expect(rows.type == tensor.type && rows.count == tensor.shape[0])
      var start = 0
      while let piece = try rows.next(count) {
        let end = min(start + count, tensor.shape[0])
        expectEqual(["piece": piece], ["piece": try tensor[start..<end]])
        start = end
      }
      #expect(start == tensor.shape[0] && rows.count == 0)
    }
  }

  @Test(arguments: [false, true]) func damageComesOutWithTheLastRows(deflated: Bool) throws {
    try withTemporaryFolder { folder in
      try Npy.write(Tensor((0..<100).map { Float($0) }, shape: [10, 10]), to: folder + "/a.npy")
      var entry = ZipBuilder.Entry("a.npy", try contents(of: folder + "/a.npy"), deflated: deflated)
      entry.contents[entry.contents.count - 1] ^= 1
      try put(ZipBuilder(entry).bytes(), at: folder + "/a.npz")
      let rows = try NpzArchive(contentsOf: folder + "/a.npz").rows(of: "a")
      #expect(try rows.next(9)?.shape == [9, 10])
      try expectError(.invalidFile, "a.npy: CRC-32") { _ = try rows.next(9) }
    }
  }

  @Test func aCompressedEntryWithMoreThanItsSize() throws {
    try #require(octet_zlib_available())
    try withTemporaryFolder { folder in
      try Npy.write(Tensor((0..<6).map { Float($0) }, shape: [3, 2]), to: folder + "/a.npy")
      let bytes = try contents(of: folder + "/a.npy")
      var entry = ZipBuilder.Entry("a.npy", bytes + [0], deflated: true)
      entry.size = UInt64(bytes.count)
      try put(ZipBuilder(entry).bytes(), at: folder + "/a.npz")
      let rows = try NpzArchive(contentsOf: folder + "/a.npz").rows(of: "a")
      try expectError(.invalidFile, "compressed data") { _ = try rows.next(3) }
    }
  }

  @Test func namesThatAreNotThere() throws {
    let archive = try NpzArchive(contentsOf: Fixtures.path("stored.npz"))
    try expectError(.unknownName, "arrays") { _ = try archive.tensor("nope") }
    try expectError(.unknownName, "arrays") { _ = try archive.rows(of: "nope") }
  }

  private func expectError(_ code: OctetError.Code, _ field: String, _ body: () throws -> Void) throws {
    let error = #expect(throws: OctetError.self) { try body() }
    #expect(error?.code == code)
    #expect(error?.subject.contains(field) == true, "\(error?.subject ?? "")")
  }

  @Test func rowsThatGrowAreWrittenAsAWhole() throws {
    try withTemporaryFolder { folder in
      let tensors = try tensorsOfEveryKind(packed: false).filter { $0.value.rank > 0 }
      let writer = try NpzWriter(folder + "/rows.npz")
      for (name, tensor) in tensors {
        for row in 0..<tensor.shape[0] { try writer.append(tensor[row..<row + 1], to: name) }
        if tensor.shape[0] == 0 { try writer.append(tensor, to: name) }
      }
      #expect(writer.types == tensors.mapValues(\.type))
      // Nothing is to be seen before the end.
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      try writer.finish()
      try NpzFile.write(tensors, to: folder + "/whole.npz")
      #expect(try contents(of: folder + "/rows.npz") == contents(of: folder + "/whole.npz"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
    }
  }

  @Test func rowsMustFit() throws {
    try withTemporaryFolder { folder in
      let writer = try NpzWriter(folder + "/x.npz")
      try writer.append(Tensor([Float(1), 2], shape: [1, 2]), to: "x")
      try expectError(.shapeMismatch, "x") { try writer.append(Tensor([Float(1)], shape: [1, 1]), to: "x") }
      try expectError(.dtypeMismatch, "x") { try writer.append(Tensor([Int8(1), 2], shape: [1, 2]), to: "x") }
      try expectError(.shapeMismatch, "y") { try writer.append(Tensor([Float(1)], shape: []), to: "y") }
      try expectError(.unsupported, "y") { try writer.append(Tensor(zeros: [1, 2], dtype: .int4), to: "y") }
      try expectError(.fileAccess, "nope") { _ = try NpzWriter(folder + "/nope/x.npz") }
      try expectError(.fileAccess, folder) { _ = try NpzWriter(folder) }
      try writer.finish()
      #expect(try NpzFile(contentsOf: folder + "/x.npz").tensors.keys.sorted() == ["x"])
    }
  }
}
