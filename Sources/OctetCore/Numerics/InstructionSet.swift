import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A set of kernels for one kind of CPU.
public struct InstructionSet: @unchecked Sendable {
  // Points to a constant of the C target.
  private let descriptor: UnsafePointer<octet_isa>

  package var kernels: octet_isa { descriptor.pointee }
  package var int8: UnsafePointer<octet_gemm_family> { UnsafePointer(descriptor.pointer(to: \.int8)!) }
  package var float32: UnsafePointer<octet_gemm_family> { UnsafePointer(descriptor.pointer(to: \.float32)!) }
  package var weights: UnsafePointer<octet_weights_family> { UnsafePointer(descriptor.pointer(to: \.weights)!) }
  package var depthwise: UnsafePointer<octet_depthwise_layout> { UnsafePointer(descriptor.pointer(to: \.depthwise)!) }

  /// `scalar`, `avx2`, `avx512vnni` …
  public var name: String { String(cString: descriptor.pointee.name) }
  /// The CPU features it needs.
  public var features: String { String(cString: descriptor.pointee.features) }
  /// The instructions that multiply bytes.
  public var dotProduct: String { String(cString: descriptor.pointee.dot) }
  /// Whether this CPU has it.
  public var isSupported: Bool { descriptor.pointee.supported() }

  /// All instruction sets of this architecture, best first.
  public static var all: [InstructionSet] {
    var count = 0
    let list = octet_isa_all(&count)!
    return (0..<count).map { InstructionSet(descriptor: list[$0]!) }
  }

  /// The instruction set in use: the best one that this CPU supports, or the one that the environment variable
  /// `OCTET_ISA` names.
  ///
  /// A wrong `OCTET_ISA` is reported by ``chosen()``, which ``apply(_:_:)`` and plans ask first.
  public static var current: InstructionSet { (try? selection.get()) ?? best }

  /// The instruction set in use.
  ///
  /// - Throws: `OctetError` if `OCTET_ISA` names an instruction set that does not exist (`unknownName`) or that this CPU
  ///   does not have (`unsupported`), listing those that it has.
  public static func chosen() throws -> InstructionSet { try selection.get() }

  private static let best = InstructionSet(descriptor: octet_isa_best())
  private static let selection = Result { () throws(OctetError) in
    try select(getenv("OCTET_ISA").map { String(cString: $0) })
  }

  package static func select(_ name: String?) throws(OctetError) -> InstructionSet {
    guard let name, !name.isEmpty else { return best }
    let names = all.filter(\.isSupported).map(\.name).joined(separator: ", ")
    guard let found = all.first(where: { $0.name == name }) else {
      throw OctetError(.unknownName, "OCTET_ISA", expected: "one of \(names)", found: name)
    }
    guard found.isSupported else {
      throw OctetError(
        .unsupported, "OCTET_ISA", expected: "one of \(names)", found: "\(name), which needs \(found.features)")
    }
    return found
  }
}

extension InstructionSet {
  package enum Arithmetic: Sendable {
    case int8, float32
  }

  /// Multiplies and accumulates in registers only, to measure what the CPU can reach at most.
  ///
  /// - Returns: the number of multiply-accumulates that were done.
  package func multiplyInRegisters(_ arithmetic: Arithmetic, iterations: Int) -> Double {
    switch arithmetic {
    case .int8: descriptor.pointee.peak_int8(iterations)
    case .float32: descriptor.pointee.peak_float32(iterations)
    }
  }
}
