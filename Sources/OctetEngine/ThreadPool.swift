import CThreadPool

/// A piece of a plan that is ready to run: `items` independent parts of work, each with fixed memory.
final class Call {
  let items: Int
  /// (item, worker): workers are numbered from 0, the caller's own thread.
  let work: (Int, Int) -> Void

  init(items: Int = 1, _ work: @escaping (Int, Int) -> Void) {
    self.items = items
    self.work = work
  }
}

/// The threads of one session.
final class ThreadPool {
  private let pool: OpaquePointer?
  let threads: Int

  /// - Parameter threads: the caller's included; if the system gives fewer, fewer are used.
  init(threads: Int) {
    pool = threads > 1 ? octet_pool_create(threads) : nil
    self.threads = pool.map { octet_pool_threads($0) } ?? 1
  }

  deinit {
    if let pool { octet_pool_destroy(pool) }
  }

  func run(_ call: Call) {
    guard call.items > 1, let pool else {
      for item in 0..<call.items { call.work(item, 0) }
      return
    }
    octet_pool_run(
      pool, call.items,
      { context, item, worker in Unmanaged<Call>.fromOpaque(context!).takeUnretainedValue().work(item, worker) },
      Unmanaged.passUnretained(call).toOpaque())
  }
}
