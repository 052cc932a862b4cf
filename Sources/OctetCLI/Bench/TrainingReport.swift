import Octet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a training step costs: the CNN of PyTorch's MNIST example, 128 images of 28 × 28, and a small residual network; both as graphs
/// too, in float and trained for integers; and fake-quantization of 10 million floats.
struct TrainingReport: Encodable {
  struct Row: Encodable {
    let name: String
    let threads: Int
    let best_ms: Double
    let median_ms: Double
    /// What the peak of resident memory grew by from before the first step to after the last; of the first row alone, since a
    /// process keeps its peak.
    var memory_mb: Double?
  }

  let cpu: String
  let isa: String
  let rows: [Row]

  static let names = [
    "sgd", "adam", "residual", "float graph", "qat graph", "float residual graph", "qat residual graph",
    "fake-quantize",
    "masked fake-quantize",
  ]

  /// - Parameter names: what the names of rows begin with; none: all of them.
  init(_ names: [String], threads: Int) throws {
    var rows: [Row] = []
    func isWanted(_ name: String) -> Bool { names.isEmpty || names.contains(where: name.hasPrefix) }
    try withThreads(threads) {
      if isWanted("sgd") {
        rows.append(try Self.steps("sgd", MNISTNet(), [128, 1, 28, 28], threads) { try SGD($0, learningRate: 0.01) })
      }
      if isWanted("adam") {
        rows.append(try Self.steps("adam", MNISTNet(), [128, 1, 28, 28], threads) { try Adam($0) })
      }
      if isWanted("residual") {
        rows.append(
          try Self.steps("residual", ResidualNet(), [32, 3, 32, 32], threads) { try SGD($0, learningRate: 0.01) })
      }
      for (kind, map) in [("float", QConfigMap(.float)), ("qat", QConfigMap(.defaultQAT(for: .octet)))] {
        if isWanted("\(kind) graph") {
          rows.append(try Self.graphSteps("\(kind) graph", MNISTNet(), [128, 1, 28, 28], threads, map))
        }
        if isWanted("\(kind) residual graph") {
          rows.append(try Self.graphSteps("\(kind) residual graph", ResidualNet(), [32, 3, 32, 32], threads, map))
        }
      }
      for name in ["fake-quantize", "masked fake-quantize"] where isWanted(name) {
        rows.append(try Self.fakeQuantization(name, threads, isMasked: name.hasPrefix("masked")))
      }
    }
    for index in rows.indices.dropFirst() { rows[index].memory_mb = nil }
    (cpu, isa, self.rows) = (Machine.cpuName, try InstructionSet.chosen().name, rows)
  }

  private static let (warmUp, steps) = (3, 20)

  /// Steps of training on one batch, again and again.
  private static func steps(
    _ name: String, _ network: Module, _ shape: [Int], _ threads: Int, _ optimizer: ([Parameter]) throws -> Optimizer
  ) throws -> Row {
    try network.initialize(seed: 1)
    network.isTraining = true
    return try steps(name, shape, threads, optimizer(network.parameters)) { try network($0) }
  }

  /// The same of a graph that is prepared for quantization-aware training, which has no dropout.
  private static func graphSteps(
    _ name: String, _ network: Module, _ shape: [Int], _ threads: Int, _ map: QConfigMap
  ) throws -> Row {
    try network.initialize(seed: 1)
    let prepared = try network.trace(TensorType(.float32, [.symbolic("n")] + shape.dropFirst().map(Dimension.fixed)))
      .prepareQAT(map)
    prepared.isTraining = true
    let optimizer = try SGD([ParameterGroup(prepared.trainableParameters)], learningRate: 0.01)
    return try steps(name, shape, threads, optimizer) { try prepared($0) }
  }

  private static func steps(
    _ name: String, _ shape: [Int], _ threads: Int, _ optimizer: Optimizer, _ network: (Tensor) throws -> Tensor
  ) throws -> Row {
    let x = try noise(shape, seed: 2)
    let labels = try Tensor((0..<shape[0]).map { Int64($0 % 10) }, shape: [shape[0]])
    let before = peakMemory
    var times: [Double] = []
    for _ in 0..<steps {
      let start = now()
      let (_, gradients) = try valueAndGradients(of: optimizer.parameters) { try crossEntropy(network(x), labels) }
      try optimizer.step(gradients)
      times.append(now() - start)
    }
    let memory = peakMemory - before
    return Row(name, threads, Array(times.dropFirst(warmUp)), memory_mb: memory)
  }

  private static func fakeQuantization(_ name: String, _ threads: Int, isMasked: Bool) throws -> Row {
    let x = try noise([10_000_000], seed: 3)
    let parameters = try QuantizationParameters(scales: [0.02], zeroPoints: [128], dtype: .uint8)
    var times: [Double] = []
    func time(_ x: Tensor) throws {
      let start = now()
      let result = try fakeQuantize(x, parameters)
      times.append(now() - start)
      withExtendedLifetime(result) {}
    }
    for _ in 0..<warmUp + steps {
      guard isMasked else {
        try time(x)
        continue
      }
      _ = try valueAndGradients(at: [x]) { inputs in
        try time(inputs[0])
        return try inputs[0][0..<1]
      }
    }
    return Row(name, threads, Array(times.dropFirst(warmUp)), memory_mb: nil)
  }

  /// Numbers in −1...1.
  private static func noise(_ shape: [Int], seed: UInt64) throws -> Tensor {
    var generator = SplitMix64(seed: seed)
    return try Tensor(
      (0..<shape.reduce(1, *)).map { _ in Float(generator.next() >> 40) * 0x1p-23 - 1 }, shape: shape)
  }

  /// The most memory that the process has had, in 10⁶ bytes.
  private static var peakMemory: Double {
    var usage = rusage()
    #if canImport(Darwin)
      getrusage(RUSAGE_SELF, &usage)
      return Double(usage.ru_maxrss) / 1e6
    #else
      #if canImport(Glibc)
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
      #else
        getrusage(Int32(RUSAGE_SELF), &usage)
      #endif
      // In kilobytes.
      return Double(usage.ru_maxrss) * 1024 / 1e6
    #endif
  }

  func show(json: Bool) throws {
    if json { return try printJSON(self) }
    print("\(cpu), \(isa), \(rows.first?.threads == 1 ? "one thread" : "\(rows.first?.threads ?? 0) threads")\n")
    var table = Table(["row", "best_ms", "median_ms", "memory_mb"], trailing: [1, 2, 3])
    for row in rows {
      table.append(row.name, row.best_ms.formatted(2), row.median_ms.formatted(2), row.memory_mb?.formatted(1) ?? "–")
    }
    print(table)
  }
}

extension TrainingReport.Row {
  /// - Parameter times: in seconds.
  fileprivate init(_ name: String, _ threads: Int, _ times: [Double], memory_mb: Double?) {
    let sorted = times.sorted()
    (self.name, self.threads, self.memory_mb) = (name, threads, memory_mb)
    (best_ms, median_ms) = (sorted[0] * 1e3, sorted[sorted.count / 2] * 1e3)
  }
}

/// The CNN of PyTorch's MNIST example: 1,199,882 parameters.
private final class MNISTNet: Module {
  let conv1 = Conv2d(1, 32, kernelSize: 3)
  let conv2 = Conv2d(32, 64, kernelSize: 3)
  let dropout1 = Dropout(0.25)
  let dropout2 = Dropout(0.5)
  let fc1 = Linear(9216, 128)
  let fc2 = Linear(128, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    let features = try maxPool2d(relu(conv2(relu(conv1(x)))), kernelSize: 2)
    return try fc2(dropout2(relu(fc1(dropout1(features).flatten(from: 1)))))
  }
}

/// Two residual blocks with batch normalization, the second with a stride: 32 × 32 pixels to ten classes.
private final class ResidualNet: Module {
  let stem = Sequential(Conv2d(3, 32, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(32), ReLU())
  let block1 = ResidualNet.block(32, 32, stride: 1)
  let block2 = ResidualNet.block(32, 64, stride: 2)
  let shortcut = Sequential(Conv2d(32, 64, kernelSize: 1, stride: 2, bias: false), BatchNorm2d(64))
  let fc = Linear(64, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    let x = try stem(x)
    let y = try relu(block1(x) + x)
    let z = try relu(block2(y) + shortcut(y))
    return try fc(adaptiveAveragePool2d(z, outputSize: 1).flatten(from: 1))
  }

  private static func block(_ inputs: Int, _ outputs: Int, stride: Int) -> Sequential {
    Sequential(
      Conv2d(inputs, outputs, kernelSize: 3, stride: Size2D(stride, stride), padding: 1, bias: false),
      BatchNorm2d(outputs), ReLU(), Conv2d(outputs, outputs, kernelSize: 3, padding: 1, bias: false),
      BatchNorm2d(outputs))
  }
}
