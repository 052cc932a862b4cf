import CKernelProblems

/// A kind of kernel in the table of problems.
struct KernelKind {
  let pointer: UnsafePointer<octet_kind>

  init?(_ name: String) {
    guard let pointer = octet_kind_named(name) else { return nil }
    self.pointer = pointer
  }

  init(pointer: UnsafePointer<octet_kind>) { self.pointer = pointer }

  static var all: [KernelKind] {
    var count = 0
    let list = octet_kinds(&count)!
    return (0..<count).map { KernelKind(pointer: list[$0]!) }
  }

  var name: String { String(cString: pointer.pointee.name) }

  /// Its multiplications are of bytes.
  var isInteger: Bool {
    ["weights", "others"].contains { (name: String) in octet_parameter_index(pointer, name) >= 0 }
  }

  /// What can be said of a problem. Threads are not among it: they belong to the run.
  private var parameters: [octet_parameter] {
    UnsafeBufferPointer(start: pointer.pointee.parameters, count: pointer.pointee.parameter_count)
      .filter { String(cString: $0.name) != "threads" }
  }

  func takes(_ parameter: some StringProtocol) -> Bool {
    parameters.contains { String(cString: $0.name) == parameter }
  }

  /// Every parameter on a line of its own.
  var help: String {
    let names = parameters.map { String(cString: $0.name) }
    let width = names.map(\.count).max() ?? 0
    let lines = zip(parameters, names).map { parameter, name in
      let values =
        if let choices = parameter.choices {
          (0...Int(parameter.high - parameter.low)).map { String(cString: choices[$0]!) }.joined(separator: ", ")
        } else {
          "\(parameter.low) ... \(parameter.high), usually \(parameter.usual)"
        }
      return "  \(name)\(String(repeating: " ", count: width - name.count))  \(values)"
    }
    return "\(self.name) takes name=value, with these names and values:\n\(lines.joined(separator: "\n"))"
  }
}

/// A kind of kernel with a value for each parameter.
struct KernelProblem {
  struct Refusal: Error {
    let reason: String
  }

  let kind: KernelKind
  /// The parameters as they were given.
  let parameters: String
  private let values: [Int64]

  /// - Parameter items: `name=value`. What is said of heights alone counts for widths too.
  init(_ kind: KernelKind, _ items: [String]) throws(Refusal) {
    self.kind = kind
    parameters = items.joined(separator: " ")
    var named: [Substring: Substring] = [:]
    for item in items {
      let parts = item.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, kind.takes(parts[0]) else {
        throw Refusal(reason: "\(kind.name) does not take \(item); \(kind.help)")
      }
      named[parts[0]] = parts[1]
    }
    for (name, value) in named {
      let across = name == "pad_top" ? "pad_left" : name.hasSuffix("_h") ? name.dropLast() + "w" : name
      if named[across] == nil, kind.takes(across) { named[across] = value }
    }

    // At the edge of a page, where tests want them, buffers would begin anywhere.
    if named["memory"] == nil { named["memory"] = "aligned" }
    let text = named.map { "\($0)=\($1)" }.joined(separator: " ")
    var values = [Int64](repeating: 0, count: Int(octet_most_parameters))
    var message = [CChar](repeating: 0, count: Int(octet_most_text))
    guard octet_parse_problem(text, kind.pointer, &values, &message, message.count) != nil else {
      throw Refusal(reason: message.withUnsafeBufferPointer { String(cString: $0.baseAddress!) } + "; " + kind.help)
    }
    if let reason = kind.pointer.pointee.refusal(kind.pointer, values) {
      throw Refusal(reason: "\(kind.name) \(parameters): \(String(cString: reason))")
    }
    self.values = values
  }

  var work: octet_work { kind.pointer.pointee.work(kind.pointer, values) }

  /// Calls `body` with what runs the problem once.
  func withRun<Result>(
    on isa: UnsafePointer<octet_isa>, pool: OpaquePointer?, _ body: (() -> Void) -> Result
  ) throws(Refusal) -> Result {
    guard let problem = octet_problem_create(kind.pointer, values) else {
      throw Refusal(reason: "\(kind.name) \(parameters): there is no memory")
    }
    defer { octet_problem_destroy(problem) }
    octet_problem_prepare(problem, isa, pool.map { octet_pool_threads($0) } ?? 1)
    return body { octet_problem_run(problem, pool) }
  }
}
