import OctetCore
import TestSupport
import Testing

@Suite("InstructionSet")
struct InstructionSetTests {
  @Test func scalarIsAlwaysThereAndLast() {
    #expect(InstructionSet.all.last?.name == "scalar")
    #expect(InstructionSet.all.last?.isSupported == true)
    #expect(Set(InstructionSet.all.map(\.name)).count == InstructionSet.all.count)
  }

  @Test func withoutANameTheBestSupportedOneIsChosen() throws {
    let best = try #require(InstructionSet.all.filter(\.isSupported).first)
    #expect(try InstructionSet.select(nil).name == best.name)
  }

  @Test func aSupportedNameIsTaken() throws {
    for set in InstructionSet.all where set.isSupported {
      #expect(try InstructionSet.select(set.name).name == set.name)
    }
  }

  @Test(arguments: ["avx9", "SCALAR", " scalar"])
  func anUnknownNameListsWhatThereIs(_ name: String) {
    let names = InstructionSet.all.filter(\.isSupported).map(\.name).joined(separator: ", ")
    let error = octetError { try InstructionSet.select(name) }
    #expect(error == OctetError(.unknownName, "OCTET_ISA", expected: "one of \(names)", found: name))
  }

  @Test func anUnsupportedNameSaysWhatItNeeds() {
    let names = InstructionSet.all.filter(\.isSupported).map(\.name).joined(separator: ", ")
    for set in InstructionSet.all where !set.isSupported {
      let error = octetError { try InstructionSet.select(set.name) }
      #expect(error?.code == .unsupported && error?.expected == "one of \(names)")
      #expect(error?.found == "\(set.name), which needs \(set.features)")
    }
  }

  @Test func peakMeasurementsCountTheirWork() {
    for set in InstructionSet.all where set.isSupported {
      let one = set.multiplyInRegisters(.int8, iterations: 1)
      #expect(one > 0 && set.multiplyInRegisters(.int8, iterations: 10) == 10 * one, "\(set.name)")
      #expect(set.multiplyInRegisters(.float32, iterations: 2) > 0)
    }
  }
}
