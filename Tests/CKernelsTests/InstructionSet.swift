import CKernels

/// One descriptor that this CPU can run; tests take these as arguments.
struct InstructionSet: Sendable, CustomStringConvertible {
  let isa: octet_isa
  private let address: UInt

  private init(_ isa: UnsafePointer<octet_isa>) {
    self.isa = isa.pointee
    address = UInt(bitPattern: isa)
  }

  var pointer: UnsafePointer<octet_isa> { UnsafePointer(bitPattern: address)! }
  var description: String { String(cString: isa.name) }

  static let supported: [InstructionSet] = {
    var count = 0
    let all = octet_isa_all(&count)!
    return (0..<count).map { InstructionSet(all[$0]!) }.filter { $0.isa.supported() }
  }()
}

extension octet_isa: @retroactive @unchecked Sendable {}
