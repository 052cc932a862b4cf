import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

/// The roles of nodes in graphs made by hand.
@Suite struct QuantizedFormTests {
  static let parameters = try! QuantizationParameters(scale: 0.5, zeroPoint: 3, dtype: .uint8)

  /// A chain x → … → y of these operations, each named by its position.
  private func chain(_ ops: [Op]) throws -> Graph {
    var nodes: [Node] = []
    for (index, op) in ops.enumerated() {
      nodes.append(
        Node(name: "\(index)", op: op, inputs: [index == 0 ? "x" : "v\(index - 1)"], outputs: ["v\(index)"]))
    }
    return try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n"), 4]))], nodes: nodes,
      outputs: [.init(name: "y", value: ops.isEmpty ? "x" : "v\(ops.count - 1)")], parameters: [:])
  }

  static let q = Op.quantizeLinear(Op.QuantizeLinear(parameters))
  static let dq = Op.dequantizeLinear(Op.DequantizeLinear(parameters))
  static let relu = Op.unary(.relu)

  static let chains: [([Op], [QuantizedForm.Role])] = [
    ([], []),
    ([relu], [.float("x is not quantized")]),
    ([q, dq, relu, q, dq], [.boundary, .inner, .integer, .inner, .boundary]),
    // Between two float operations.
    (
      [relu, q, dq, relu], [.float("x is not quantized"), .dangling, .dangling, .float("its result is not quantized")]
    ),
    ([q, dq], [.dangling, .dangling]),
    // The integers are wanted.
    ([q], [.boundary]),
    // Twice: the second pair is between integers and float.
    ([q, dq, q, dq], [.dangling, .dangling, .dangling, .dangling]),
    (
      [q, dq, relu, q, dq, relu],
      [.boundary, .inner, .integer, .inner, .boundary, .float("its result is not quantized")]
    ),
    // Another scale on the way from one integer operation to the next.
    (
      [q, dq, relu, q, dq, q, dq, relu, q, dq],
      [.boundary, .inner, .integer, .inner, .inner, .inner, .inner, .integer, .inner, .boundary]
    ),
  ]

  @Test(arguments: chains.indices)
  func roles(_ index: Int) throws {
    let (ops, roles) = Self.chains[index]
    #expect(try QuantizedForm(chain(ops)).roles == roles)
  }

  @Test func layers() throws {
    let weight = try QuantizationParameters(scale: 0.25, zeroPoint: 0, dtype: .int8)
    func graph(quantizedWeight: Bool) throws -> Graph {
      try Graph(
        inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n"), 2]))],
        nodes: [
          Node(name: "q", op: Self.q, inputs: ["x"], outputs: ["xq"]),
          Node(name: "dq", op: Self.dq, inputs: ["xq"], outputs: ["xd"]),
          Node(
            name: "w", op: .dequantizeLinear(Op.DequantizeLinear(weight)), inputs: ["stored"], outputs: ["wd"]),
          Node(
            name: "linear", op: .linear(Op.Linear()),
            inputs: ["xd", quantizedWeight ? "wd" : "float", "bias"], outputs: ["y"]),
          Node(name: "yq", op: Self.q, inputs: ["y"], outputs: ["yq"]),
          Node(name: "yd", op: Self.dq, inputs: ["yq"], outputs: ["yd"]),
        ],
        outputs: [.init(name: "output", value: "yd")],
        parameters: [
          "stored": Parameter(try Tensor([Int8](repeating: 1, count: 6), shape: [3, 2])),
          "float": Parameter(try Tensor.counting([3, 2])), "bias": Parameter(try Tensor.counting([3])),
        ])
    }
    #expect(
      QuantizedForm(try graph(quantizedWeight: true)).roles == [
        .boundary, .inner, .parameter, .integer, .inner, .boundary,
      ])
    #expect(
      QuantizedForm(try graph(quantizedWeight: false)).roles == [
        .dangling, .dangling, .parameter, .float("float is not quantized"), .dangling, .dangling,
      ])
  }

  @Test func danglingPairsStandInTheTable() throws {
    let graph = try chain([Self.relu, Self.q, Self.dq, Self.relu])
    let notes = graph.tabular().rows.map { $0.last! }
    #expect(
      notes == [
        "", "float: x is not quantized", "dangling: no integer operation uses the pair",
        "dangling: no integer operation uses the pair", "float: its result is not quantized", "",
      ])
    // A graph without pairs has no notes.
    #expect(try !chain([Self.relu]).tabular().header.contains("note"))
    // A note that the caller brings goes first.
    #expect(graph.tabular(["v0": .init(note: "mine")]).rows[1].last == "mine")
  }
}
