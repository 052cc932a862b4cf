import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite("Printed graphs")
struct PrintingTests {
  private func small() throws -> Graph {
    try Sequential(
      Conv2d(1, 4, kernelSize: 3, stride: 2, padding: 1, bias: false), BatchNorm2d(4), ReLU(), Flatten(), Linear(16, 10)
    )
    .trace(TensorType(.float32, [.symbolic("n"), 1, 4, 4]))
  }

  @Test func description() throws {
    #expect(
      try small().description == """
        graph(x: float32 [n, 1, 4, 4])
          0.conv = conv(x, 0.weight, –; stride 2, padding 1) → float32 [n, 4, 2, 2]
          1.batchNormalization = batchNormalization(0.conv, 1.weight, 1.bias, 1.running_mean, 1.running_var) → float32 [n, 4, 2, 2]
          2.relu = relu(1.batchNormalization) → float32 [n, 4, 2, 2]
          3.flatten = flatten(2.relu) → float32 [n, 16]
          4.linear = linear(3.flatten, 4.weight, 4.bias) → float32 [n, 10]
          return output = 4.linear
        """)
  }

  @Test func table() throws {
    #expect(
      try small().tabular().description == """
        opcode       name                  target                         shape         dtype
        ───────────  ────────────────────  ─────────────────────────────  ────────────  ───────
        placeholder  x                                                    [n, 1, 4, 4]  float32
        call_module  0.conv                0: conv (stride 2, padding 1)  [n, 4, 2, 2]  float32
        call_module  1.batchNormalization  1: batchNormalization          [n, 4, 2, 2]  float32
        call_module  2.relu                2: relu                        [n, 4, 2, 2]  float32
        call_module  3.flatten             3: flatten                     [n, 16]       float32
        call_module  4.linear              4: linear                      [n, 10]       float32
        output       output                4.linear                       [n, 10]       float32
        """)
  }

  @Test func tableOfAFusedGraphWithAnnotations() throws {
    let graph = try small().fused()
    let parameters = try QuantizationParameters(scales: [0.5, 0.25], zeroPoints: [0, 3], dtype: .int8, axis: 0)
    let table = graph.tabular(["0.conv": .init(site: "never"), "4.linear": .init(site: "s", parameters)])
    #expect(table.header == ["opcode", "name", "target", "shape", "dtype", "site", "scale", "zero point"])
    #expect(table.rows[1][2] == "0 + 1 + 2: conv (stride 2, padding 1, ReLU)")
    #expect(table.rows[3].suffix(3) == ["s", "0.25…0.5", "0…3"])
    #expect(table.rows.map { $0[0] } == ["placeholder", "call_module", "call_module", "call_module", "output"])
  }

  @Test func quantizersShowTheirParameters() throws {
    let parameters = try QuantizationParameters(scale: 0.5, zeroPoint: 3, dtype: .uint8)
    let graph = try Lambda { _, x in [try dequantize(quantize(x[0], parameters), parameters)] }
      .trace(TensorType(.float32, [2]))
    let table = graph.tabular()
    #expect(table.header == ["opcode", "name", "target", "shape", "dtype", "scale", "zero point", "note"])
    #expect(
      table.rows[1].dropLast() == ["call_function", "quantizeLinear", "quantizeLinear", "[2]", "uint8", "0.5", "3"])
    #expect(
      graph.description.contains("quantizeLinear = quantizeLinear(x; scale 0.5, zero point 3, uint8 0…255) → uint8 [2]")
    )
  }
}
