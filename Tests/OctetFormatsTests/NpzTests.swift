import OctetCore
import OctetFormats
import Testing

@Suite struct NpzTests {
  @Test(arguments: ["stored.npz", "compressed.npz", "streamed.npz"]) func readsWhatNumPyWrote(name: String) throws {
    let file = try NpzFile(contentsOf: Fixtures.path(name))
    #expect(file.tensors.count == ["stored.npz": 14, "compressed.npz": 15, "streamed.npz": 12][name])
    for (name, tensor) in file.tensors { try Fixtures.check(tensor, name) }
  }

  @Test func everyTypeSurvivesARoundTrip() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/all.npz"
      var tensors = try tensorsOfEveryKind(packed: false)
      tensors["层/ü.npy"] = try Tensor([Float(1)], shape: [1])
      tensors[""] = try Tensor([Float(2)], shape: [1])
      try NpzFile.write(tensors, to: path)
      expectEqual(try NpzFile(contentsOf: path).tensors, tensors)
      try NpzFile.write([:], to: path)
      #expect(try NpzFile(contentsOf: path).tensors.isEmpty)
    }
  }

  @Test func theSameContentsGiveTheSameBytes() throws {
    try withTemporaryFolder { folder in
      let tensors = try tensorsOfEveryKind(packed: false)
      var written: Set<[UInt8]> = []
      for round in 0..<4 {
        var shuffled: [String: Tensor] = [:]
        shuffled.reserveCapacity(100 << round)
        for name in tensors.keys.shuffled() { shuffled[name] = tensors[name] }
        try NpzFile.write(shuffled, to: folder + "/x")
        written.insert(try contents(of: folder + "/x"))
      }
      #expect(written.count == 1)
    }
  }

  @Test(arguments: ["stored.npz", "compressed.npz"]) func writingToATensorLeavesTheOthers(name: String) throws {
    let before = try Fixtures.bytes(name)
    let file = try NpzFile(contentsOf: Fixtures.path(name))
    var tensor = try #require(file.tensors["int32"])
    try tensor.withUnsafeMutableScalars(as: Int32.self) { $0[0] = 7 }
    #expect(try tensor.scalars(as: Int32.self)[0] == 7)
    try Fixtures.check(try #require(file.tensors["int32"]), "int32")
    #expect(try Fixtures.bytes(name) == before)
  }

  @Test func moreEntriesThanTheOldFormatCounts() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/many.npz"
      var tensors: [String: Tensor] = [:]
      for i in 0..<65_600 { tensors["\(i)"] = try Tensor([Int32(i)], shape: []) }
      try NpzFile.write(tensors, to: path)
      let read = try NpzFile(contentsOf: path).tensors
      #expect(read.count == tensors.count)
      #expect(try read["65599"]?.item(as: Int32.self) == 65_599)
      // The last record alone does not know them all.
      #expect(try contents(of: path).suffix(14).prefix(2).elementsEqual([0xFF, 0xFF]))
    }
  }

  @Test func largeCompressedEntriesOfManyBlocks() throws {
    try withTemporaryFolder { folder in
      let values = (0..<200_000).map { Float($0) }
      try Npy.write(Tensor(values, shape: [2, 100_000]), to: folder + "/x.npy")
      let entry = ZipBuilder.Entry("x.npy", try contents(of: folder + "/x.npy"), deflated: true)
      try put(ZipBuilder(entry).bytes(), at: folder + "/x.npz")
      #expect(try NpzFile(contentsOf: folder + "/x.npz").tensors["x"]?.scalars(as: Float.self) == values)
    }
  }

  // MARK: Archives of other writers and malformed ones

  private func entry(_ name: String = "a.npy", deflated: Bool = false) throws -> ZipBuilder.Entry {
    ZipBuilder.Entry(name, try Fixtures.bytes("int16.npy"), deflated: deflated)
  }

  private func check(
    _ archive: ZipBuilder, _ field: String, _ code: OctetError.Code = .invalidFile,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try expectError(code, field, reading: archive.bytes(), sourceLocation: sourceLocation) {
      _ = try NpzFile(contentsOf: $0)
    }
  }

  @Test func wellFormedVariants() throws {
    let plain = ZipBuilder(try entry(), try entry("b.npy", deflated: true))
    var commented = plain
    commented.comment = Array("PK\u{5}\u{6} a comment".utf8)
    var zip64 = plain
    zip64.usesZip64 = true
    var zip64Entries = plain
    zip64Entries.entries[0].usesZip64 = true
    zip64Entries.entries[1].usesZip64 = true
    for archive in [plain, commented, zip64, zip64Entries] {
      try withTemporaryFolder { folder in
        try put(archive.bytes(), at: folder + "/x")
        let tensors = try NpzFile(contentsOf: folder + "/x").tensors
        #expect(tensors.keys.sorted() == ["a", "b"])
        for tensor in tensors.values { try Fixtures.check(tensor, "int16") }
      }
    }
  }

  @Test(arguments: [false, true]) func checksumsThatDoNotFit(deflated: Bool) throws {
    var entry = try entry(deflated: deflated)
    entry.crc ^= 1
    try check(ZipBuilder(entry), "a.npy: CRC-32")
    entry.crc ^= 1
    entry.contents[entry.contents.count - 1] ^= 1
    try check(ZipBuilder(entry), "a.npy: CRC-32")
  }

  @Test func sizesThatLie() throws {
    for (size, compressed, field) in [
      (1, 0, "size"), (-1, 0, "size"), (1 << 30, 0, "size"), (0, -1, "size"), (0, 1, "compressed size"),
      (0, 1 << 30, "compressed size"), (1 << 61, 1 << 61, "compressed size"),
    ] {
      var stored = try entry()
      stored.usesZip64 = true
      stored.size = UInt64(Int(stored.size) + size)
      stored.compressedSize = UInt64(Int(stored.compressedSize) + compressed)
      try check(ZipBuilder(stored), "a.npy: \(field)")
    }
    for (size, compressed, field) in [
      (1, 0, "size"), (-1, 0, "size"), (1 << 30, 0, "size"), (1 << 61, 0, "size"), (0, -1, "compressed data"),
      (0, 1 << 61, "compressed size"),
    ] {
      var deflated = try entry(deflated: true)
      deflated.usesZip64 = true
      deflated.size = UInt64(Int(deflated.size) + size)
      deflated.compressedSize = UInt64(Int(deflated.compressedSize) + compressed)
      try check(ZipBuilder(deflated), "a.npy: \(field)")
    }
  }

  @Test func aConsistentLieAboutTheSizeTakesNoMemory() throws {
    // Header and directory both promise 1 GB, as much as 1 MB of deflate data could be; there is 1 MB.
    let promised = 1_000_000_000
    let contents = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (\(promised),), }", data: 1_000_000)
    var entry = ZipBuilder.Entry("a.npy", contents, deflated: true)
    entry.size = UInt64(contents.count - 1_000_000 + promised)
    let before = peakMemory()
    try check(ZipBuilder(entry), "a.npy: compressed data")
    #expect(peakMemory() - before < 500_000_000)
  }

  @Test func trailingDeflateData() throws {
    var deflated = try entry(deflated: true)
    deflated.contents += [0]
    deflated.compressedSize += 1
    try check(ZipBuilder(deflated), "a.npy: compressed data")
  }

  @Test func entriesThatShareBytes() throws {
    var archive = ZipBuilder(try entry(), try entry())
    archive.entries[1].offset = 0
    try check(archive, "a.npy")
    archive = ZipBuilder(try entry(), try entry())
    try check(archive, "a.npy: name")
  }

  @Test func headersThatContradict() throws {
    var archive = ZipBuilder(try entry())
    archive.entries[0].localName = "b.npy"
    try check(archive, "a.npy: local header")
    archive = ZipBuilder(try entry())
    archive.entries[0].offset = 5
    try check(archive, "a.npy: local header")
    archive.entries[0].offset = 1 << 61
    archive.entries[0].usesZip64 = true
    try check(archive, "a.npy: local header")
    archive.entries[0].offset = UInt64.max
    try check(archive, "a.npy: zip64 extra field")
    archive = ZipBuilder(try entry())
    archive.count = 2
    try check(archive, "directory")
    archive = ZipBuilder(try entry())
    archive.directoryOffset = 0
    try check(archive, "end of archive")
    archive.directoryOffset = .max
    try check(archive, "end of archive (zip64)")
  }

  @Test func whatIsNotSupported() throws {
    var archive = ZipBuilder(try entry())
    archive.entries[0].flags = 1
    try check(archive, "a.npy: flags", .unsupported)
    archive.entries[0].flags = 0
    archive.entries[0].method = 12
    try check(archive, "a.npy: method", .unsupported)
    try check(ZipBuilder(ZipBuilder.Entry("readme.txt", [1])), "readme.txt: name", .unsupported)
    try check(ZipBuilder(ZipBuilder.Entry("a.npy", try Fixtures.bytes("big_endian.npy"))), "a.npy: descr", .unsupported)
    try withTemporaryFolder { folder in
      let tensors = ["a": try tensor([0x21], .uint4, [2])]
      let error = #expect(throws: OctetError.self) { try NpzFile.write(tensors, to: folder + "/x") }
      #expect(error?.code == .unsupported)
      #expect(error?.subject == folder + "/x: a: dtype")
    }
  }
}
