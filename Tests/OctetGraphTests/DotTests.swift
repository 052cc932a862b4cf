import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite struct DotTests {
  @Test func aWholeGraph() throws {
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n"), 2]))],
      nodes: [
        Node(name: "q", op: QuantizedFormTests.q, inputs: ["x"], outputs: ["xq"]),
        Node(name: "dq", op: QuantizedFormTests.dq, inputs: ["xq"], outputs: ["xd"]),
        Node(name: "sum", op: .binary(.add), inputs: ["xd", "w"], outputs: ["y"], modules: ["sum"]),
      ],
      outputs: [.init(name: "output", value: "y")], parameters: ["w": Parameter(try Tensor.counting([2]))])
    #expect(
      graph.dot() == """
        digraph octet {
          rankdir=TB;
          node [fontname="Helvetica", fontsize=10];
          edge [fontname="Helvetica", fontsize=8];
          input0 [label="x\\nfloat32 [n, 2]", shape=invhouse, style=filled, fillcolor="#dce6f2"];
          parameter0 [label="w\\nfloat32 [2]", shape=note, style=filled, fillcolor="#f2f2f2"];
          node0 [label="q\\nquantizeLinear\\nscale 0.5, zero point 3, uint8 0…255", shape=oval, fontsize=8, style="filled,dashed", fillcolor="#ffcdd2", color="#c62828"];
          input0 -> node0 [label=""];
          node1 [label="dq\\ndequantizeLinear\\nscale 0.5, zero point 3, uint8 0…255", shape=oval, fontsize=8, style="filled,dashed", fillcolor="#ffcdd2", color="#c62828"];
          node0 -> node1 [label="uint8 [n, 2]", color="#2e7d32", penwidth=2];
          node2 [label="sum\\nadd", shape=box];
          node1 -> node2 [label="float32 [n, 2]"];
          parameter0 -> node2 [label=""];
          output0 [label="output", shape=house, style=filled, fillcolor="#dce6f2"];
          node2 -> output0 [label="float32 [n, 2]"];
        }

        """, "\(graph.dot())")
  }

  /// Integers, boundaries and float operations look different.
  @Test func stylesDiffer() throws {
    let pair = [QuantizedFormTests.q, QuantizedFormTests.dq]
    let ops = pair + [QuantizedFormTests.relu] + pair + [QuantizedFormTests.relu] + pair
    var nodes: [Node] = []
    for (index, op) in ops.enumerated() {
      nodes.append(Node(name: "\(index)", op: op, inputs: [index == 0 ? "x" : "v\(index - 1)"], outputs: ["v\(index)"]))
    }
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [2]))], nodes: nodes,
      outputs: [.init(name: "y", value: "v5")], parameters: [:])
    let lines = graph.dot().split(separator: "\n")
    func style(_ node: Int) throws -> Substring {
      let line = try #require(lines.first { $0.hasPrefix("  node\(node) [") })
      let start = try #require(line.firstRange(of: "shape=")).lowerBound
      return line[start...]
    }
    // boundary, inner, integer, inner, boundary, float, then a pair that nobody needs
    #expect(
      QuantizedForm(graph).roles.prefix(6) == [
        .boundary, .inner, .integer, .inner, .boundary, .float("its result is not quantized"),
      ])
    let styles = try [0, 1, 2, 5].map(style)
    #expect(Set(styles).count == 4)
    #expect(try style(4) == styles[0] && style(3) == styles[1])
  }

  @Test func labelsAreEscaped() throws {
    let name = "a\"b\\c\nd\te]\u{1}é<f>"
    let graph = try Graph(
      inputs: [.init(name: name, type: TensorType(.float32, [2]))],
      nodes: [Node(name: name + "2", op: .unary(.relu), inputs: [name], outputs: ["y\""])],
      outputs: [.init(name: "\"", value: "y\"")], parameters: [:])
    let dot = graph.dot()
    #expect(dot.contains("label=\"a\\\"b\\\\c d e] é<f>\\nfloat32 [2]\""), "\(dot)")
    // Quotes that are not escaped come in pairs on every line.
    for line in dot.split(separator: "\n") {
      let open = line.replacing("\\\\", with: "").replacing("\\\"", with: "").count { $0 == "\"" }
      #expect(open.isMultiple(of: 2), "\(line)")
      #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 })
    }
  }

  @Test func emptyAndUnusedParts() throws {
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [2]))], nodes: [],
      outputs: [.init(name: "a", value: "x"), .init(name: "b", value: "x")],
      parameters: ["spare": Parameter(try Tensor.counting([2]))])
    let dot = graph.dot()
    #expect(!dot.contains("spare"))
    #expect(dot.contains("input0 -> output0") && dot.contains("input0 -> output1"))
  }
}
