import OctetCore
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Arithmetic with whole numbers that the graph computes: positions, lengths and masks of tokens.
@Suite struct WholeNumberTests {
  private func run(
    _ nodes: [ProtocolBuffer], _ input: [Int64], shape: [Int], _ constants: [ProtocolBuffer] = []
  ) throws -> Tensor {
    let open: [Any] = ["n"] + shape.dropFirst().map { $0 as Any }
    let graph = Proto.graph(
      nodes, inputs: [Proto.value("x", type: 7, open)], outputs: ["y"], initializers: constants)
    return try ONNXModel(bytes: Proto.model(graph, opset: 17)).graph.replay([Tensor(input, shape: shape)])[0]
  }

  private func scalar(_ name: String, _ value: Int) -> ProtocolBuffer { Proto.tensor(name, [], [value]) }

  @Test(
    arguments: [
      ("Add", [-4, 3, 8]), ("Sub", [-10, -3, 2]), ("Mul", [-21, 0, 15]), ("Div", [-2, 0, 1]), ("Mod", [2, 0, 2]),
      ("Min", [-7, 0, 3]), ("Max", [3, 3, 5]), ("Pow", [-343, 0, 125]),
    ] as [(String, [Int64])])
  func ofTwoNumbers(_ type: String, _ expected: [Int64]) throws {
    let found = try run([Proto.node(type, ["x", "three"], ["y"])], [-7, 0, 5], shape: [3], [scalar("three", 3)])
    #expect(try found.scalars(as: Int64.self) == expected)
  }

  @Test(arguments: [("Neg", [7, 0, -5]), ("Abs", [7, 0, 5]), ("Sign", [-1, 0, 1])] as [(String, [Int64])])
  func ofOneNumber(_ type: String, _ expected: [Int64]) throws {
    #expect(try run([Proto.node(type, ["x"], ["y"])], [-7, 0, 5], shape: [3]).scalars(as: Int64.self) == expected)
  }

  @Test func sums() throws {
    let rows: [Int64] = [1, 2, 3, 4, 5, 6]
    let sum = try run(
      [Proto.node("ReduceSum", ["x", "a"], ["y"])], rows, shape: [2, 3], [Proto.tensor("a", [1], [1])])
    #expect(try sum.shape == [2, 1] && sum.scalars(as: Int64.self) == [6, 15])
    let largest = try run([Proto.node("ReduceMax", ["x"], ["y"])], rows, shape: [2, 3])
    #expect(try largest.scalars(as: Int64.self) == [6])
    let forms: [(isExclusive: Int, isReversed: Int, expected: [Int64])] = [
      (0, 0, [1, 3, 6, 4, 9, 15]), (1, 0, [0, 1, 3, 0, 4, 9]), (0, 1, [6, 5, 3, 15, 11, 6]),
      (1, 1, [5, 3, 0, 11, 6, 0]),
    ]
    for (isExclusive, isReversed, expected) in forms {
      let node = Proto.node(
        "CumSum", ["x", "a"], ["y"], Proto.attribute("exclusive", isExclusive), Proto.attribute("reverse", isReversed))
      #expect(
        try run([node], rows, shape: [2, 3], [scalar("a", 1)]).scalars(as: Int64.self) == expected)
    }
    let along = try run([Proto.node("CumSum", ["x", "a"], ["y"])], rows, shape: [2, 3], [scalar("a", 0)])
    #expect(try along.scalars(as: Int64.self) == [1, 2, 3, 5, 7, 9])
  }

  /// The element at each row's own index, and rows of a table by computed pairs.
  @Test func elementsByComputedIndices() throws {
    let table = Proto.tensor("table", [2, 3], [10, 11, 12, 20, 21, 22] as [Float])
    let elements = try run(
      [Proto.node("GatherElements", ["table", "x"], ["y"], Proto.attribute("axis", 1))], [2, 0, -1, 1], shape: [2, 2],
      [table])
    #expect(try elements.floats == [12, 10, 22, 21])
    let pairs = try run([Proto.node("GatherND", ["table", "x"], ["y"])], [1, -1, 0, 0], shape: [2, 2], [table])
    #expect(try pairs.floats == [22, 10])
    let rows = try run([Proto.node("GatherND", ["table", "x"], ["y"])], [1, 0], shape: [2, 1], [table])
    #expect(try rows.floats == [20, 21, 22, 10, 11, 12])
  }

  @Test func writtenAndReadAgain() throws {
    let nodes = [Proto.node("Add", ["x", "one"], ["a"]), Proto.node("Mul", ["a", "x"], ["y"])]
    let model = Proto.graph(
      nodes, inputs: [Proto.value("x", type: 7, ["n"])], outputs: ["y"], initializers: [scalar("one", 1)])
    let graph = try ONNXModel(bytes: Proto.model(model, opset: 17)).graph
    let x = try Tensor([1, 2, -5] as [Int64], shape: [3])
    #expect(try graph.replay([x])[0].scalars(as: Int64.self) == [2, 6, 20])
    let again = try ONNXModel(bytes: graph.onnxBytes()).graph
    #expect(try again.replay([x])[0].scalars(as: Int64.self) == [2, 6, 20])
  }

  /// What needs 64 bits, and what does not fit into them and wraps around.
  @Test(
    arguments: [
      ("Add", 1 << 40, 1 << 40, 1 << 41), ("Add", .max, 1, .min), ("Sub", .min, 1, .max), ("Mul", 1 << 40, 3, 3 << 40),
      ("Mul", 1 << 62, 4, 0), ("Div", .min, -1, .min), ("Div", -7, -2, 3), ("Mod", .min, -1, 0), ("Mod", -7, 2, 1),
      ("Mod", 7, -2, -1), ("Pow", -1, .max, -1), ("Min", .min, .max, .min),
    ] as [(String, Int, Int, Int)])
  func ofSixtyFourBits(_ type: String, _ a: Int, _ b: Int, _ expected: Int) throws {
    let node = Proto.node(type, ["x", "b"], ["y"])
    #expect(try run([node], [Int64(a)], shape: [1], [scalar("b", b)]).scalars(as: Int64.self) == [Int64(expected)])
    // The same of numbers that are known while reading.
    let known = Proto.node(type, ["a", "b"], ["known"])
    let sum = Proto.node("Concat", ["x", "known"], ["y"], Proto.attribute("axis", 0))
    let both = try run([known, sum], [5], shape: [1], [Proto.tensor("a", [1], [a]), scalar("b", b)])
    #expect(try both.scalars(as: Int64.self) == [5, Int64(expected)])
  }

  @Test(arguments: [("ReduceSum", 3 << 40), ("ReduceProd", 1 << 61), ("ReduceMax", 1 << 41), ("ReduceMin", 1 << 40)])
  func reductionsOfSixtyFourBits(_ type: String, _ expected: Int) throws {
    let numbers: [Int64] = type == "ReduceProd" ? [1 << 40, 1 << 21] : [1 << 40, 1 << 41]
    let node = Proto.node(type, ["x"], ["y"], Proto.attribute("keepdims", 0))
    #expect(try run([node], numbers, shape: [2]).scalars(as: Int64.self) == [Int64(expected)])
  }
}
