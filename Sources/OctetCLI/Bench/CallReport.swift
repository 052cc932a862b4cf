import CKernelProblems
import Octet

/// What the smallest int8 product costs: from C, from Swift, and with all that a session does around it; and what it
/// costs to divide a run among threads.
struct CallReport: Encodable {
  struct Row: Encodable {
    let name: String
    let best_ns: Double
    let median_ns: Double
  }

  let cpu: String
  let isa: String
  let rows: [Row]

  /// Calls between two looks at the clock.
  private static let batch = 1000

  init() throws {
    let set = try InstructionSet.chosen()
    let product = SmallestProduct(on: set)
    let session = try Self.session()
    let x = try Tensor([Float(1)], shape: [1, 1])
    _ = try session.run([x])

    func row(_ name: String, _ run: () -> Void) -> Row {
      let times = measure(run)
      let scale = 1e9 / Double(Self.batch)
      return Row(name: name, best_ns: times.best * scale, median_ns: times.median * scale)
    }
    let fromC = row("from C") { product.runFromC(times: Self.batch) }
    precondition(product.takeResult(), "3 · 5 is 15")
    let work = product.work
    let fromSwift = row("from Swift") { for _ in 0..<Self.batch { work() } }
    precondition(product.takeResult(), "3 · 5 is 15")
    // The first run was the one that could fail.
    let inSession = row("session") { for _ in 0..<Self.batch { _ = try? session.run([x]) } }
    // An item for each thread, with nothing to do.
    let pool = octet_pool_create(2)
    defer { octet_pool_destroy(pool) }
    let forkAndJoin = row("fork and join, 2 threads") {
      for _ in 0..<Self.batch { octet_pool_run(pool, 2, { _, _, _ in }, nil) }
    }
    (cpu, isa, rows) = (Machine.cpuName, set.name, [fromC, fromSwift, inSession, forkAndJoin])
  }

  /// A session of one layer of one weight, quantized.
  private static func session() throws -> Session {
    let layer = Linear(1, 1)
    try layer.initialize(seed: 1)
    let prepared = try layer.trace(TensorType(.float32, [1, 1])).fused().prepare(QConfigMap(.default))
    try prepared.calibrate([Tensor([Float(1)], shape: [1, 1])])
    return Session(try Plan(prepared.convert().graph), threads: 1)
  }

  func show(json: Bool) throws {
    if json { return try printJSON(self) }
    print("\(cpu), \(isa), one thread: the product of one byte and one weight, to a byte\n")
    var table = Table(["call", "best_ns", "median_ns"], trailing: [1, 2])
    for row in rows { table.append(row.name, row.best_ns.formatted(1), row.median_ns.formatted(1)) }
    print(table)
  }
}
