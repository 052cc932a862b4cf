import Benchmark
import Octet

let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .throughput, .allocations, .allocatedBytes],
    warmupIterations: 3,
    maxDuration: .seconds(1),
    maxIterations: 2000,
    // For comparing two baselines of one machine, where times count as well. Thresholds/ holds allocations alone.
    thresholds: [
      .wallClock: BenchmarkThresholds(relative: [.p25: 10]),
      .throughput: BenchmarkThresholds(),
      .allocations: BenchmarkThresholds(relative: [.p90: 5]),
      .allocatedBytes: BenchmarkThresholds(relative: [.p90: 5]),
    ])
  graphs()
  sessions()
  tensors()
  training()
}

/// From a module to a plan.
private func graphs() {
  stage("trace-and-fuse") {
    let network = try Network.make()
    return Stage { blackHole(try network.trace(Network.input).fused()) }
  }
  let minMax = QConfig(activation: MinMaxObserver(), weight: QConfig.default.weight)
  for (name, configuration) in [("min-max", minMax), ("histogram", .default)] {
    stage("calibrate-\(name)") {
      let prepared = try Network.fused().prepare(QConfigMap(configuration))
      let images = try Network.images(8)
      return Stage { try prepared.calibrate([images]) }
    }
  }
  stage("convert") {
    let prepared = try Network.calibrated()
    return Stage { blackHole(try prepared.convert()) }
  }
  stage("plan-float") {
    let graph = try Network.fused()
    return Stage { blackHole(try Plan(graph)) }
  }
  stage("plan-int8") {
    let graph = try Network.calibrated().convert().graph
    return Stage { blackHole(try Plan(graph)) }
  }
}

/// Runs of a session on one thread.
private func sessions() {
  for batch in [1, 32] {
    stage("session-float-batch-\(batch)") {
      let session = Session(try Plan(Network.fused()), threads: 1)
      let images = try Network.images(batch)
      return Stage { blackHole(try session(images)) }
    }
    stage("session-int8-batch-\(batch)") {
      let session = Session(try Plan(Network.calibrated().convert().graph), threads: 1)
      let images = try Network.images(batch)
      return Stage { blackHole(try session(images)) }
    }
  }
}

/// Quantizing and observing 2²⁰ numbers: as one tensor, with 64 channels first, and with 64 channels last.
private func tensors() {
  let forms: [(name: String, shape: [Int], axis: Int?)] = [
    ("tensor", [1 << 20], nil), ("channels-first", [64, 1 << 14], 0), ("channels-last", [1 << 14, 64], 1),
  ]
  for (name, shape, axis) in forms {
    @Sendable func parameters() throws -> QuantizationParameters {
      let count = axis.map { shape[$0] } ?? 1
      return try QuantizationParameters(
        scales: (0..<count).map { 0.01 + 0.001 * Float($0) }, zeroPoints: .init(repeating: 0, count: count),
        dtype: .int8, axis: axis)
    }
    stage("quantize-\(name)") {
      let (x, parameters) = (try Tensor(numbers(1 << 20), shape: shape), try parameters())
      return Stage { blackHole(try quantize(x, parameters)) }
    }
    stage("dequantize-\(name)") {
      let parameters = try parameters()
      let q = try quantize(Tensor(numbers(1 << 20), shape: shape), parameters)
      return Stage { blackHole(try dequantize(q, parameters)) }
    }
    if let axis { observe(name, shape, PerChannelMinMaxObserver(axis: axis)) }
  }
  observe("tensor", [1 << 20], MinMaxObserver())
  observe("histogram", [1 << 20], HistogramObserver())
}

private func observe(_ name: String, _ shape: [Int], _ observer: some Observer) {
  stage("observe-\(name)") {
    let x = try Tensor(numbers(1 << 20), shape: shape)
    var observer = observer
    return Stage { try observer.observe(x) }
  }
}
