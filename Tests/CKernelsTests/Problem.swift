import CKernelProblems
import CKernels

/// A line of the table of kernels; tests take these as arguments.
struct Kind: Sendable, CustomStringConvertible {
  private let address: UInt

  private init(_ kind: UnsafePointer<octet_kind>) { address = UInt(bitPattern: kind) }

  var pointer: UnsafePointer<octet_kind> { UnsafePointer(bitPattern: address)! }
  var description: String { String(cString: pointer.pointee.name) }
  var isExact: Bool { pointer.pointee.exact }

  static let all: [Kind] = {
    var count = 0
    let kinds = octet_kinds(&count)!
    return (0..<count).map { Kind(kinds[$0]!) }
  }()
}

/// A problem of the table, made and ready to run.
final class Problem: CustomStringConvertible {
  private let pointer: OpaquePointer
  let description: String

  /// Nil where a kernel refuses the values.
  init?(_ kind: Kind, _ values: [Int64]) {
    guard let pointer = octet_problem_create(kind.pointer, values) else { return nil }
    self.pointer = pointer
    description = text { octet_format_problem(kind.pointer, values, $0, $1) }
  }

  /// The problem that a text describes.
  convenience init?(_ text: String) {
    var values = Self.values
    guard let found = octet_parse_problem(text, nil, &values, nil, 0),
      let kind = Kind.all.first(where: { $0.pointer == found })
    else { return nil }
    self.init(kind, values)
  }

  /// Problem `index` of the grid; nil where no kernel takes what it asks for.
  convenience init?(_ kind: Kind, gridIndex index: Int) {
    var values = Self.values
    guard octet_grid_values(kind.pointer, index, &values) else { return nil }
    self.init(kind, values)
  }

  /// A problem of at most `work` multiply-accumulates or bytes.
  convenience init?(_ kind: Kind, seed: UInt64, work: Double) {
    var values = Self.values
    octet_draw_problem(kind.pointer, seed, work, &values)
    self.init(kind, values)
  }

  deinit { octet_problem_destroy(pointer) }

  /// What is wrong with the kernel's answer; nil: nothing.
  func failure(_ set: InstructionSet) -> String? {
    var passed = false
    let message = text { passed = octet_problem_test(pointer, set.pointer, $0, $1) }
    return passed ? nil : "\(set): \(self): \(message)"
  }

  /// The digest of the outputs, computed by the threads of a pool.
  func digest(_ set: InstructionSet, pool: OpaquePointer? = nil) -> UInt64 {
    octet_problem_prepare(pointer, set.pointer, octet_pool_threads(pool))
    octet_problem_run(pointer, pool)
    return octet_problem_digest(pointer)
  }

  private static var values: [Int64] { [Int64](repeating: 0, count: octet_most_parameters) }
}

/// What a function writes into a buffer of so many bytes.
private func text(_ write: (UnsafeMutablePointer<CChar>, Int) -> Void) -> String {
  var buffer = [CChar](repeating: 0, count: octet_most_text)
  return buffer.withUnsafeMutableBufferPointer {
    write($0.baseAddress!, $0.count)
    return String(cString: $0.baseAddress!)
  }
}
