import Octet

/// What observing costs: calibration of the demo's network with each observer, over a replay of it that is not watched.
struct CalibrationReport: Encodable {
  struct Row: Encodable {
    let observer: String
    /// Of all batches.
    let best_ms: Double
    /// Calibration over replay: the median of rounds in which all take turns.
    let ratio: Double
    /// Finding the parameters of all sites afterwards.
    let parameters_ms: Double
  }

  let cpu: String
  let isa: String
  let threads: Int
  let replay_ms: Double
  let rows: [Row]

  private static let rounds = 5
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
    var replays: [Double] = []
    var calibrations = [[Double]](repeating: [], count: Self.observers.count)
    var prepared: [PreparedGraph] = []
    let progress = Progress("bench calibrate", total: Self.rounds)
    defer { progress.finish() }
    for round in 0..<Self.rounds {
      // Without sites nothing is watched: the same way through the graph, on as many threads.
      let bare = try graph.prepare(QConfigMap(.float))
      prepared = try Self.observers.map {
        try graph.prepare(QConfigMap(QConfig(activation: $0, weight: QConfig.default.weight)))
      }
      replays.append(try seconds { try bare.calibrate(batches, threads: threads) })
      for (index, prepared) in prepared.enumerated() {
        calibrations[index].append(try seconds { try prepared.calibrate(batches, threads: threads) })
      }
      progress.show(round + 1)
    }
    rows = try Self.observers.indices.map { index in
      let ratios = zip(calibrations[index], replays).map { $0 / $1 }.sorted()
      let parameters = try seconds { for site in prepared[index].sites { _ = try site.observer.calculateQParams() } }
      return Row(
        observer: "\(type(of: Self.observers[index]))", best_ms: calibrations[index].min()! * 1000,
        ratio: ratios[ratios.count / 2], parameters_ms: parameters * 1000)
    }
    (cpu, isa, self.threads) = (Machine.cpuName, try InstructionSet.chosen().name, threads)
    replay_ms = replays.min()! * 1000
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
