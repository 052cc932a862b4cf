import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite("Rewriting and checking graphs")
struct RewriteTests {
  private let x = Graph.Input(name: "x", type: TensorType(.float32, [2, 2]))

  private func relu(_ input: String, _ name: String) -> Node {
    Node(name: name, op: .unary(.relu), inputs: [input], outputs: [name])
  }

  private func add(_ a: String, _ b: String, _ name: String) -> Node {
    Node(name: name, op: .binary(.add), inputs: [a, b], outputs: [name])
  }

  private func graph(_ nodes: [Node], _ outputs: [String], _ parameters: [String: Tensor] = [:]) throws -> Graph {
    try Graph(
      inputs: [x], nodes: nodes, outputs: outputs.map { .init(name: "\($0)_out", value: $0) },
      parameters: parameters.mapValues { Parameter($0) })
  }

  // MARK: - Dead nodes

  @Test func deadNodesAndParametersGo() throws {
    let weight = try Tensor(zeros: [2, 2])
    let graph = try graph(
      [relu("x", "a"), add("a", "w", "dead"), relu("dead", "dead2"), relu("a", "b")], ["b"],
      ["w": weight, "unused": weight])
    let clean = try graph.removingDeadNodes()
    #expect(clean.nodes.map(\.name) == ["a", "b"] && clean.parameters.isEmpty)
    #expect(clean.inputs == [x] && clean.types["dead"] == nil)
  }

  @Test func parametersThatAreOutputsStay() throws {
    let graph = try graph([relu("x", "a")], ["w", "x"], ["w": Tensor(zeros: [1])])
    let clean = try graph.removingDeadNodes()
    #expect(clean.nodes.isEmpty && Array(clean.parameters.keys) == ["w"])
    #expect(try clean.replay([Tensor(zeros: [2, 2])]).map(\.shape) == [[1], [2, 2]])
  }

  // MARK: - Constants

  @Test func constantsAreFolded() throws {
    let w = try Tensor([Float(-1), 2, -3, 4], shape: [2, 2])
    let graph = try graph([relu("w", "a"), add("a", "v", "b"), add("x", "b", "c")], ["c"], ["w": w, "v": w])
    let folded = try graph.foldingConstants()
    #expect(folded.nodes.map(\.name) == ["c"] && Array(folded.parameters.keys) == ["b"])
    #expect(try #require(folded.parameters["b"]).value.floats == [-1, 4, -3, 8])
    let input = try Tensor.random([2, 2], seed: 1)
    #expect(try discrepancy(folded.replay([input])[0], graph.replay([input])[0], absolute: 0, relative: 0) == nil)
    #expect(folded.parameters["b"]?.isTrainable == false)
  }

  @Test func aConstantOutputIsFolded() throws {
    let graph = try graph([relu("w", "a")], ["a"], ["w": Tensor([Float(-1), 2], shape: [2])])
    let folded = try graph.foldingConstants()
    #expect(folded.nodes.isEmpty)
    #expect(try folded.replay([Tensor(zeros: [2, 2])])[0].floats == [0, 2])
  }

  @Test func quantizedWeightsStayQuantized() throws {
    let parameters = try QuantizationParameters(scale: 0.5, zeroPoint: 0, dtype: .int8)
    let nodes = [
      Node(name: "q", op: .quantizeLinear(.init(parameters)), inputs: ["w"], outputs: ["q"]),
      Node(name: "dq", op: .dequantizeLinear(.init(parameters)), inputs: ["q"], outputs: ["dq"]),
      add("x", "dq", "y"),
    ]
    let graph = try graph(nodes, ["y"], ["w": Tensor(zeros: [2, 2])])
    #expect(try graph.foldingConstants().kinds == [.quantizeLinear, .dequantizeLinear, .add])
    let stored = try self.graph(Array(nodes.dropFirst()), ["y"], ["q": Tensor(zeros: [2, 2], dtype: .int8)])
    #expect(try stored.foldingConstants().kinds == [.dequantizeLinear, .add])
  }

  // MARK: - Checks

  private func invalid(_ body: () throws -> Graph) -> String? {
    guard let error = octetError(body) else { return nil }
    return error.code == .invalidGraph ? "\(error)" : "\(error.code): \(error)"
  }

  @Test func namesMustBeUnique() throws {
    let w = try Tensor(zeros: [2, 2])
    let two = "expected values with names of their own, found two values of this name"
    #expect(invalid { try graph([relu("x", "a"), relu("x", "x")], ["a"]) } == "x: \(two)")
    #expect(invalid { try graph([relu("x", "a")], ["a"], ["a": w]) } == "a: \(two)")
    #expect(invalid { try graph([relu("x", "a")], ["a"], ["x": w]) } == "x: \(two)")
    #expect(
      invalid { try Graph(inputs: [x, x], nodes: [], outputs: [], parameters: [:]) } == "x: \(two)")
    let same = Node(name: "a", op: .unary(.relu), inputs: ["x"], outputs: ["b"])
    #expect(
      invalid { try graph([relu("x", "a"), same], ["a"]) }
        == "a: expected nodes with names of their own, found two nodes of this name")
    #expect(
      invalid { try graph([relu("x", "a")], ["a", "a"]) }
        == "output a_out: expected outputs with names of their own, found two outputs of this name")
  }

  @Test func valuesMustExistBeforeTheyAreUsed() throws {
    let late = "a: expected operands that exist before the node, found b"
    #expect(invalid { try graph([relu("b", "a"), relu("x", "b")], ["a"]) } == late)
    #expect(invalid { try graph([relu("b", "a")], ["a"]) } == late)
    #expect(
      invalid { try graph([relu("a", "a")], ["a"]) } == "a: expected operands that exist before the node, found a")
    #expect(invalid { try graph([relu("x", "a")], ["b"]) } == "output b_out: expected a value of the graph, found b")
  }

  @Test func operandsAndResultsMustFit() throws {
    #expect(octetError { try graph([add("x", "w", "a")], ["a"], ["w": Tensor(zeros: [3])]) }?.subject == "a: operands")
    let missing = Node(name: "a", op: .binary(.add), inputs: ["x", nil], outputs: ["a"])
    #expect(octetError { try graph([missing], ["a"]) }?.subject == "a: b")
    for outputs in [[], ["a", "b"]] {
      let node = Node(name: "a", op: .unary(.relu), inputs: ["x"], outputs: outputs)
      #expect(invalid { try graph([node], ["x"]) } == "a: expected 1 results, found \(outputs.count)")
    }
  }

  @Test func impossibleInputShapesAreErrors() {
    for size in [-1, Int.max, 1 << 49] {
      let input = Graph.Input(name: "in", type: TensorType(.float32, [.fixed(size), 2]))
      let error = octetError { try Graph(inputs: [input], nodes: [], outputs: [], parameters: [:]) }
      #expect(error?.subject == "in" && error?.code == .shapeMismatch)
    }
  }

  @Test func questions() throws {
    let graph = try graph([relu("x", "a"), add("a", "a", "b"), relu("a", "c")], ["b"])
    #expect(graph.consumers == ["x": [0], "a": [1, 1, 2]] && graph.producers == ["a": 0, "b": 1, "c": 2])
    #expect(graph.isOutput("b") && !graph.isOutput("c"))
    #expect(graph.unusedName("a") == "a_1" && graph.unusedName("x") == "x_1" && graph.unusedName("z") == "z")
  }
}
