import CThreadPool

/// Work that is ready to run: `items` independent parts, each with fixed memory.
package final class Call {
  package let items: Int
  /// (item, worker): workers are numbered from 0, the caller's own thread.
  package let work: (Int, Int) -> Void

  package init(items: Int = 1, _ work: @escaping (Int, Int) -> Void) {
    self.items = items
    self.work = work
  }
}

/// Threads that wait for calls. One caller at a time.
package final class ThreadPool {
  private let pool: OpaquePointer?
  package let threads: Int

  /// - Parameter threads: the caller's included; if the system gives fewer, fewer are used.
  package init(threads: Int) {
    pool = threads > 1 ? octet_pool_create(threads) : nil
    self.threads = pool.map { octet_pool_threads($0) } ?? 1
  }

  deinit {
    if let pool { octet_pool_destroy(pool) }
  }

  package func run(_ call: Call) {
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
