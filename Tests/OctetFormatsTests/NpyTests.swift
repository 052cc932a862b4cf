import OctetCore
import OctetFormats
import Testing

@Suite struct NpyTests {
  @Test(arguments: [
    "float32", "float16", "float64", "uint8", "int8", "uint16", "int16", "int32", "int64", "uint32", "uint64", "bool",
    "scalar", "empty",
  ]) func readsWhatNumPyWrote(name: String) throws {
    try Fixtures.check(Npy.read(contentsOf: Fixtures.path(name + ".npy")), name)
  }

  @Test func readsEveryVersionAndColumnMajorArrays() throws {
    try Fixtures.check(Npy.read(contentsOf: Fixtures.path("version2.npy")), "float32")
    try Fixtures.check(Npy.read(contentsOf: Fixtures.path("version3.npy")), "float32")
    try Fixtures.check(Npy.read(contentsOf: Fixtures.path("fortran.npy")), "int16")
    try Fixtures.check(Npy.read(contentsOf: Fixtures.path("fortran_float64.npy")), "float64")
  }

  @Test func everyTypeSurvivesARoundTrip() throws {
    try withTemporaryFolder { folder in
      for (_, tensor) in try tensorsOfEveryKind(packed: false) {
        try Npy.write(tensor, to: folder + "/x.npy")
        expectEqual(["x": try Npy.read(contentsOf: folder + "/x.npy")], ["x": tensor])
      }
    }
  }

  @Test(arguments: ["float32", "int8", "bool", "scalar", "empty"]) func writesWhatNumPyWrites(name: String) throws {
    try withTemporaryFolder { folder in
      try Npy.write(Npy.read(contentsOf: Fixtures.path(name + ".npy")), to: folder + "/x.npy")
      // NumPy's header has the same text; it leaves room for longer shapes only beyond one line of 64 bytes.
      #expect(try contents(of: folder + "/x.npy").suffix(16) == Fixtures.bytes(name + ".npy").suffix(16))
      #expect(try contents(of: folder + "/x.npy").prefix(8) == Fixtures.bytes(name + ".npy").prefix(8))
      let text = { (bytes: [UInt8]) in
        String(decoding: bytes[10..<bytes.firstIndex(of: 10)!], as: UTF8.self).split(separator: "}")[0]
      }
      #expect(text(try contents(of: folder + "/x.npy")) == text(try Fixtures.bytes(name + ".npy")))
    }
  }

  @Test func aTensorSharesTheFileUntilItIsWritten() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/x.npy"
      try Npy.write(Tensor((0..<5000).map { Float($0) }, shape: [5000]), to: path)
      let before = try contents(of: path)
      var tensor = try Npy.read(contentsOf: path)
      #expect(tensor.withUnsafeBytes { Int(bitPattern: $0.baseAddress) } % 4096 == before.count - 20_000)
      try tensor.withUnsafeMutableScalars(as: Float.self) { $0[0] = -1 }
      #expect(try tensor.scalars(as: Float.self)[0] == -1)
      #expect(try contents(of: path) == before)
    }
  }

  @Test func integersBeyondInt64AreAnError() throws {
    var bytes = try Fixtures.bytes("uint64.npy")
    bytes[bytes.count - 1] = 0x80
    try expectError(.invalidFile, "elements", reading: bytes) { _ = try Npy.read(contentsOf: $0) }
  }

  @Test func whatNpyDoesNotHaveIsAnError() throws {
    try withTemporaryFolder { folder in
      let error = #expect(throws: OctetError.self) { try Npy.write(tensor([0], .int4, [2]), to: folder + "/x") }
      #expect(error?.code == .unsupported)
    }
    for name in ["big_endian.npy", "structured.npy"] {
      try expectError(.unsupported, "descr", reading: Fixtures.bytes(name)) { _ = try Npy.read(contentsOf: $0) }
    }
  }

  // MARK: Malformed files

  private func check(
    _ header: String, _ field: String, _ code: OctetError.Code = .invalidFile, data: Int = 24,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try expectError(code, field, reading: npy(header, data: data), sourceLocation: sourceLocation) {
      _ = try Npy.read(contentsOf: $0)
    }
  }

  @Test func headersThatLie() throws {
    try check("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }", "elements")
    try check("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", "elements")
    try check("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }", "shape")
    try check("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "shape")
    try check("{'descr': '<f4', 'fortran_order': True, 'shape': (1099511627776,), }", "elements")
    // Nothing, but much of it.
    try check("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 4), }", "shape")
    try check("{'descr': '<f4', 'fortran_order': True, 'shape': (1099511627776, 0), }", "shape")
    try check("{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }", "descr", .unsupported)
    try check("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "descr", .unsupported)
    try check("{'descr': '>i2', 'fortran_order': False, 'shape': (12,), }", "descr", .unsupported)
  }

  @Test(arguments: [
    "", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}", "['descr']", "{'descr': 3}",
    "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", "{'descr': '<f4, 'shape': (6,)}",
    "{'descr': '<f4', 'fortran_order': 0, 'shape': (6,), }", "{'descr': '<f4', 'fortran_order': False, 'shape': 6, }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'more': 1}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), } x",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6,,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6.0,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6,",
  ]) func headersThatAreNotTheDictionaryWanted(header: String) throws {
    try check(header, "header")
  }

  @Test func dictionariesOfOtherWriters() throws {
    for header in [
      #"{"shape": (2, 3), "fortran_order": False, "descr": "<f4"}"#,
      "{ 'descr':'<f4','fortran_order':False,'shape':(2L,3L) , }\n",
    ] {
      try withTemporaryFolder { folder in
        try put(npy(header, data: 24), at: folder + "/x")
        #expect(try Npy.read(contentsOf: folder + "/x").shape == [2, 3])
      }
    }
  }

  @Test func manyDimensionsTakeNoTime() throws {
    let ones = String(repeating: "1,", count: 30_000)
    try withTemporaryFolder { folder in
      try put(
        npy("{'descr': '|u1', 'fortran_order': True, 'shape': (\(ones)100000), }", data: 100_000), at: folder + "/x")
      #expect(try Npy.read(contentsOf: folder + "/x").count == 100_000)
    }
  }

  @Test func versionsMagicAndLength() throws {
    let good = try Fixtures.bytes("float32.npy")
    for (offset, value, field) in [
      (0, UInt8(0), "magic"), (6, 4, "version"), (6, 0, "version"), (9, 0xFF, "header length"),
    ] {
      var bytes = good
      bytes[offset] = value
      try expectError(.invalidFile, field, reading: bytes) { _ = try Npy.read(contentsOf: $0) }
    }
    try expectError(.invalidFile, "elements", reading: good + [0]) { _ = try Npy.read(contentsOf: $0) }
    try expectError(.invalidFile, "elements", reading: good.dropLast()) { _ = try Npy.read(contentsOf: $0) }
  }
}

/// A file of version 1 with this header and as many zeros.
func npy(_ header: String, data count: Int) -> [UInt8] {
  let length = header.utf8.count
  return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 255), UInt8(length >> 8)] + Array(header.utf8)
    + [UInt8](repeating: 0, count: count)
}
