import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// What conversion makes of operations beyond convolutions: fixed ranges, axes of scales, reasons.
@Suite struct OperationFormTests {
  private func convert(_ name: String) throws -> (graph: Graph, report: ConversionReport) {
    try Network.named(name).converted()
  }

  /// The parameters that a kind's results are quantized with.
  private func parameters(_ kind: Op.Kind, in graph: Graph) -> [QuantizationParameters] {
    graph.nodes.filter { $0.op.kind == kind }.compactMap { node in
      graph.nodes.lazy.compactMap { user -> QuantizationParameters? in
        guard user.inputs == [node.outputs[0]], case .quantizeLinear(let payload) = user.op else { return nil }
        return payload.parameters
      }.first
    }
  }

  @Test func rangesThatAreKnownAreNotObserved() throws {
    let graph = try convert("fixed ranges that move").graph
    let unit = try QuantizationParameters(scale: 1 / 256, zeroPoint: 0, dtype: .uint8)
    let symmetric = try QuantizationParameters(scale: 2 / 256, zeroPoint: 128, dtype: .uint8)
    #expect(parameters(.sigmoid, in: graph) == [unit, unit])
    #expect(parameters(.maxPool, in: graph) == [unit], "what is only moved keeps its range")
    #expect(parameters(.tanh, in: graph) == [symmetric] && parameters(.flatten, in: graph) == [symmetric])
    let signed = try convert("fixed ranges, int8").graph
    #expect(
      try parameters(.softmax, in: signed) == [QuantizationParameters(scale: 1 / 256, zeroPoint: -128, dtype: .int8)])
    #expect(
      try parameters(.tanh, in: signed) == [QuantizationParameters(scale: 2 / 256, zeroPoint: 0, dtype: .int8)])
  }

  /// Beside a convolution whose range is not known, sigmoid's is not either.
  private final class Mixed: Module {
    let conv = Conv2d(2, 2, kernelSize: 1)
    override func forward(_ x: Tensor) throws -> Tensor { try concat([sigmoid(x), conv(x)], axis: 1) }
  }

  @Test func aSharedSiteIsNotFixedByOneOfItsSources() throws {
    let module = Mixed()
    try module.initialize(seed: 2)
    let prepared = try module.trace(TensorType(.float32, [1, 2, 3, 3])).prepare(QConfigMap(.minMax))
    try prepared.calibrate([Tensor.random([1, 2, 3, 3], seed: 5)])
    let converted = try prepared.convert().graph
    let range = try #require(parameters(.concat, in: converted).first)
    #expect(range.zeroPoints[0] > 0, "the convolution has negative results")
  }

  @Test func transposedConvolutionsHaveScalesAlongAxis1() throws {
    let graph = try convert("transposed convolutions").graph
    let weights = graph.nodes.filter { $0.op.kind == .convTranspose }.compactMap { node -> QuantizationParameters? in
      guard let source = graph.nodes.first(where: { $0.outputs == [node.inputs[1]] }),
        case .dequantizeLinear(let payload) = source.op
      else { return nil }
      return payload.parameters
    }
    #expect(weights.map(\.axis) == [1, 1, 1])
    #expect(weights.map(\.scales.count) == [8, 2, 1], "outputs of one group")
  }

  @Test func tablesOfVectorsAreWeights() throws {
    let (graph, report) = try convert("tokens")
    #expect(report.quantized.filter { $0.kind == .gather }.count == 2)
    let table = try #require(
      graph.parameters.first { $0.key.contains("quantized") && $0.value.value.shape == [11, 8] })
    #expect(table.value.value.dtype == .int8)
  }

  @Test func constantsAreQuantizedByTheirOwnRange() throws {
    let (graph, report) = try convert("constants")
    #expect(report.kept.isEmpty, "\(report.kept)")
    let sums = graph.nodes.filter { [.add, .sub, .mul].contains($0.op.kind) }
    let constants = sums.flatMap { node in
      node.inputs.compactMap { input -> QuantizationParameters? in
        guard let source = graph.nodes.first(where: { $0.outputs == [input] }),
          case .dequantizeLinear(let payload) = source.op, graph.parameters[source.inputs[0]!] != nil
        else { return nil }
        return payload.parameters
      }
    }
    #expect(constants.count == 4 && constants.allSatisfy { $0.isPerTensor && $0.dtype == .uint8 })
    #expect(constants.contains { $0.zeroPoints[0] > 0 } && constants.contains { abs($0.scales[0] - 3 / 255) < 1e-6 })
  }

  @Test func whatStaysFloatSaysWhy() throws {
    func reasons(_ name: String) throws -> [Op.Kind: String] {
      Dictionary(try convert(name).report.kept.map { ($0.kind, $0.reason!) }) { first, _ in first }
    }
    #expect(try reasons("softmax of rows") == [.softmax: "its axis is not the last"])
    let masked = try reasons("masked")
    #expect(masked[.where] == "where has no integer form" || masked[.where] == "its operands are not float")
    #expect(masked[.topK] == "topK has no integer form" && masked[.cast] == "its operands are not float")
    for name in ["tables", "gates", "self-attention", "encoder", "signals", "bilinear pixels", "slices and pieces"] {
      let kept = try reasons(name)
      #expect(kept.isEmpty, "\(name): \(kept)")
    }
  }
}
