import OctetCore
import OctetFormats
import Testing

@Suite struct MalformedSafetensorsTests {
  private func check(
    _ bytes: [UInt8], _ field: String, _ code: OctetError.Code = .invalidFile,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try expectError(code, field, reading: bytes, sourceLocation: sourceLocation) {
      _ = try SafetensorsFile(contentsOf: $0)
    }
  }

  /// One tensor `a` of one byte, with one field replaced.
  private func entry(dtype: String = #""U8""#, shape: String = "[1]", offsets: String = "[0,1]") -> [UInt8] {
    safetensors(#"{"a":{"dtype":\#(dtype),"shape":\#(shape),"data_offsets":\#(offsets)}}"#, data: [1])
  }

  @Test func theHelperIsWellFormed() throws {
    try withTemporaryFolder { folder in
      try put(entry(), at: folder + "/x")
      #expect(try SafetensorsFile(contentsOf: folder + "/x").tensors["a"]?.item(as: UInt8.self) == 1)
    }
  }

  @Test(arguments: [0, 1, 7]) func aFileWithoutALength(count: Int) throws {
    try check([UInt8](repeating: 0, count: count), "header length")
  }

  @Test(arguments: [3, 100_000_001, 1 << 40, UInt64.max, UInt64(Int64.max)]) func aLengthBeyondTheFile(length: UInt64)
    throws
  {
    try check(safetensors("{}", length: length), "header length")
  }

  @Test(arguments: [
    "", " {}", "[]", "{", "{]", "{}}", "{} x", #"{"a"}"#, #"{"a":}"#, #"{"a":1}"#, #"{"a":{"dtype":1}}"#, #"{"a":{},}"#,
    #"{"\x":{}}"#, #"{"\ud800":{}}"#, #"{"\ud800\u0041":{}}"#, #"{"\u12":{}}"#, "{\"a\nb\":{}}", #"{"a"#, #"{"a\"#,
    "{,}",
  ]) func headersThatAreNotTheJSONWanted(json: String) throws {
    try withTemporaryFolder { folder in
      try put(safetensors(json), at: folder + "/x")
      let error = #expect(throws: OctetError.self) { try SafetensorsFile(contentsOf: folder + "/x") }
      #expect(error?.code == .invalidFile)
    }
  }

  @Test func textThatIsNotUTF8() throws {
    var bytes = entry()
    bytes[8 + 2] = 0xFF
    try check(bytes, "header")
  }

  @Test func deepNestingIsRefused() throws {
    try check(safetensors(String(repeating: #"{"a":"#, count: 100_000)), "a: field")
    try check(safetensors(#"{"a":{"shape":"# + String(repeating: "[", count: 100_000)), "shape: header")
  }

  @Test func dtypes() throws {
    try check(entry(dtype: #""F8_E4M3""#), "a: dtype", .unsupported)
    try check(entry(dtype: #""U32""#), "a: dtype", .unsupported)
    try check(entry(dtype: #""f32""#), "a: dtype", .unsupported)
    try check(entry(dtype: "null"), "a: dtype: header")
    try check(entry(dtype: #""U16""#), "a: data_offsets")  // two bytes wanted, one there
    try expectError(.unsupported, "counts: dtype", reading: try Fixtures.bytes("unsupported.safetensors")) {
      _ = try SafetensorsFile(contentsOf: $0)
    }
  }

  @Test func shapes() throws {
    try check(entry(shape: "[-1]"), "a: shape")
    try check(entry(shape: "[-1,-1]"), "a: shape")
    try check(entry(shape: "[2]"), "a: data_offsets")
    try check(entry(shape: "[4294967296,4294967296]"), "a: shape")
    try check(entry(shape: "[4294967296,4294967296,0]"), "a: shape")
    try check(entry(shape: "[9223372036854775807,2]"), "a: shape")
    for malformed in ["[18446744073709551617]", "[1.0]", "[1e0]", "[true]", "[01]", "[1,]", "[+1]", "[--1]", "1", "[1"]
    {
      try check(entry(shape: malformed), "a: shape: header")
    }
  }

  @Test func offsets() throws {
    for malformed in ["[1,0]", "[-1,0]", "[0]", "[0,1,1]", "[]", "[0,2]", "[9223372036854775806,9223372036854775807]"] {
      try check(entry(offsets: malformed), "a: data_offsets")
    }
    try check(entry(offsets: "[0,99999999999999999999]"), "a: data_offsets: header")
    try check(entry(offsets: "[1,2]"), "a: data_offsets")  // a hole at 0
    // The header is right, but the data is shorter or longer.
    try check(Array(entry().dropLast()), "a: data_offsets")
    try check(entry() + [0], "data")
  }

  private func pair(_ a: String, _ b: String, _ names: (String, String) = ("a", "b")) -> String {
    #"{"\#(names.0)":{"dtype":"U8","shape":[2],"data_offsets":\#(a)},"#
      + #""\#(names.1)":{"dtype":"U8","shape":[2],"data_offsets":\#(b)}}"#
  }

  @Test func overlapsHolesAndDuplicates() throws {
    let data: [UInt8] = [0, 1, 2, 3, 4, 5]
    try check(safetensors(pair("[0,2]", "[1,3]"), data: Array(data.prefix(3))), "b: data_offsets")
    try check(safetensors(pair("[0,2]", "[0,2]"), data: Array(data.prefix(2))), ": data_offsets")
    try check(safetensors(pair("[0,2]", "[3,5]"), data: Array(data.prefix(5))), "b: data_offsets")
    try check(safetensors(pair("[4,6]", "[0,2]"), data: data), "a: data_offsets")
    try check(safetensors(pair("[0,2]", "[2,4]", ("a", "a")), data: Array(data.prefix(4))), "a")
    try check(safetensors(pair("[0,2]", "[2,4]", ("a", "\\u0061")), data: Array(data.prefix(4))), "a")
  }

  @Test func fields() throws {
    try check(safetensors(#"{"a":{"shape":[0],"data_offsets":[0,0]}}"#), "a: dtype")
    try check(
      safetensors(#"{"a":{"dtype":"U8","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}"#), "a: shape")
    try check(safetensors(#"{"a":{"dtype":"U8","data_offsets":[0,0]}}"#), "a: shape")
    try check(safetensors(#"{"a":{"dtype":"U8","shape":[0]}}"#), "a: data_offsets")
    try check(safetensors(#"{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#), "a: dtype")
    try check(safetensors(#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}"#), "a: x: field")
  }

  @Test func metadata() throws {
    try check(safetensors(#"{"__metadata__":{"a":1}}"#), "__metadata__: a: header")
    try check(safetensors(#"{"__metadata__":"a"}"#), "__metadata__: header")
    try check(safetensors(#"{"__metadata__":{"a":"1","a":"2"}}"#), "__metadata__: a")
    try check(safetensors(#"{"__metadata__":{},"__metadata__":{}}"#), "__metadata__")
  }

  @Test func truthValuesOtherThanZeroAndOne() throws {
    var bytes = entry(dtype: #""BOOL""#)
    bytes[bytes.count - 1] = 2
    try check(bytes, "a: elements")
  }

  @Test(arguments: [
    "", "{", "[]", #"{"b":{"dtype":"int4","shape":[2]}}"#, #"{"a":{"dtype":"uint8","shape":[1]}}"#,
    #"{"a":{"dtype":"int4","shape":[3]}}"#, #"{"a":{"dtype":"int4","shape":[-2]}}"#, #"{"a":{"dtype":"int4"}}"#,
    #"{"a":{"shape":[2]}}"#, #"{"a":{"dtype":"int4","shape":[2],"x":1}}"#, #"{"a":{"dtype":"int4","shape":[2]}} x"#,
    #"{"a":{"dtype":"int4","shape":[2]},"a":{"dtype":"int4","shape":[2]}}"#,
    #"{"a":{"dtype":"int4","shape":[4294967296,4294967296]}}"#,
  ]) func notesOnPackedTensors(note: String) throws {
    let quoted = note.replacing("\"", with: "\\\"")
    let json =
      #"{"__metadata__":{"octet.packed":"\#(quoted)"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    try withTemporaryFolder { folder in
      try put(safetensors(json, data: [0x21]), at: folder + "/x")
      let error = #expect(throws: OctetError.self) { try SafetensorsFile(contentsOf: folder + "/x") }
      #expect(error?.code == .invalidFile)
      #expect(error?.subject.contains("__metadata__: octet.packed") == true)
    }
  }

  @Test func longNamesDoNotMakeLongErrors() throws {
    let name = String(repeating: "e\u{301}", count: 100_000)
    try withTemporaryFolder { folder in
      try put(safetensors(#"{"\#(name)":{"dtype":"\#(name)","shape":[0],"data_offsets":[0,0]}}"#), at: folder + "/x")
      let error = #expect(throws: OctetError.self) { try SafetensorsFile(contentsOf: folder + "/x") }
      #expect(error.map { $0.description.utf8.count < 1000 } == true)
    }
  }
}
