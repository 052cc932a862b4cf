import CKernels
import Testing

@Suite struct DispatchTests {
  @Test func `the list ends with scalar and the best is the first supported`() {
    var count = 0
    let all = octet_isa_all(&count)!
    let names = (0..<count).map { String(cString: all[$0]!.pointee.name) }
    #expect(names.last == "scalar" && Set(names).count == count)
    #expect(String(cString: octet_isa_best().pointee.name) == InstructionSet.supported[0].description)
  }

  @Test func `names lead to their instruction set`() {
    for set in InstructionSet.supported {
      #expect(octet_isa_named(set.isa.name).map { String(cString: $0.pointee.name) } == set.description)
    }
    #expect(octet_isa_named("none of these") == nil)
  }

  @Test(arguments: InstructionSet.supported)
  func `the descriptor is whole`(set: InstructionSet) {
    for family in [set.isa.int8, set.isa.float32] {
      #expect(family.mr > 0 && family.nr > 0 && family.kr > 0 && family.panels > 0)
      #expect(family.wide_mr <= family.mr && family.wide_panels >= family.panels)
      #expect(family.stored_size >= family.source_size)
    }
    #expect(set.isa.peak_int8(10) > 0 && set.isa.peak_float32(10) > 0)
  }
}
