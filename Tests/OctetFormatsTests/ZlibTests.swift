import CZlib
import Foundation
import Testing

@Suite struct ZlibTests {
  /// The check value of CRC-32/ISO-HDLC, and the same sum with zlib and without, whole and in pieces.
  @Test func checksums() {
    let digits = Array("123456789".utf8)
    #expect(octet_crc32(0, digits, 9) == 0xCBF4_3926)
    #expect(octet_crc32_portable(0, digits, 9) == 0xCBF4_3926)
    #expect(octet_crc32(0, nil, 0) == 0)
    var random = SplitMix64(state: 3)
    for count in [1, 2, 7, 64, 1000, 100_001] {
      let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let whole = octet_crc32(0, bytes, count)
      #expect(octet_crc32_portable(0, bytes, count) == whole)
      let first = octet_crc32(0, bytes, count / 3)
      #expect(Array(bytes[(count / 3)...]).withUnsafeBytes { octet_crc32(first, $0.baseAddress, $0.count) } == whole)
    }
  }

  @Test func inflatesExactlyOrNotAtAll() throws {
    try #require(octet_zlib_available())
    let bytes = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 * 13) }
    let deflated = deflate(bytes)
    var target = [UInt8](repeating: 0, count: bytes.count + 1)
    #expect(octet_inflate_raw(deflated, deflated.count, &target, bytes.count) == 0)
    #expect(target.prefix(bytes.count).elementsEqual(bytes))
    #expect(octet_inflate_raw(deflated, deflated.count, &target, bytes.count + 1) != 0)
    #expect(octet_inflate_raw(deflated, deflated.count, &target, bytes.count - 1) != 0)
    #expect(octet_inflate_raw(deflated, deflated.count - 1, &target, bytes.count) != 0)
    #expect(octet_inflate_raw(deflated + [0], deflated.count + 1, &target, bytes.count) != 0)
    #expect(octet_inflate_raw([0xFF], 1, &target, 1) != 0)
  }

  @Test func inflatesABeginning() throws {
    try #require(octet_zlib_available())
    let bytes = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 * 13) }
    let deflated = deflate(bytes)
    var target = [UInt8](repeating: 0, count: 200_000)
    #expect(octet_inflate_raw_prefix(deflated, deflated.count, &target, 100) == 100)
    #expect(target.prefix(100).elementsEqual(bytes.prefix(100)))
    #expect(octet_inflate_raw_prefix(deflated, deflated.count, &target, target.count) == bytes.count)
    #expect(octet_inflate_raw_prefix(deflated, 1000, &target, target.count) == 995)
  }

  /// A block that zlib compressed by itself: 1000 times the letter a.
  @Test func inflatesCompressedBlocks() throws {
    try #require(octet_zlib_available())
    let deflated: [UInt8] = [0x4B, 0x4C, 0x1C, 0x05, 0xA3, 0x60, 0x14, 0x0C, 0x77, 0x00, 0x00]
    var target = [UInt8](repeating: 0, count: 1000)
    #expect(octet_inflate_raw(deflated, deflated.count, &target, 1000) == 0)
    #expect(target.allSatisfy { $0 == UInt8(ascii: "a") })
  }

  @Test func manyThreadsMayBeTheFirst() async {
    await withTaskGroup(of: UInt32.self) { group in
      for _ in 0..<32 { group.addTask { octet_crc32(0, Array("123456789".utf8), 9) } }
      for await sum in group { #expect(sum == 0xCBF4_3926) }
    }
  }
}

/// The most memory that this process has had, in bytes.
func peakMemory() -> Int {
  var usage = rusage()
  // RUSAGE_SELF, which is not of the same type everywhere.
  getrusage(0, &usage)
  #if os(Linux)
    return usage.ru_maxrss * 1024
  #else
    return usage.ru_maxrss
  #endif
}
