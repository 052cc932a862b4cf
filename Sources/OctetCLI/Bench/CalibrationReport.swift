import Octet

/// What observing costs: calibration of the demo's network with each observer, over a replay of it that is not watched.
struct CalibrationReport: Encodable {
  struct Row: Encodable {
    let observer: String
    /// Of all batches.
    let best_ms: Double
    /// Calibration over replay: the median of interleaved pairs.
    let ratio: Double
    /// Finding the parameters of all sites afterwards.
    let parameters_ms: Double
  }

  let cpu: String
  let isa: String
  let threads: Int
  let replay_ms: Double
  let rows: [Row]

  private static let pairs = 7
  private static let observers: [any Observer] = [
    MinMaxObserver(), MovingAverageMinMaxObserver(), HistogramObserver(), PercentileObserver(), MSEObserver(),
    EntropyObserver(),
  ]

  init(threads: Int) throws {
    let network = FashionMNISTNet()
    try network.load(contentsOf: DemoData.path("fmnist_cnn", "safetensors"))
    let graph = try network.trace(TensorType(.float32, [.symbolic("n"), 1, 28, 28])).fused()
    let batches = try DemoData("fashion-mnist-calibration-256").batches(of: 16)

    func seconds(_ run: () throws -> Void) rethrows -> Double {
      let start = now()
      try run()
      return now() - start
    }
    var (rows, replays): ([Row], [Double]) = ([], [])
    let progress = Progress("bench calibrate", total: Self.observers.count)
    defer { progress.finish() }
    for (index, observer) in Self.observers.enumerated() {
      var times: [(replay: Double, calibration: Double)] = []
      var prepared = try graph.prepare(QConfigMap(QConfig(activation: observer, weight: QConfig.default.weight)))
      for _ in 0..<Self.pairs {
        // Without sites nothing is watched: the same way through the graph, on as many threads.
        let bare = try graph.prepare(QConfigMap(.float))
        prepared = try graph.prepare(QConfigMap(QConfig(activation: observer, weight: QConfig.default.weight)))
        times.append(
          (try seconds { try bare.calibrate(batches, threads: threads) },
            try seconds { try prepared.calibrate(batches, threads: threads) }))
      }
      let parameters = try seconds { for site in prepared.sites { _ = try site.observer.calculateQParams() } }
      let ratios = times.map { $0.calibration / $0.replay }.sorted()
      rows.append(
        Row(
          observer: "\(type(of: observer))", best_ms: times.map(\.calibration).min()! * 1000,
          ratio: ratios[ratios.count / 2], parameters_ms: parameters * 1000))
      replays += times.map(\.replay)
      progress.show(index + 1)
    }
    (cpu, isa, self.threads) = (Machine.cpuName, try InstructionSet.chosen().name, threads)
    (replay_ms, self.rows) = (replays.min()! * 1000, rows)
  }

  func show(json: Bool) throws {
    if json { return try printJSON(self) }
    print("\(cpu), \(isa), \(threads == 1 ? "one thread" : "\(threads) threads"): 256 images in batches of 16\n")
    var table = Table(["observer", "best_ms", "ratio", "parameters_ms"], trailing: [1, 2, 3])
    table.append("none (replay)", replay_ms.formatted(1), "1.00", "–")
    for row in rows {
      table.append(row.observer, row.best_ms.formatted(1), row.ratio.formatted(2), row.parameters_ms.formatted(1))
    }
    print(table)
  }
}
