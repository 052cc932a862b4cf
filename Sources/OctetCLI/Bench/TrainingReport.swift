import Octet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a training step costs: the CNN of PyTorch's MNIST example, 128 images of 28 × 28, a small residual network and blocks of
/// MobileNetV2; the first two also when they are trained for integers; and fake-quantization of 10 million floats.
struct TrainingReport: Encodable {
  struct Row: Encodable {
    let name: String
    let threads: Int
    let best_ms: Double
    let median_ms: Double
    /// What the peak of resident memory grew by from before the first step to after the last; of the first row alone, since a
    /// process keeps its peak.
    var memory_mb: Double?
    /// Steps of the same network in float take turns with these: their median, and that of the ratios of neighbours.
    var float_ms: Double?
    var float_ratio: Double?
  }

  let cpu: String
  let isa: String
  let rows: [Row]

  static let names = [
    "sgd", "adam", "residual", "mobile", "qat cnn", "qat residual", "fake-quantize", "masked fake-quantize",
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
      if isWanted("mobile") {
        rows.append(
          try Self.steps("mobile", MobileNet(), [16, 24, 28, 28], threads) { try SGD($0, learningRate: 0.01) })
      }
      if isWanted("qat cnn") { rows.append(try Self.qatSteps("qat cnn", { MNISTNet() }, [128, 1, 28, 28], threads)) }
      if isWanted("qat residual") {
        rows.append(try Self.qatSteps("qat residual", { ResidualNet() }, [32, 3, 32, 32], threads))
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
    let step = try Step(shape, optimizer(network.parameters)) { try network($0) }
    let before = peakMemory
    let times = try (0..<steps).map { _ in try step.time() }
    let memory = peakMemory - before
    return Row(name, threads, Array(times.dropFirst(warmUp)), memory_mb: memory)
  }

  /// Steps of quantization-aware training, each behind one of the same graph in float.
  private static func qatSteps(_ name: String, _ make: () -> Module, _ shape: [Int], _ threads: Int) throws -> Row {
    let pair = try [QConfigMap(.float), QConfigMap(.defaultQAT(for: .octet))].map { map in
      let network = make()
      try network.initialize(seed: 1)
      let input = TensorType(.float32, [.symbolic("n")] + shape.dropFirst().map(Dimension.fixed))
      let prepared = try network.trace(input).prepareQAT(map)
      prepared.isTraining = true
      let optimizer = try SGD([ParameterGroup(prepared.trainableParameters)], learningRate: 0.01)
      return try Step(shape, optimizer) { try prepared($0) }
    }
    let times = try (0..<steps).map { _ in try pair.map { try $0.time() } }.dropFirst(warmUp)
    func median(_ numbers: [Double]) -> Double { numbers.sorted()[numbers.count / 2] }
    var row = Row(name, threads, times.map { $0[1] }, memory_mb: nil)
    row.float_ms = median(times.map { $0[0] }) * 1e3
    row.float_ratio = median(times.map { $0[1] / $0[0] })
    return row
  }

  /// A step of training on one batch, again and again.
  private struct Step {
    let optimizer: Optimizer
    let network: (Tensor) throws -> Tensor
    let x: Tensor
    let labels: Tensor

    init(_ shape: [Int], _ optimizer: Optimizer, _ network: @escaping (Tensor) throws -> Tensor) throws {
      (self.optimizer, self.network) = (optimizer, network)
      x = try noise(shape, seed: 2)
      labels = try Tensor((0..<shape[0]).map { Int64($0 % 10) }, shape: [shape[0]])
    }

    /// In seconds.
    func time() throws -> Double {
      let start = now()
      let (_, gradients) = try valueAndGradients(of: optimizer.parameters) { try crossEntropy(network(x), labels) }
      try optimizer.step(gradients)
      return now() - start
    }
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
    var table = Table(
      ["row", "best_ms", "median_ms", "memory_mb", "float_ms", "float_ratio"], trailing: [1, 2, 3, 4, 5])
    for row in rows {
      table.append(
        row.name, row.best_ms.formatted(2), row.median_ms.formatted(2), row.memory_mb?.formatted(1) ?? "–",
        row.float_ms?.formatted(2) ?? "–", row.float_ratio?.formatted(2) ?? "–")
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

/// Three blocks of MobileNetV2, the second with a stride: 24 × 28 × 28 to ten classes.
private final class MobileNet: Module {
  let blocks = Sequential(MobileNet.block(24, 24), MobileNet.block(24, 32, stride: 2), MobileNet.block(32, 32))
  let fc = Linear(32, 10)

  override func forward(_ x: Tensor) throws -> Tensor {
    try fc(adaptiveAveragePool2d(blocks(x), outputSize: 1).flatten(from: 1))
  }

  private static func block(_ inputs: Int, _ outputs: Int, stride: Int = 1) -> Module {
    let hidden = 6 * inputs
    let layers = Sequential(
      Conv2d(inputs, hidden, kernelSize: 1, bias: false), BatchNorm2d(hidden), ReLU6(),
      Conv2d(hidden, hidden, kernelSize: 3, stride: Size2D(stride, stride), padding: 1, groups: hidden, bias: false),
      BatchNorm2d(hidden), ReLU6(), Conv2d(hidden, outputs, kernelSize: 1, bias: false), BatchNorm2d(outputs))
    return stride == 1 && inputs == outputs ? Residual(layers) : layers
  }

  private final class Residual: Module {
    let conv: Sequential

    init(_ conv: Sequential) {
      self.conv = conv
      super.init()
    }

    override func forward(_ x: Tensor) throws -> Tensor { try x + conv(x) }
  }
}
