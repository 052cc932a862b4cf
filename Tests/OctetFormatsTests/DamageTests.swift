import Foundation
import OctetCore
import OctetFormats
import Testing

/// What a file holds is read whole: also elements that lie behind a wrong offset would show here.
private func touch(_ tensors: some Sequence<Tensor>) {
  for tensor in tensors { #expect(bytes(of: tensor).count == tensor.dtype.byteCount(of: (try? tensor.count) ?? -1)) }
}

private func readAll(_ path: String, as kind: String) throws {
  switch kind {
  case "safetensors": touch(try SafetensorsFile(contentsOf: path).tensors.values)
  case "npz": touch(try NpzFile(contentsOf: path).tensors.values)
  case "idx": touch([try Idx.read(contentsOf: path)])
  default: touch([try Npy.read(contentsOf: path)])
  }
}

/// A copy of a fixture, damaged in place (a new file for each fault would take a minute).
private struct Patient {
  let path: String
  let whole: [UInt8]
  let kind: String

  init(_ name: String, in folder: String) throws {
    whole = try Fixtures.bytes(name)
    kind = String(name.split(separator: ".")[1])
    path = folder + "/" + name
    try put(whole, at: path)
  }

  /// Reads the file with other bytes at some places; whether it was refused.
  func isRefused(with faults: [Int: UInt8]) throws -> Bool {
    let handle = try #require(FileHandle(forUpdatingAtPath: path))
    func write(_ byte: UInt8, at position: Int) throws {
      try handle.seek(toOffset: UInt64(position))
      try handle.write(contentsOf: [byte])
    }
    for (position, byte) in faults { try write(byte, at: position) }
    defer {
      for position in faults.keys { try? write(whole[position], at: position) }
      try? handle.close()
    }
    do {
      try readAll(path, as: kind)
      return false
    } catch let error as OctetError {
      #expect(error.subject.hasPrefix(path))
      return true
    }
  }
}

/// Damaged files throw an `OctetError` or are read; nothing else may happen.
@Suite struct DamageTests {
  static let fixtures =
    ["safetensors", "npz", "npy"].flatMap { (try? Fixtures.names(suffix: "." + $0)) ?? [] }
    + ["float32.idx", "float64.idx", "float64.idx.gz"]

  @Test func thereAreFixtures() { #expect(Self.fixtures.count >= 26) }

  @Test(arguments: fixtures) func truncatedFilesThrow(name: String) throws {
    try withTemporaryFolder { folder in
      let patient = try Patient(name, in: folder)
      let handle = try #require(FileHandle(forUpdatingAtPath: patient.path))
      let counts = stride(from: 0, to: patient.whole.count, by: max(patient.whole.count / 300, 1))
      #expect(counts.underestimatedCount >= 100)
      for count in counts.reversed() {
        try handle.truncate(atOffset: UInt64(count))
        #expect(throws: OctetError.self, "\(name) of \(count) bytes") { try readAll(patient.path, as: patient.kind) }
      }
    }
  }

  @Test(arguments: fixtures) func singleWrongBytesNeverCrash(name: String) throws {
    var random = SplitMix64(state: 1)
    try withTemporaryFolder { folder in
      let patient = try Patient(name, in: folder)
      let count = patient.whole.count
      #expect(
        try !patient.isRefused(with: [:])
          || ["big_endian.npy", "structured.npy", "unsupported.safetensors"].contains(name))
      var refusals = 0
      // Every byte once with some bit flipped, or replaced by one that means something in a header.
      let meaningful: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x2C, 0x2D, 0x30, 0x39, 0x5B, 0x7D]
      for round in 0..<max(600, count) {
        let position = round < count ? round : Int(random.next() % UInt64(count))
        let flipped = patient.whole[position] ^ 1 << UInt8(random.next() % 8)
        let replaced = meaningful[Int(random.next() % 12)]
        refusals += try patient.isRefused(with: [position: round % 2 == 0 ? flipped : replaced]) ? 1 : 0
      }
      #expect(refusals > 0)
    }
  }

  @Test(arguments: fixtures) func severalWrongBytesNeverCrash(name: String) throws {
    var random = SplitMix64(state: 2)
    try withTemporaryFolder { folder in
      let patient = try Patient(name, in: folder)
      var refusals = 0
      for _ in 0..<300 {
        var faults: [Int: UInt8] = [:]
        for _ in 0..<(2 + random.next() % 12) {
          faults[Int(random.next() % UInt64(patient.whole.count))] = UInt8(truncatingIfNeeded: random.next())
        }
        refusals += try patient.isRefused(with: faults) ? 1 : 0
      }
      #expect(refusals > 0)
    }
  }
}

/// Repeatable random numbers.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
