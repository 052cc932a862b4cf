import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// The same int8 file gives the same bits on every instruction set and with any number of threads: scripts/test runs this
/// suite under each value of OCTET_ISA. Scales of activations are given, not calibrated, so that no float arithmetic has a
/// part in the file.
@Suite struct FileGoldenDigestTests {
  static let golden: [String: [UInt64]] = [
    "digits_cnn": [0xd7581cbe7802d5bb, 0xf411f13316b47ffc],
    "fmnist_cnn": [0x53fc2921df4fae23, 0xff63dd0cded5886b],
    "ppocr_mobile_v2_cls": [0xfb7ebfd2e1fc08d, 0x11f994952d8eb4d6],
    "silero_vad_16k_sequence": [0xc67b0a7bef2f5408, 0xcceb189202038398],
  ]

  private static func hash(_ bytes: UnsafeRawBufferPointer, _ start: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
    bytes.reduce(start) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  private func file(_ graph: Graph) throws -> [UInt8] {
    // Recurrent layers find their scales while they run; integers, wherever scales are given.
    let dynamic = try graph.fused(residuals: false).quantizeDynamic([.lstm]).graph
    let parameters = try QuantizationParameters(scale: 0.0213, zeroPoint: 97, dtype: .uint8)
    let prepared = try dynamic.prepare(
      QConfigMap(QConfig(activation: FixedObserver(parameters: parameters), weight: QConfig.minMax.weight)))
    return
      try prepared
      .calibrated(graph)
      .convert().graph.onnxBytes()
  }

  /// FNV-1a of the file, and of all outputs.
  @Test(arguments: NetworkTests.names) func sameBits(_ name: String) throws {
    let example = try Example(name)
    let bytes = try file(example.graph)
    var digests = [bytes.withUnsafeBytes { Self.hash($0) }]
    let plan = try Plan(ONNXModel(bytes: bytes).graph)
    #expect(plan.integerNodes.count > 5)
    for threads in [1, 2] {
      let session = Session(plan, threads: threads)
      let digest = try session.run(example.inputs).reduce(0xcbf2_9ce4_8422_2325) { start, output in
        output.withUnsafeBytes { Self.hash($0, start) }
      }
      if digests.count == 1 { digests.append(digest) }
      #expect(digest == digests[1], "\(threads) threads")
    }
    let text = digests.map { "0x" + String($0, radix: 16) }.joined(separator: ", ")
    #expect(digests == Self.golden[name], "on \(InstructionSet.current.name): \"\(name)\": [\(text)]")
  }
}

extension PreparedGraph {
  /// Shows it something, which observers with given parameters do not look at.
  fileprivate func calibrated(_ graph: Graph) throws -> PreparedGraph {
    let batch = try graph.inputs.map { input in
      (input.name, try Tensor(zeros: input.type.shape.map { $0.size ?? 2 }))
    }
    try calibrate([Dictionary(uniqueKeysWithValues: batch)])
    return self
  }
}
