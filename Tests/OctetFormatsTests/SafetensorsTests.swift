import OctetCore
import OctetFormats
import Testing

@Suite struct SafetensorsTests {
  @Test func readsWhatSafetensorsWrote() throws {
    let file = try SafetensorsFile(contentsOf: Fixtures.path("all.safetensors"))
    #expect(file.metadata == ["note": "quotes \", a newline \n and ü"])
    #expect(file.tensors.count == 13)
    for (name, tensor) in file.tensors { try Fixtures.check(tensor, name) }
  }

  @Test func everyTypeSurvivesARoundTrip() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/all.safetensors"
      let tensors = try tensorsOfEveryKind(packed: true)
      let metadata = ["": "empty", "key \u{1} \"\\/": "value\n\t\u{7F}é😀", "octet": "{\"a\": [1]}"]
      try SafetensorsFile.write(tensors, metadata: metadata, to: path)
      let file = try SafetensorsFile(contentsOf: path)
      expectEqual(file.tensors, tensors)
      #expect(file.metadata == metadata)
      let int4 = try #require(file.tensors["int4/[3, 5]"])
      #expect(int4.dtype == .int4)
      #expect(try elements(of: int4).allSatisfy { (-8...7).contains($0) })

      try SafetensorsFile.write([:], to: path)
      #expect(try SafetensorsFile(contentsOf: path).tensors.isEmpty)
    }
  }

  @Test func unusualBitsAndNamesSurvive() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/x.safetensors"
      let floats = [Float.nan, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude, Float(bitPattern: 0x7FA0_1234)]
      let tensors = ["": try Tensor(floats, shape: [6]), "\n\"\\ 层.0": try Tensor([Int64.min, .max], shape: [2])]
      try SafetensorsFile.write(tensors, to: path)
      expectEqual(try SafetensorsFile(contentsOf: path).tensors, tensors)
    }
  }

  @Test func theSameContentsGiveTheSameBytes() throws {
    try withTemporaryFolder { folder in
      let tensors = try tensorsOfEveryKind(packed: true)
      var written: Set<[UInt8]> = []
      for round in 0..<4 {
        // Another order of insertion and another capacity give a dictionary another order.
        var shuffled: [String: Tensor] = [:]
        shuffled.reserveCapacity(100 << round)
        var metadata: [String: String] = [:]
        for name in tensors.keys.shuffled() {
          shuffled[name] = tensors[name]
          metadata[name] = "x"
        }
        try SafetensorsFile.write(shuffled, metadata: metadata, to: folder + "/x")
        written.insert(try contents(of: folder + "/x"))
      }
      #expect(written.count == 1)
    }
  }

  @Test func dataIsAlignedAndOrderedByElementSize() throws {
    try withTemporaryFolder { folder in
      for count in 1...70 {
        let tensors = [
          String(repeating: "b", count: count): try Tensor([UInt8](repeating: 1, count: 3), shape: [3]),
          "c": try Tensor([Int64(2)], shape: [1]), "a": try Tensor([Float(3)], shape: [1]),
        ]
        try SafetensorsFile.write(tensors, to: folder + "/x")
        let bytes = try contents(of: folder + "/x")
        let header = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        #expect((8 + header) % 64 == 0)
        #expect(Array(bytes[(8 + header)...]) == [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x40, 1, 1, 1])
      }
    }
  }

  @Test func tensorsShareTheFileUntilTheyAreWritten() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/x.safetensors"
      let values = (0..<5000).map { Float($0) }
      try SafetensorsFile.write(
        ["a": try Tensor(values, shape: [5000]), "b": try Tensor(values, shape: [5000])], to: path)
      let before = try contents(of: path)
      let file = try SafetensorsFile(contentsOf: path)
      var a = try #require(file.tensors["a"])
      let b = try #require(file.tensors["b"])
      // In one mapping they lie as in the file; copies would lie anywhere, 64 bytes aligned.
      func address(_ tensor: Tensor) -> Int { tensor.withUnsafeBytes { Int(bitPattern: $0.baseAddress) } }
      #expect(address(b) - address(a) == 20_000)
      let header = before.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      #expect((address(a) - 8 - header) % 4096 == 0)

      try a.withUnsafeMutableScalars(as: Float.self) { $0[0] = -1 }
      #expect(try a.scalars(as: Float.self).first == -1)
      #expect(try file.tensors["a"]?.scalars(as: Float.self) == values)
      #expect(try contents(of: path) == before)
    }
  }

  @Test func tensorsOutliveTheFileObject() throws {
    let tensor = try { try SafetensorsFile(contentsOf: Fixtures.path("all.safetensors")).tensors["int32"] }()
    try Fixtures.check(try #require(tensor), "int32")
  }

  @Test func elementsAtOddPlacesAreCopied() throws {
    let json =
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#
    try withTemporaryFolder { folder in
      try put(safetensors(json, data: [9, 0, 0, 0x80, 0x3F]), at: folder + "/x")
      let file = try SafetensorsFile(contentsOf: folder + "/x")
      #expect(try file.tensors["b"]?.item(as: Float.self) == 1)
      #expect(try file.tensors["a"]?.item(as: UInt8.self) == 9)
    }
  }

  @Test func wideFloatsAreRounded() throws {
    let values = [0.1, 1e300, -1e-300, .nan, Double(Float.pi)]
    let data = values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } }
    try withTemporaryFolder { folder in
      try put(safetensors(#"{"a":{"dtype":"F64","shape":[5],"data_offsets":[0,40]}}"#, data: data), at: folder + "/x")
      let found = try #require(try SafetensorsFile(contentsOf: folder + "/x").tensors["a"]?.scalars(as: Float.self))
      #expect(found[0] == 0.1 && found[1] == .infinity && found[2] == 0 && found[3].isNaN && found[4] == .pi)
    }
  }

  @Test func namesThatAreReservedAreRefused() throws {
    let one = try Tensor([Float(1)], shape: [1])
    try withTemporaryFolder { folder in
      for (tensors, metadata) in [(["__metadata__": one], [:]), (["a": one], ["octet.packed": "{}"])] {
        let error = #expect(throws: OctetError.self) {
          try SafetensorsFile.write(tensors, metadata: metadata, to: folder + "/x")
        }
        #expect(error?.code == .invalidArgument)
      }
    }
  }
}

/// A file of this header and data.
func safetensors(_ json: String, data: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
  let length = length ?? UInt64(json.utf8.count)
  return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(json.utf8) + data
}
