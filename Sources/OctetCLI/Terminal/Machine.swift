import Foundation

/// What is to be said of the machine.
enum Machine {
  /// The CPU as the system calls it.
  static let cpuName: String = {
    #if os(Linux)
      let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      let line = info.split(separator: "\n").first { $0.hasPrefix("model name") || $0.hasPrefix("Model") }
      return line?.split(separator: ":", maxSplits: 1).last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
    #else
      var size = 0
      sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0)
      var bytes = [UInt8](repeating: 0, count: max(size, 1))
      sysctlbyname("machdep.cpu.brand_string", &bytes, &size, nil, 0)
      return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    #endif
  }()

  /// Bytes of the caches of level 1 (data), 2 and 3; those that the system tells.
  static var cacheSizes: [(name: String, bytes: Int)] {
    #if os(Linux)
      let names = [
        ("L1d", Int32(_SC_LEVEL1_DCACHE_SIZE)), ("L2", Int32(_SC_LEVEL2_CACHE_SIZE)),
        ("L3", Int32(_SC_LEVEL3_CACHE_SIZE)),
      ]
      return names.map { ($0.0, sysconf($0.1)) }.filter { $0.1 > 0 }
    #else
      return [("L1d", "hw.l1dcachesize"), ("L2", "hw.l2cachesize"), ("L3", "hw.l3cachesize")].compactMap { name, key in
        var value: Int64 = 0
        var size = MemoryLayout<Int64>.size
        return sysctlbyname(key, &value, &size, nil, 0) == 0 && value > 0 ? (name, Int(value)) : nil
      }
    #endif
  }
}

/// Prints a value as JSON.
func printJSON(_ value: some Encodable) throws {
  print(String(decoding: try jsonData(value), as: UTF8.self))
}

/// The same as a file has it.
func jsonData(_ value: some Encodable) throws -> Data {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  return try encoder.encode(value)
}

extension Double {
  /// The number with a fixed count of decimals.
  func formatted(_ decimals: Int) -> String { String(format: "%.\(decimals)f", self) }
}
