import Octet

/// Whole layers of networks in float and with dynamic quantization, by sessions.
struct NetworksReport: Encodable {
  struct Row: Encodable {
    let name: String
    let form: String
    let threads: Int
    let best_ms: Double
    let median_ms: Double
  }

  let cpu: String
  let isa: String
  let rows: [Row]

  /// - Parameter names: what the names of networks begin with; none: all of them.
  init(_ names: [String], threads: Int) throws {
    var rows: [Row] = []
    for (name, module, shape) in Self.networks where names.isEmpty || names.contains(where: name.hasPrefix) {
      // Bell-shaped weights, as trained ones are (those of the float network too), and evenly distributed ones, which
      // quantized products take longer for where a CPU has no byte dot product.
      try module.initialize(seed: 1)
      let float = try module.trace(TensorType(.float32, shape.map(Dimension.fixed))).fused()
      let flat = try float.quantizeDynamic().graph
      try Self.makeBellShaped(module)
      let bell = try float.quantizeDynamic().graph
      let x = try Self.input(shape)
      for (form, graph) in [("float32", float), ("dynamic", bell), ("dynamic, flat weights", flat)] {
        let session = Session(try Plan(graph), threads: threads)
        _ = try session.run([x])
        // The first run was the one that could fail.
        let times = measure { _ = try? session.run([x]) }
        rows.append(
          Row(name: name, form: form, threads: threads, best_ms: times.best * 1e3, median_ms: times.median * 1e3))
      }
    }
    (cpu, isa, self.rows) = (Machine.cpuName, try InstructionSet.chosen().name, rows)
  }

  /// With the shapes of their inputs: recurrent layers [steps, batch, features], the encoder layer [batch, steps, features].
  static var names: [String] { networks.map(\.name) }

  private static var networks: [(name: String, module: Module, shape: [Int])] {
    [
      ("lstm 256→512, 2 layers, 50 steps", LSTM(256, 512, numLayers: 2), [50, 1, 256]),
      (
        "encoder layer 768 / 3072, 128 tokens",
        TransformerEncoderLayer(768, 12, feedforwardDim: 3072, activation: GELU()), [1, 128, 768]
      ),
      ("gru 256→512, 2 layers, 50 steps", GRU(256, 512, numLayers: 2), [50, 1, 256]),
    ]
  }

  /// Normally distributed weights instead of those that layers start with.
  private static func makeBellShaped(_ module: Module) throws {
    var generator = SplitMix64(seed: 3)
    for parameter in module.parameters where parameter.value.shape.count > 1 {
      let shape = parameter.value.shape
      let deviation = 1 / Float(shape[1]).squareRoot()
      // The sum of twelve evenly distributed numbers is close enough.
      let weights = (0..<shape.reduce(1, *)).map { _ in
        deviation * ((0..<12).reduce(Float(-6)) { sum, _ in sum + Float(generator.next() >> 40) * 0x1p-24 })
      }
      parameter.value = try Tensor(weights, shape: shape)
    }
  }

  private static func input(_ shape: [Int]) throws -> Tensor {
    var generator = SplitMix64(seed: 7)
    return try Tensor(
      (0..<shape.reduce(1, *)).map { _ in Float(generator.next() >> 40) * 0x1p-23 - 1 }, shape: shape)
  }

  func show(json: Bool) throws {
    if json { return try printJSON(self) }
    print("\(cpu), \(isa), \(rows.first?.threads == 1 ? "one thread" : "\(rows.first?.threads ?? 0) threads")\n")
    var table = Table(["network", "form", "best_ms", "median_ms"], trailing: [2, 3])
    for row in rows { table.append(row.name, row.form, row.best_ms.formatted(3), row.median_ms.formatted(3)) }
    print(table)
  }
}
