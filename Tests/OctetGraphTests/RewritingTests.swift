import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite struct RewritingTests {
  private let network = Sequential(Linear(4, 6), ReLU(), Linear(6, 2))

  private func graph() throws -> Graph {
    try network.initialize(seed: 2)
    return try network.trace(TensorType(.float32, [.symbolic("n"), 4]))
  }

  @Test func nodesBecomeOthers() throws {
    let graph = try graph()
    let bounded = try graph.rewriting { node in
      guard case .unary(.relu) = node.op else { return [node] }
      var clip = node
      clip.op = .clip(Op.Clip(minimum: 0, maximum: 0.1))
      clip.outputs = ["clipped"]
      // Two nodes for one: the second keeps the name that others read.
      return [
        clip, Node(name: "again", op: .unary(.relu), inputs: ["clipped"], outputs: node.outputs, modules: node.modules),
      ]
    }
    #expect(bounded.nodes.map(\.op.kind) == [.linear, .clip, .relu, .linear])
    let x = try Tensor.random([3, 4], seed: 1)
    let hidden = try clip(network[0](x), minimum: 0, maximum: 0.1)
    #expect(try discrepancy(bounded.replay([x])[0], network[2](hidden)) == nil)
    // The graph it came from is as it was.
    #expect(graph.nodes.map(\.op.kind) == [.linear, .relu, .linear])
  }

  @Test func whatIsMissingAfterwardsIsNamed() throws {
    let error = octetError { try graph().rewriting { $0.op.kind == .relu ? [] : [$0] } }
    #expect(error?.code == .invalidGraph && error?.subject == "2.linear" && error?.found == "1.relu")
  }

  @Test func usesAreReplacedAndTheRestRemoved() throws {
    let graph = try graph()
    let linear = try graph.replacingUses(of: "1.relu", with: "0.linear")
    #expect(linear.nodes.map(\.name) == ["0.linear", "2.linear"])
    let x = try Tensor.random([3, 4], seed: 1)
    #expect(try discrepancy(linear.replay([x])[0], network[2](network[0](x))) == nil)

    let hidden = try graph.replacingUses(of: "2.linear", with: "1.relu")
    #expect(hidden.outputs.map(\.value) == ["1.relu"] && hidden.nodes.count == 2)
    #expect(octetError { try graph.replacingUses(of: "1.relo", with: "x") }?.expected.contains("1.relu") == true)
    #expect(octetError { try graph.replacingUses(of: "0.linear", with: "2.linear") }?.code == .invalidGraph)
  }
}
