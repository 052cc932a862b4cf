import CKernels

/// One descriptor that this CPU can run; tests take these as arguments.
struct InstructionSet: Sendable, CustomStringConvertible {
  let isa: octet_isa

  var description: String { String(cString: isa.name) }

  static let supported: [InstructionSet] = {
    var count = 0
    let all = octet_isa_all(&count)!
    return (0..<count).map { InstructionSet(isa: all[$0]!.pointee) }.filter { $0.isa.supported() }
  }()
}

extension octet_isa: @retroactive @unchecked Sendable {}
