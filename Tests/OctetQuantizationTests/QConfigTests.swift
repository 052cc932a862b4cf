import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

@Suite struct QConfigTests {
  final class Block: Module {
    let first = Linear(4, 4)
    let second = Linear(4, 4)
    override func forward(_ x: Tensor) throws -> Tensor { try second(first(x)) }
  }

  final class Net: Module {
    let conv = Conv2d(1, 4, kernelSize: 1)
    let block = Block()
    let blocks = Block()
    let head = Linear(4, 2)
    override func forward(_ x: Tensor) throws -> Tensor { try head(blocks(block(conv(x).mean([2, 3])))) }
  }

  static let graph = try! Net().trace(TensorType(.float32, [.symbolic("n"), 1, 2, 2]))

  /// The nodes that stay in float under a map.
  private func floats(_ map: QConfigMap) throws -> [String] {
    let prepared = try Self.graph.prepare(map)
    try prepared.calibrate([Tensor.random([2, 1, 2, 2], seed: 1)])
    return try prepared.convert().report.kept.map(\.node)
  }

  private func map(_ settings: [(String, QConfig)]) -> QConfigMap {
    var map = QConfigMap(.default)
    for (glob, config) in settings { map[glob] = config }
    return map
  }

  @Test func defaultQuantizesEverything() throws {
    #expect(try floats(QConfigMap(.default)).isEmpty)
    #expect(try floats(QConfigMap(.float)).count == Self.graph.nodes.count)
  }

  @Test func namesAndGlobs() throws {
    #expect(try floats(map([("head", .float)])) == ["head.linear"])
    #expect(try floats(map([("head.linear", .float)])) == ["head.linear"], "the name of a node")
    #expect(try floats(map([("*.first", .float)])) == ["block.first.linear", "blocks.first.linear"])
    #expect(try floats(map([("block?.second", .float)])) == ["blocks.second.linear"])
    #expect(try floats(map([("[bh]*d", .float)])) == ["block.second.linear", "blocks.second.linear", "head.linear"])
  }

  @Test func aModuleIncludesAllBelowItAndNothingElse() throws {
    #expect(try floats(map([("block", .float)])) == ["block.first.linear", "block.second.linear"])
    #expect(try floats(map([("block", .float), ("block.second", .default)])) == ["block.first.linear"])
  }

  @Test func theLastPathWins() throws {
    #expect(try floats(map([("block.first", .default), ("block*", .float)])).count == 4)
    #expect(try floats(map([("block*", .float), ("block.first", .default)])).count == 3)
    // Setting a pattern again moves it to the end.
    #expect(try floats(map([("block.first", .default), ("block*", .float), ("block.first", .default)])).count == 3)
  }

  @Test func aPathBeatsAKindAndAKindBeatsTheDefault() throws {
    var map = QConfigMap(.default)
    map[.linear] = .float
    #expect(try floats(map).count == 5)
    map["head"] = .default
    #expect(try !floats(map).contains("head.linear"))
    var reverse = QConfigMap(.float)
    reverse[.conv] = .default
    #expect(try !floats(reverse).contains("conv.conv"))
    #expect(
      try floats(reverse).count == 6,
      "the mean shares the site of the convolution's result, but its own QConfig is float")
  }

  @Test func unknownPatternsNameNearLayers() throws {
    let error = octetError { try Self.graph.prepare(map([("blok.first", .float)])) }
    #expect(error?.code == .unknownName)
    #expect(error?.expected.contains("block.first") == true, "\(String(describing: error))")
    #expect(octetError { try Self.graph.prepare(map([("", .float)])) }?.code == .unknownName)
    #expect(octetError { try Self.graph.prepare(map([("block.", .float)])) }?.code == .unknownName)
  }

  @Test func missingObservers() throws {
    let config = QConfig(activation: MinMaxObserver(), weight: nil)
    let error = octetError { try Self.graph.prepare(map([("head", config)])) }
    #expect(error?.code == .invalidArgument && error?.subject == "head.linear")
    // Weights alone: nothing to compute in integers with.
    let weights = QConfig(activation: nil, weight: MinMaxObserver(dtype: .int8, scheme: .symmetric))
    let prepared = try Self.graph.prepare(QConfigMap(weights))
    try prepared.calibrate([Tensor.random([1, 1, 2, 2], seed: 1)])
    let report = try prepared.convert().report
    #expect(report.quantized.isEmpty && report.kept.allSatisfy { $0.reason?.contains("activation observer") == true })
  }

  @Test func reading() {
    let map = map([("head", .float)])
    #expect(map["head"].activation == nil)
    #expect(map["tail"].activation != nil)
    #expect(map[.conv].weight != nil)
  }

  @Test func aNodeBeatsAPath() throws {
    var map = map([("head", .float), ("block*", .float)])
    map[node: "head.linear"] = .default
    map["*"] = .float
    #expect(try floats(map) == Self.graph.nodes.map(\.name).filter { $0 != "head.linear" })
    #expect(!map[node: "head.linear"].isTheSame(as: .float) && map[node: "tail"].isTheSame(as: .default))
    map[node: "hed.linear"] = .float
    let error = octetError { try Self.graph.prepare(map) }
    #expect(error?.code == .unknownName && error?.subject == "QConfigMap[node: \"hed.linear\"]")
    #expect(error?.expected.contains("head.linear") == true, "\(String(describing: error))")
    // A node is a name, no pattern.
    var glob = QConfigMap(.default)
    glob[node: "*"] = .float
    #expect(octetError { try Self.graph.prepare(glob) }?.code == .unknownName)
  }

  @Test func explanation() throws {
    var map = map([("block", .default(for: .qnnpack)), ("*.second", .float)])
    map[.linear] = .default(for: .fbgemm)
    map[node: "block.second.linear"] = QConfig(activation: MinMaxObserver(reduceRange: true), weight: nil)
    #expect(
      map.explanation(for: Self.graph).description == """
        node                  operation  QConfig                                                    because
        ────────────────────  ─────────  ─────────────────────────────────────────────────────────  ────────────────────────────────────────────────────────────────────
        conv.conv             conv       octet                                                      default
        mean                  mean       octet                                                      default
        block.first.linear    linear     qnnpack                                                    path block over kind linear
        block.second.linear   linear     activation MinMaxObserver(reduceRange: true), weight none  node block.second.linear over path *.second, path block, kind linear
        blocks.first.linear   linear     fbgemm                                                     kind linear
        blocks.second.linear  linear     float                                                      path *.second over kind linear
        head.linear           linear     fbgemm                                                     kind linear
        """, "\(map.explanation(for: Self.graph))")
  }
}

extension QConfig {
  /// Both are described by the same words.
  func isTheSame(as other: QConfig) -> Bool { description == other.description }
}
