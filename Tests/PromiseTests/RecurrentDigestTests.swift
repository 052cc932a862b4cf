import OctetCore
import OctetEngine
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// Layers that quantize while they run: the same bits on every instruction set, in real numbers too.
extension GoldenDigestTests {
  static let recurrentLayers: [(name: String, linearBeforeReset: Bool, make: @Sendable () -> RecurrentModule)] = [
    ("LSTM", true, { LSTM(19, 37, numLayers: 2, bidirectional: true) }),
    ("projected LSTM", true, { LSTM(19, 37, numLayers: 2, bidirectional: true, projSize: 11) }),
    ("GRU", true, { GRU(19, 37, numLayers: 2, bidirectional: true) }),
    ("GRU, reset first", false, { GRU(19, 37, numLayers: 2, bidirectional: true) }),
  ]

  @Test func recurrentLayersHaveTheSameBits() throws {
    var digests: [String: [UInt64]] = [:]
    for layer in Self.recurrentLayers {
      digests[layer.name] = try Op.DynamicQuantize.Granularity.allCases.map {
        try Self.digest(layer.make(), $0, linearBeforeReset: layer.linearBeforeReset)
      }
    }
    let differing = Self.recurrentLayers.map(\.name).filter { digests[$0] != Self.recurrentGolden[$0] }
    let text = differing.map { name in
      "    \"\(name)\": [\(digests[name]!.map { "0x" + String($0, radix: 16) }.joined(separator: ", "))],"
    }
    #expect(differing.isEmpty, "on \(InstructionSet.current.name):\n\(text.joined(separator: "\n"))")
  }

  /// By layer, one for each granularity.
  private static let recurrentGolden: [String: [UInt64]] = [
    "LSTM": [0xd45a_f03f_ff2a_41d2, 0x39ad_dcaf_b25a_8056],
    "projected LSTM": [0x28a7_adfd_d95e_b238, 0x3c33_c455_0d00_d556],
    "GRU": [0x72a5_95e1_73d3_bce3, 0x1345_a6b2_7350_f3c6],
    "GRU, reset first": [0x4fef_8cc8_6135_8ba3, 0x1dbc_4bb6_6150_f637],
  ]

  /// FNV-1a of all results, bit by bit, for two batches that start from states of their own.
  private static func digest(
    _ layers: RecurrentModule, _ granularity: Op.DynamicQuantize.Granularity, linearBeforeReset: Bool
  ) throws -> UInt64 {
    // Nothing but additions and multiplications makes these numbers.
    var generator = SeededGenerator(seed: 21)
    for (_, parameter) in layers.namedParameters {
      parameter.value = try Tensor.random(parameter.value.shape, in: -0.4...0.4, using: &generator)
    }
    let isLSTM = layers is LSTM
    let state = isLSTM && layers.projSize > 0 ? layers.projSize : layers.hiddenSize
    let shapes =
      [[.symbolic("t"), .symbolic("n"), 19], [4, .symbolic("n"), .fixed(state)]]
      + (isLSTM ? [[4, .symbolic("n"), .fixed(layers.hiddenSize)]] : [] as [[Dimension]])
    let graph = try AllResults(layers).trace(shapes.map { TensorType(.float32, $0) })
      .quantizeDynamic(activations: Op.DynamicQuantize(granularity)).graph
      .rewriting { node in
        guard case .recurrent(var op) = node.op else { return [node] }
        var node = node
        op.linearBeforeReset = linearBeforeReset
        node.op = .recurrent(op)
        return [node]
      }
    let plan = try Plan(graph)
    #expect(plan.integerNodes.count == 4)
    let session = Session(plan, threads: 1)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for batch in [1, 5] {
      let inputs = try [[7, batch, 19], [4, batch, state], [4, batch, layers.hiddenSize]].prefix(shapes.count).map {
        try Tensor.random($0, in: -2...2, using: &generator)
      }
      for result in try session.run(inputs) {
        result.withUnsafeBytes { bytes in
          for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
      }
    }
    return hash
  }

  private final class AllResults: Module {
    let inner: Module
    init(_ inner: Module) { self.inner = inner }
    override func forward(_ inputs: [Tensor?]) throws -> [Tensor] { try inner(inputs) }
  }
}
