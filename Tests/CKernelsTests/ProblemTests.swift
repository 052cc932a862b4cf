import CKernelProblems
import CKernels
import CThreadPool
import Testing

/// The table of kernels, every kind on every instruction set of this CPU.
@Suite struct ProblemGridTests {
  @Test(arguments: Kind.all, InstructionSet.supported)
  func `the grid is exact`(kind: Kind, set: InstructionSet) {
    var failures: [String] = []
    var tested = 0
    for index in 0..<octet_grid_count(kind.pointer) {
      guard let problem = Problem(kind, gridIndex: index) else { continue }
      tested += 1
      if let failure = problem.failure(set) { failures.append(failure) }
    }
    #expect(failures.isEmpty, "\(failures.count) of \(tested): \(failures.prefix(3).joined(separator: "\n"))")
    #expect(tested > octet_grid_count(kind.pointer) / 2)
  }
}

@Suite struct SharedProblemTests {
  @Test(arguments: Kind.all.filter { !$0.pointer.pointee.sequential })
  func `results do not depend on how many threads share the work`(kind: Kind) throws {
    for threads in [2, 3] {
      let pool = octet_pool_create(threads)
      defer { octet_pool_destroy(pool) }
      for seed in 0..<20 {
        let problem = try #require(Problem(kind, seed: UInt64(seed), work: 200_000))
        for set in InstructionSet.supported {
          #expect(problem.digest(set, pool: pool) == problem.digest(set), "\(set): \(problem), \(threads) threads")
        }
      }
    }
  }
}

/// A few problems of each kind: what an emulator has time for.
@Suite struct QuickProblemTests {
  @Test(arguments: Kind.all) func `random problems are exact`(kind: Kind) throws {
    for seed in 0..<12 {
      let problem = try #require(Problem(kind, seed: UInt64(seed), work: 20_000))
      for set in InstructionSet.supported {
        let failure = problem.failure(set)
        #expect(failure == nil, "\(failure!)")
      }
    }
  }
}

/// The same bits on every instruction set of every architecture.
@Suite struct GoldenProblemTests {
  @Test func `golden digests`() throws {
    var count = 0
    let goldens = octet_goldens(&count)!
    for golden in UnsafeBufferPointer(start: goldens, count: count) {
      let problem = try #require(Problem(String(cString: golden.problem)))
      for set in InstructionSet.supported { #expect(problem.digest(set) == golden.digest, "\(set): \(problem)") }
    }
    #expect(
      Kind.all.allSatisfy { kind in
        !kind.isExact
          || goldens.withMemoryRebound(to: octet_golden.self, capacity: count) { goldens in
            (0..<count).contains { String(cString: goldens[$0].problem).split(separator: " ")[0] == kind.description }
          }
      })
  }
}
