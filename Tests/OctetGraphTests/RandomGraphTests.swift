import OctetCore
import OctetGraph
import TestSupport
import Testing

/// Rewriting must not change results, whatever the graph.
@Suite("Random graphs")
struct RandomGraphTests {
  /// A graph of up to 14 nodes on images of 3 channels, with shared weights, shared values, dead ends and residuals.
  static func graph(seed: UInt64) throws -> Graph {
    var generator = SeededGenerator(seed: seed)
    var nodes: [Node] = []
    var values = ["x"]
    var parameters: [String: Tensor] = [:]
    func parameter(_ name: String, _ shape: [Int], _ range: ClosedRange<Float> = -0.5...0.5) throws -> String {
      // Some are shared with an earlier node.
      let same = parameters.keys.filter { parameters[$0]!.shape == shape && $0.hasPrefix(name) }.sorted()
      if !same.isEmpty, Int.random(in: 0..<4, using: &generator) == 0 { return same.randomElement(using: &generator)! }
      let full = "\(name)\(parameters.count)"
      parameters[full] = try .random(shape, in: range, using: &generator)
      return full
    }
    func someValue() -> String {
      // Mostly the latest ones, so that chains come about.
      Int.random(in: 0..<3, using: &generator) > 0 ? values.last! : values.randomElement(using: &generator)!
    }
    for index in 0..<Int.random(in: 2...14, using: &generator) {
      let x = someValue()
      let op: Op
      var inputs: [String?] = [x]
      switch Int.random(in: 0..<12, using: &generator) {
      case 0...3:
        let size = [1, 3].randomElement(using: &generator)!
        op = .conv(.init(padding: Padding2D(Size2D(size / 2))))
        inputs.append(try parameter("weight", [3, 3, size, size]))
        if Bool.random(using: &generator) { inputs.append(try parameter("bias", [3])) }
      case 4...6:
        op = .batchNormalization(.init(epsilon: 1e-3))
        inputs += [
          try parameter("scale", [3], 0.5...1.5), try parameter("offset", [3]), try parameter("mean", [3]),
          try parameter("variance", [3], 0.5...2),
        ]
      case 7...8: op = .unary(.relu)
      case 9: op = .clip(.init(minimum: -0.2, maximum: 0.8))
      default:
        op = .binary([.add, .add, .mul].randomElement(using: &generator)!)
        inputs.append(values.randomElement(using: &generator)!)
        if Bool.random(using: &generator) { inputs.swapAt(0, 1) }
      }
      nodes.append(Node(name: "n\(index)", op: op, inputs: inputs, outputs: ["v\(index)"], modules: ["m\(index)"]))
      values.append("v\(index)")
    }
    var outputs = [Graph.Output(name: "last", value: values.last!)]
    if Bool.random(using: &generator) {
      outputs.append(.init(name: "other", value: values.randomElement(using: &generator)!))
    }
    return try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n"), 3, 4, 4]))], nodes: nodes, outputs: outputs,
      parameters: parameters.mapValues { Parameter($0) })
  }

  @Test func rewritingKeepsResults() throws {
    var fusedNodes = 0
    for seed in 0..<600 as Range<UInt64> {
      let graph = try Self.graph(seed: seed)
      let x = try Tensor.random([2, 3, 4, 4], seed: seed)
      let before = try graph.parameters.mapValues { try $0.value.floats }
      let expected = try graph.replay([x])
      let (clean, fused, folded) = (try graph.removingDeadNodes(), try graph.fused(), try graph.foldingConstants())
      for (name, other, tolerance) in [("clean", clean, 0), ("fused", fused, 1e-4), ("folded", folded, 0)]
        as [(String, Graph, Float)]
      {
        #expect(other.outputs == graph.outputs && other.inputs == graph.inputs, "\(name), seed \(seed)")
        for (a, b) in zip(try other.replay([x]), expected) {
          let scale = try b.floats.reduce(1) { max($0, abs($1)) }
          let problem = try discrepancy(a, b, absolute: tolerance * scale, relative: tolerance)
          #expect(problem == nil, "\(name), seed \(seed)\n\(graph)\n\(other)")
        }
      }
      #expect(
        try graph.parameters.mapValues { try $0.value.floats } == before,
        "the graph's own parameters stay, seed \(seed)")
      #expect(try fused.fused().description == fused.description, "seed \(seed)")
      fusedNodes += clean.nodes.count - fused.nodes.count
    }
    #expect(fusedNodes > 400, "enough was fused to mean something: \(fusedNodes)")
  }
}
