import Benchmark
import CAllocationCount

/// What is prepared once and measured again and again.
struct Stage {
  let run: () throws -> Void

  init(_ run: @escaping () throws -> Void) { self.run = run }
}

extension BenchmarkMetric {
  /// How often the measuring thread asked for memory, and for how many bytes: the same on every machine with the same
  /// Swift.
  static let allocations = BenchmarkMetric.custom("allocations", useScalingFactor: false)
  static let allocatedBytes = BenchmarkMetric.custom("allocatedBytes", useScalingFactor: false)
}

/// Registers a benchmark.
func stage(_ name: String, _ prepare: @escaping () throws -> Stage) {
  Benchmark(
    name,
    closure: { (benchmark: Benchmark, stage: Stage) throws in
      octet_count_allocations(1)
      benchmark.startMeasurement()
      try stage.run()
      benchmark.stopMeasurement()
      let allocated = octet_counted_allocations()
      guard octet_can_count_allocations() else { return }
      benchmark.measurement(.allocations, allocated.large)
      benchmark.measurement(.allocatedBytes, allocated.bytes)
    },
    setup: prepare)
}
