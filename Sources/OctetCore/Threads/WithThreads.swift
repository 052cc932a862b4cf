import Synchronization

/// Runs `body`, whose operations on tensors, gradients and optimizer steps share their work among `count` threads.
///
///     try withThreads(2) {
///       for (x, labels) in batches {
///         let (_, gradients) = try valueAndGradients(of: optimizer.parameters) { try crossEntropy(net(x), labels) }
///         try optimizer.step(gradients)
///       }
///     }
///
/// Outside of it one thread does everything. Results do not depend on the number, to the last bit: how work is divided, and in
/// which order sums are added, follows from shapes alone.
///
/// The number holds for what `body` calls: not for other threads, nor for calibrations, nor for the kernels of sessions, which have
/// threads of their own. (Tasks that `body` starts share it; whoever finds the threads busy does its work alone.) The threads live
/// until `body` and such tasks have ended, so put it around the loop. Inside of another `withThreads` the inner number counts.
///
/// - Parameter count: the caller's thread included; below 1 counts as 1, and if the system gives fewer, fewer are used.
public func withThreads<Result>(_ count: Int, _ body: () throws -> Result) rethrows -> Result {
  let count = max(count, 1)
  if Team.current.get()?.count ?? 1 == count { return try body() }
  return try Team.current.withValue(count == 1 ? nil : Team(count)) { try body() }
}

/// The threads of one ``withThreads(_:_:)``.
private final class Team: @unchecked Sendable {
  /// What travels with the caller, and stands nowhere else. (Tasks that a caller starts see it as well: ``isBusy``.)
  static let current = TaskLocal<Team?>(wrappedValue: nil)

  let count: Int
  // Used by one caller at a time: by whom has found `isBusy` false.
  private let pool: ThreadPool
  private let isBusy = Atomic(false)

  init(_ count: Int) {
    self.count = count
    pool = ThreadPool(threads: count)
  }

  var threads: Int { pool.threads }

  /// Runs the call, unless another is running: then it is the caller's alone (work within work, two tasks).
  func run(_ call: Call) -> Bool {
    guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else { return false }
    defer { isBusy.store(false, ordering: .releasing) }
    pool.run(call)
    return true
  }
}

/// Does independent parts of work, on the threads that ``withThreads(_:_:)`` gives or one after the other.
///
/// How many items there are must not depend on threads, or results would.
package func concurrently(_ items: Int, _ body: (_ item: Int) -> Void) {
  concurrently(items, scratch: 0) { item, _ in body(item) }
}

/// The same with memory that an item may write to and nobody reads afterwards, 64-byte aligned.
package func concurrently(
  _ items: Int, scratch byteCount: Int, _ body: (_ item: Int, _ scratch: UnsafeMutableRawPointer) -> Void
) {
  let team = items > 1 ? Team.current.get() : nil
  let size = (byteCount + TensorStorage.alignment - 1) / TensorStorage.alignment * TensorStorage.alignment
  let scratch = TensorStorage(byteCount: size * (team?.threads ?? 1), zeroed: false)
  let base = scratch.base
  if let team {
    let isDone = withoutActuallyEscaping(body) { body in
      team.run(Call(items: items) { item, worker in body(item, base + worker * size) })
    }
    if isDone { return }
  }
  for item in 0..<items { body(item, base) }
}

/// The same for elements 0..<count, in ranges that are long enough to be worth a thread.
package func concurrently(elements count: Int, _ body: (_ range: Range<Int>) -> Void) {
  let size = 1 << 15
  if count <= size { return body(0..<count) }
  concurrently((count + size - 1) / size) { body($0 * size..<min(($0 + 1) * size, count)) }
}
