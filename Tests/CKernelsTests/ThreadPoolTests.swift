import CThreadPool
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct ThreadPoolTests {
  /// What the work function writes: how often each item ran, how many each worker took, and whether a worker index was
  /// ever used twice at once.
  private final class Record: Sendable {
    let runs: [Counter]
    let busy: [Counter]
    let shares: [Counter]
    let clashes = Atomic<Int>(0)

    let pause: UInt32

    init(items: Int, workers: Int, pause: UInt32) {
      self.pause = pause
      runs = (0..<items).map { _ in Counter() }
      busy = (0..<workers).map { _ in Counter() }
      shares = (0..<workers).map { _ in Counter() }
    }
  }
  private final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }

  /// `pause`: microseconds that every item takes.
  private func run(_ pool: OpaquePointer?, items: Int, workers: Int, pause: UInt32 = 0) -> Record {
    let record = Record(items: items, workers: workers, pause: pause)
    octet_pool_run(
      pool, items,
      { context, item, worker in
        let record = Unmanaged<Record>.fromOpaque(context!).takeUnretainedValue()
        let others = record.busy[worker].value.add(1, ordering: .acquiringAndReleasing).oldValue
        if others != 0 { record.clashes.add(1, ordering: .relaxed) }
        record.runs[item].value.add(1, ordering: .relaxed)
        record.shares[worker].value.add(1, ordering: .relaxed)
        if record.pause > 0 { usleep(record.pause) }
        record.busy[worker].value.subtract(1, ordering: .acquiringAndReleasing)
      }, Unmanaged.passUnretained(record).toOpaque())
    return withExtendedLifetime(record) { record }
  }

  @Test(arguments: [1, 2, 3, 5])
  func `every item runs exactly once`(threads: Int) {
    let pool = octet_pool_create(threads)
    defer { octet_pool_destroy(pool) }
    #expect(octet_pool_threads(pool) == threads)
    for round in 0..<3000 {
      let record = run(pool, items: round % 40, workers: threads)
      guard record.runs.allSatisfy({ $0.value.load(ordering: .relaxed) == 1 }),
        record.clashes.load(ordering: .relaxed) == 0
      else {
        Issue.record("round \(round)")
        return
      }
    }
  }

  @Test func `more items than one ticket counts`() {
    let pool = octet_pool_create(2)
    defer { octet_pool_destroy(pool) }
    let record = run(pool, items: 200_000, workers: 2)
    #expect(record.runs.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
  }

  @Test func `a pool that fell asleep wakes up`() async throws {
    let pool = octet_pool_create(3)
    for _ in 0..<5 {
      try await Task.sleep(for: .milliseconds(20))
      let record = run(pool, items: 9, workers: 3, pause: 10_000)
      #expect(record.runs.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
      #expect(record.shares[0].value.load(ordering: .relaxed) < 9)
    }
    try await Task.sleep(for: .milliseconds(20))
    octet_pool_destroy(pool)
  }

  @Test func `without a pool the caller runs everything`() {
    let record = run(nil, items: 12, workers: 1)
    #expect(record.runs.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
    #expect(octet_pool_threads(nil) == 1)
  }

  @Test func `pools come and go`() {
    for round in 0..<200 {
      let pool = octet_pool_create(1 + round % 4)
      if round % 3 != 0 { _ = run(pool, items: round % 7, workers: 4) }
      octet_pool_destroy(pool)
    }
    octet_pool_destroy(nil)
  }
}
