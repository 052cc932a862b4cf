import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// Which values get a site, and which share one.
@Suite struct SiteTests {
  private func sites(_ name: String) throws -> [[String]] {
    let network = Network.named(name)
    return try network.graph().prepare(network.map).sites.map(\.values)
  }

  private func site(of value: String, in sites: [[String]]) throws -> Int {
    try #require(sites.firstIndex { $0.contains(value) }, "\(value) in \(sites)")
  }

  @Test func poolsReLUAndFlattenShare() throws {
    #expect(
      try sites("plain CNN") == [
        ["x"], ["layers.1.relu", "layers.2.maxPool"], ["layers.4.relu", "layers.5.flatten"], ["layers.6.linear"],
      ])
    let unfused = try sites("unfused pools")
    #expect(unfused.count == 2, "\(unfused)")
    #expect(unfused[1].count == 5)
  }

  @Test func concatShares() throws {
    let sites = try sites("concat of channels")
    let network = try Network.named("concat of channels").graph()
    let concat = try #require(network.nodes.first { $0.op.kind == .concat })
    let place = try site(of: concat.outputs[0], in: sites)
    for input in concat.inputs { #expect(try site(of: input!, in: sites) == place) }
    // Through the pooled branch, the input too.
    #expect(try site(of: "x", in: sites) == place)
  }

  @Test func additionDoesNotShare() throws {
    let sites = try sites("unfused residual")
    #expect(sites.count == 3 && sites.map(\.count) == [1, 1, 1], "\(sites): x, conv, and the ReLU behind the sum")
    #expect(sites[2] == ["relu"], "what is negative before a ReLU needs no integers")
  }

  @Test func aSiteIsFoundByValueNodeAndModule() throws {
    let network = Network.named("plain CNN")
    let prepared = try network.graph().prepare(network.map)
    #expect(prepared.sites["x"]?.name == "x")
    #expect(prepared.sites["layers.6"]?.name == prepared.graph.nodes.last?.outputs[0])
    #expect(prepared.sites["layers.2"]?.name == prepared.sites["layers.0"]?.name)
    #expect(prepared.sites["nothing"] == nil)
    #expect(prepared.tabular().rows.contains { $0.contains { $0.contains("MinMaxObserver") } })
  }

  /// The value `flatten` of the function has no site; the module of that name has one.
  private final class Namesake: Module {
    let flatten = Linear(4, 4)
    let head = Linear(8, 2)

    override func forward(_ x: Tensor) throws -> Tensor { try head(flatten(x).flatten(from: 1)) }
  }

  @Test func aValueAndAModuleMayHaveTheSameName() throws {
    let module = Namesake()
    try module.initialize(seed: 4)
    let graph = try module.trace(TensorType(.float32, [.symbolic("n"), 2, 4]))
    #expect(graph.nodes.map(\.name) == ["flatten.linear", "flatten", "head.linear"])
    var map = QConfigMap(QConfig(activation: MinMaxObserver(dtype: .uint8), weight: QConfig.default.weight))
    map["flatten"] = .float
    map["head"] = .float
    map["flatten.linear"] = QConfig(activation: MinMaxObserver(dtype: .uint8), weight: QConfig.default.weight)
    let prepared = try graph.prepare(map)
    let x = try Tensor.random([3, 2, 4], seed: 9)
    try prepared.calibrate([x])
    let (converted, report) = try prepared.convert()
    #expect(report.quantized.map(\.node) == ["flatten.linear"])
    #expect(
      converted.nodes.filter { $0.op.kind == .quantizeLinear }.map(\.name) == ["x.quantize", "flatten.linear.quantize"])
    let expected = try module(x).floats
    #expect(zip(try converted.replay([x])[0].floats, expected).allSatisfy { abs($0 - $1) < 0.05 })
  }

  @Test func floatLayersHaveNoSitesOfTheirOwn() throws {
    let network = Network.named("all float")
    let prepared = try network.graph().prepare(network.map)
    #expect(prepared.sites.isEmpty)
    let (graph, report) = try network.converted()
    #expect(!graph.nodes.contains { $0.op.kind == .quantizeLinear })
    #expect(report.boundaries.isEmpty)
  }
}
