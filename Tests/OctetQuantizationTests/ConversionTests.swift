import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

@Suite struct ConversionTests {
  /// The whole text of a small graph: pairs around every value, weights as integers.
  @Test func goldenGraph() throws {
    let half = try QuantizationParameters(scale: 0.5, zeroPoint: 3, dtype: .uint8)
    let weight = try QuantizationParameters(scale: 0.25, zeroPoint: 0, dtype: .int8)
    let network = Network.named("one channel, one pixel")
    let prepared = try network.graph().prepare(
      QConfigMap(
        QConfig(
          activation: FixedObserver(parameters: half),
          weight: FixedObserver(parameters: weight))))
    try prepared.calibrate([network.inputs(batch: 1, seed: 1)[0]])
    let (graph, _) = try prepared.convert()
    #expect("\(graph)" == Self.golden, "\(graph)")
    #expect(graph.parameters["layers.0.weight.quantized"]?.value.type == TensorType(.int8, [3, 1, 5, 5]))
    #expect(graph.parameters["layers.0.weight"] == nil, "the float weight is gone")
    #expect(graph.parameters["layers.0.bias"]?.value.dtype == .float32)
  }

  private static let golden = """
    graph(x: float32 [n, 1, 5, 5])
      x.quantize = quantizeLinear(x; scale 0.5, zero point 3, uint8 0…255) → uint8 [n, 1, 5, 5]
      x.dequantize = dequantizeLinear(x.quantize; scale 0.5, zero point 3, uint8 0…255) → float32 [n, 1, 5, 5]
      layers.0.weight.dequantize = dequantizeLinear(layers.0.weight.quantized; scale 0.25, zero point 0, int8 -128…127) → float32 [3, 1, 5, 5]
      layers.1.relu = conv(x.dequantize, layers.0.weight.dequantize, layers.0.bias; ReLU) → float32 [n, 3, 1, 1]
      layers.1.relu.quantize = quantizeLinear(layers.1.relu; scale 0.5, zero point 3, uint8 0…255) → uint8 [n, 3, 1, 1]
      layers.1.relu.dequantize = dequantizeLinear(layers.1.relu.quantize; scale 0.5, zero point 3, uint8 0…255) → float32 [n, 3, 1, 1]
      layers.2.weight.dequantize = dequantizeLinear(layers.2.weight.quantized; scale 0.25, zero point 0, int8 -128…127) → float32 [1, 3, 1, 1]
      layers.2.conv = conv(layers.1.relu.dequantize, layers.2.weight.dequantize, layers.2.bias) → float32 [n, 1, 1, 1]
      layers.2.conv.quantize = quantizeLinear(layers.2.conv; scale 0.5, zero point 3, uint8 0…255) → uint8 [n, 1, 1, 1]
      layers.2.conv.dequantize = dequantizeLinear(layers.2.conv.quantize; scale 0.5, zero point 3, uint8 0…255) → float32 [n, 1, 1, 1]
      layers.3.flatten = flatten(layers.2.conv.dequantize) → float32 [n, 1]
      layers.3.flatten.quantize = quantizeLinear(layers.3.flatten; scale 0.5, zero point 3, uint8 0…255) → uint8 [n, 1]
      layers.3.flatten.dequantize = dequantizeLinear(layers.3.flatten.quantize; scale 0.5, zero point 3, uint8 0…255) → float32 [n, 1]
      layers.4.weight.dequantize = dequantizeLinear(layers.4.weight.quantized; scale 0.25, zero point 0, int8 -128…127) → float32 [2, 1]
      layers.4.linear = linear(layers.3.flatten.dequantize, layers.4.weight.dequantize, layers.4.bias) → float32 [n, 2]
      layers.4.linear.quantize = quantizeLinear(layers.4.linear; scale 0.5, zero point 3, uint8 0…255) → uint8 [n, 2]
      layers.4.linear.dequantize = dequantizeLinear(layers.4.linear.quantize; scale 0.5, zero point 3, uint8 0…255) → float32 [n, 2]
      return output = layers.4.linear.dequantize
    """

  /// Half of the range chooses the scale; what is larger than anything seen is clipped at 255. A bound that is given holds.
  @Test func aReducedRangeIsForTheScaleAlone() throws {
    let x = try Tensor([0, 1, 2, 4] as [Float], shape: [1, 4])
    let module = Linear(4, 2)
    let graph = try module.trace(TensorType(.float32, [.symbolic("n"), 4]))
    for (observer, range) in [
      (MinMaxObserver(reduceRange: true), 0...255), (MinMaxObserver(quantMax: 127), 0...127),
      (MinMaxObserver(quantMax: 100, reduceRange: true), 0...100),
    ] {
      let prepared = try graph.prepare(QConfigMap(QConfig(activation: observer, weight: QConfig.minMax.weight)))
      try prepared.calibrate([x])
      let node = try #require(prepared.convert().graph.nodes.first { $0.name == "x.quantize" })
      guard case .quantizeLinear(let payload) = node.op else {
        Issue.record("\(node)")
        return
      }
      let steps: Float = range.upperBound == 255 ? 127 : Float(range.upperBound)
      #expect(payload.parameters.range == range && payload.parameters.scales == [4 / steps])
    }
  }

  @Test(arguments: Network.all)
  func theReportAccountsForEveryNode(_ network: Network) throws {
    let graph = try network.graph()
    let (converted, report) = try network.converted()
    #expect(report.entries.map(\.node) == graph.nodes.map(\.name))
    #expect(report.entries.map(\.kind) == graph.nodes.map(\.op.kind))
    for entry in report.entries {
      #expect(entry.reason?.isEmpty != true)
      let node = try #require(converted.nodes.first { $0.name == entry.node })
      let isBetweenPairs = Self.isBetweenPairs(node, converted)
      // An engine may find pairs around a node that has no integer form; the other way round never.
      #expect(isBetweenPairs || !entry.isQuantized, "\(entry.node): \(entry.reason ?? "quantized")")
    }
    let text = report.description
    #expect(text.contains("\(report.quantized.count) of \(graph.nodes.count) nodes quantized"))
    for entry in report.kept { #expect(text.contains(entry.reason!)) }
  }

  /// Whether a node reads nothing but dequantized values (and constants beside its weight, and indices) and its results
  /// are quantized at once.
  private static func isBetweenPairs(_ node: Node, _ graph: Graph) -> Bool {
    let producers = graph.producers
    func isDequantized(_ name: String) -> Bool {
      producers[name].map { graph.nodes[$0].op.kind == .dequantizeLinear } ?? false
    }
    let weight: [Op.Kind: Int] = [.conv: 1, .linear: 1, .convTranspose: 1, .gather: 0]
    let chain = node.chain(in: graph)
    let (node, last) = (chain[0], chain[chain.count - 1])
    let areFine = node.inputs.enumerated().allSatisfy { index, name in
      guard let name, !isDequantized(name) else { return true }
      if index == weight[node.op.kind] { return false }
      return graph.parameters[name] != nil || graph.types[name]?.dtype != .float32
    }
    let users = graph.consumers[last.outputs[0]] ?? []
    return areFine && users.count == 1 && graph.nodes[users[0]].op.kind == .quantizeLinear
      && !graph.isOutput(last.outputs[0])
  }

  @Test(arguments: [
    ("plain CNN", 1, 1), ("residual", 1, 1), ("depthwise", 1, 1), ("float in the middle", 2, 2),
    ("two inputs, two outputs", 2, 2),
    ("all float", 0, 0), ("float at the end", 1, 1), ("unfused pools", 1, 1), ("adaptive, not divisible", 2, 2),
  ])
  func boundaries(_ name: String, _ quantize: Int, _ dequantize: Int) throws {
    let (graph, report) = try Network.named(name).converted()
    #expect(report.boundaries.count { $0.direction == .quantize } == quantize, "\(report.boundaries)")
    #expect(report.boundaries.count { $0.direction == .dequantize } == dequantize, "\(report.boundaries)")
    for boundary in report.boundaries { #expect(graph.types[boundary.value] != nil) }
  }

  @Test func reasons() throws {
    func reasons(_ name: String) throws -> [Op.Kind: String] {
      Dictionary(try Network.named(name).converted().report.kept.map { ($0.kind, $0.reason!) }) { first, _ in first }
    }
    let attention = try reasons("attention")
    #expect([.matmul, .softmax, .div, .add, .sub].allSatisfy { attention[$0] == nil })
    #expect(try reasons("float at the end")[.softmax] == "its operand is made in float")
    #expect(try reasons("sums that broadcast")[.add] == "its operands broadcast")
    #expect(try reasons("adaptive, not divisible")[.adaptiveAveragePool]?.contains("windows differ") == true)
    #expect(try reasons("float in the middle")[.conv]?.contains("QConfig is float") == true)
    #expect(try reasons("padding")[.pad]?.contains("no integer form") == true)
    #expect(try reasons("affine weights")[.conv]?.contains("zero points") == true)
  }

  @Test func unfusedBatchNormalizationStaysFloat() throws {
    final class Net: Module {
      let conv = Conv2d(2, 3, kernelSize: 1)
      let bn = BatchNorm2d(3)
      override func forward(_ x: Tensor) throws -> Tensor { try relu(bn(conv(x))) }
    }
    let prepared = try Net().trace(TensorType(.float32, [1, 2, 3, 3])).prepare(QConfigMap(.minMax))
    try prepared.calibrate([Tensor.random([1, 2, 3, 3], seed: 1)])
    let report = try prepared.convert().report
    #expect(report.quantized.map(\.kind) == [.conv])
    #expect(report.kept.map(\.kind) == [.batchNormalization, .relu])
    #expect(report.kept[1].reason == "nothing beside it is quantized")
  }

  @Test func deadNodesAreReported() throws {
    let conv = Conv2d(2, 3, kernelSize: 1)
    final class Net: Module {
      let conv: Conv2d
      init(_ conv: Conv2d) { self.conv = conv }
      override func forward(_ x: Tensor) throws -> Tensor {
        _ = try relu(conv(x))
        return try conv(x)
      }
    }
    let prepared = try Net(conv).trace(TensorType(.float32, [1, 2, 3, 3])).prepare(QConfigMap(.minMax))
    try prepared.calibrate([Tensor.random([1, 2, 3, 3], seed: 1)])
    let (graph, report) = try prepared.convert()
    #expect(report.entries.count == 3)
    #expect(report.quantized.count == 1)
    #expect(report.kept.allSatisfy { $0.reason == "no output needs it" })
    #expect(graph.nodes.count { $0.op.kind == .conv } == 1)
  }

  @Test func layersThatShareAWeightMayQuantizeItDifferently() throws {
    let network = Network.named("a layer used twice")
    let graph = try network.graph()
    let names = graph.nodes.map(\.name)
    var map = QConfigMap(.minMax)
    map[names[1]] = QConfig(activation: MinMaxObserver(), weight: MinMaxObserver(dtype: .int8, scheme: .symmetric))
    for (map, weights) in [(network.map, 1), (map, 2)] {
      let prepared = try graph.prepare(map)
      try prepared.calibrate([network.inputs(batch: 1, seed: 1)[0]])
      let (converted, report) = try prepared.convert()
      #expect(report.kept.isEmpty)
      #expect(converted.parameters.values.count { $0.value.dtype == .int8 } == weights)
    }
  }

  @Test func whatIntegerKernelsCannotTake() throws {
    let network = Network.named("plain CNN")
    func convert(_ config: QConfig, _ network: Network = network) throws -> ConversionReport {
      let prepared = try network.graph().prepare(QConfigMap(config))
      try prepared.calibrate([network.inputs(batch: 1, seed: 1)[0]])
      return try prepared.convert().report
    }
    let channels = QConfig(activation: PerChannelMinMaxObserver(axis: 1), weight: QConfig.minMax.weight)
    #expect(octetError { try convert(channels, .named("grouped")) }?.code == .unsupported)
    let narrow = QConfig(activation: MinMaxObserver(dtype: .int4), weight: QConfig.minMax.weight)
    #expect(octetError { try convert(narrow) }?.code == .unsupported)
    for weight in [
      PerChannelMinMaxObserver(axis: 1, dtype: .int8, scheme: .symmetric),
      PerChannelMinMaxObserver(axis: 0, dtype: .int4, scheme: .symmetric),
      PerChannelMinMaxObserver(axis: 0, dtype: .uint8, scheme: .symmetric),
    ] {
      let report = try convert(QConfig(activation: MinMaxObserver(), weight: weight))
      #expect(report.quantized.allSatisfy { $0.kind != .conv && $0.kind != .linear })
      #expect(report.kept.contains { $0.reason?.contains("weight") == true })
    }
  }

  /// Rounded to finer steps than bytes, and computed in float: only the weights' steps remain.
  @Test(arguments: [DType.int16, .uint16])
  func activationsOf16Bits(_ dtype: DType) throws {
    let network = Network.named("plain CNN")
    let graph = try network.graph()
    let x = try network.inputs(batch: 4, seed: 1)
    func errors(_ activation: any Observer, _ weight: (any Observer)?) throws -> (largest: Float, ConversionReport) {
      let prepared = try graph.prepare(QConfigMap(QConfig(activation: activation, weight: weight)))
      try prepared.calibrate([x[0]])
      let (converted, report) = try prepared.convert()
      let (found, expected) = (try converted.replay(x)[0].floats, try graph.replay(x)[0].floats)
      return (zip(found, expected).map { abs($0 - $1) }.max()!, report)
    }
    let (narrow, _) = try errors(MinMaxObserver(), QConfig.minMax.weight)
    let (wide, report) = try errors(MinMaxObserver(dtype: dtype), QConfig.minMax.weight)
    #expect(wide > 0 && wide < narrow)
    #expect(report.quantized.isEmpty && report.boundaries.isEmpty)
    #expect(report.kept.allSatisfy { $0.reason == "its activations are \(dtype), and kernels take bytes" })
  }

  @Test func sumsThatMightOverflowStayFloat() throws {
    for (depth, isQuantized) in [(65_000, true), (65_001, false)] {
      let prepared = try Linear(depth, 1).trace(TensorType(.float32, [1, .fixed(depth)])).prepare(QConfigMap(.minMax))
      try prepared.calibrate([Tensor.random([1, depth], seed: 1)])
      #expect(try prepared.convert().report.entries[0].isQuantized == isQuantized)
    }
  }

  /// Quantizing changes the result by little, and less than nothing at all.
  @Test(arguments: Network.all)
  func staysNearTheFloatNetwork(_ network: Network) throws {
    let x = try network.inputs(batch: 4, seed: 100)
    let expected = try network.graph().replay(x)
    let found = try network.converted().graph.replay(x)
    for (a, b) in zip(found, expected) {
      let (a, b) = (try a.floats, try b.floats)
      let error = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let mean = b.reduce(0, +) / Float(b.count)
      let signal = b.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      #expect(error <= 0.01 * signal, "error \((error / signal).squareRoot()) of the signal")
    }
  }
}
