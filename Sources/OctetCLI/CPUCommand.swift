import ArgumentParser
import Octet

struct CPUCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cpu", abstract: "Show the instruction sets, the one in use, caches, and the measured peak.")

  @Flag(help: "Print JSON.")
  var json = false

  private struct Report: Encodable {
    struct Set: Encodable {
      let name: String
      let features: String
      let dot: String
      let supported: Bool
      let chosen: Bool
      let peak_int8_gmacs: Double?
      let peak_float32_gmacs: Double?
    }

    let cpu: String
    let isa: String
    let caches: [String: Int]
    let instruction_sets: [Set]
  }

  func run() throws {
    let chosen = try InstructionSet.chosen().name
    let sets = InstructionSet.all.map { set in
      let int8 = set.isSupported ? set.peak(.int8) : nil
      let float32 = set.isSupported ? set.peak(.float32) : nil
      return Report.Set(
        name: set.name, features: set.features, dot: set.dotProduct, supported: set.isSupported,
        chosen: set.name == chosen,
        peak_int8_gmacs: int8, peak_float32_gmacs: float32)
    }
    let caches = Machine.cacheSizes
    if json {
      return try printJSON(
        Report(
          cpu: Machine.cpuName, isa: chosen,
          caches: Dictionary(uniqueKeysWithValues: caches.map { ($0.name, $0.bytes) }),
          instruction_sets: sets))
    }
    print("CPU     \(Machine.cpuName)")
    print("caches  \(caches.map { "\($0.name) \($0.bytes / 1024) KiB" }.joined(separator: ", "))")
    print("in use  \(chosen)\n")
    var table = Table(
      ["instruction set", "needs", "multiplies with", "here", "int8 GMAC/s", "float32 GMAC/s"], trailing: [4, 5])
    for set in sets {
      table.append(
        set.name, set.features, set.dot, set.supported ? (set.chosen ? "in use" : "yes") : "no",
        set.peak_int8_gmacs?.formatted(1) ?? "–", set.peak_float32_gmacs?.formatted(1) ?? "–")
    }
    print(table)
    print("\nGMAC/s: 10⁹ multiply-accumulates a second in registers, one thread, the best of many short runs.")
  }
}
