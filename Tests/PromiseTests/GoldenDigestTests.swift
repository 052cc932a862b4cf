import OctetCore
import OctetEngine
import OctetGraph
import TestNetworks
import TestSupport
import Testing

/// The bytes that integer regions compute are the same on every instruction set: scripts/test runs this suite under
/// each value of OCTET_ISA. Scales are given, not calibrated, so that no float arithmetic has a part in them.
@Suite struct GoldenDigestTests {
  static let names = [
    "plain CNN", "residual", "unfused residual", "grouped", "depthwise", "depthwise residual", "depth multiplier",
    "patches", "dilation, strides, padding", "one channel, one pixel", "unfused pools", "dilated pool",
    "adaptive, divisible", "mean",
    "mean, axes kept", "clip", "concat of channels", "concat of rows and features", "concat of heights",
    "transpose and reshape", "linear of rank 3", "linear of rank 4", "two inputs, two outputs", "a layer used twice",
    "signals", "transposed convolutions", "nearest pixels", "bilinear pixels", "tables", "learned slopes",
    "normalizations", "products of activations", "self-attention", "slices and pieces",
  ]

  static let parameters: [(String, QuantizationParameters)] = try! [
    ("uint8", QuantizationParameters(scale: 0.0113, zeroPoint: 103, dtype: .uint8)),
    ("uint8 coarse", QuantizationParameters(scale: 0.05, zeroPoint: 0, dtype: .uint8)),
    ("int8", QuantizationParameters(scale: 0.0079, zeroPoint: -17, dtype: .int8)),
    ("int8 half", QuantizationParameters(scale: 0.021, zeroPoint: 5, dtype: .int8, range: -64...63)),
  ]

  @Test func sameBitsOnEveryInstructionSet() throws {
    var digests: [String: [UInt64]] = [:]
    for name in Self.names { digests[name] = try Self.parameters.map { try Self.digest(Network.named(name), $0.1) } }
    let differing = Self.names.filter { digests[$0] != Self.golden[$0] }
    let text = differing.map { name in
      "    \"\(name)\": [\(digests[name]!.map { "0x" + String($0, radix: 16) }.joined(separator: ", "))],"
    }
    #expect(differing.isEmpty, "on \(InstructionSet.current.name):\n\(text.joined(separator: "\n"))")
  }

  /// FNV-1a of the integers of all results for two batches.
  static func digest(_ network: Network, _ parameters: QuantizationParameters) throws -> UInt64 {
    let graph = try network.converted(activations: parameters)
    let session = Session(try Plan(graph), threads: 1)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for batch in [1, 5] {
      for result in try session.run(network.inputs(batch: batch, seed: 40 + UInt64(batch))) {
        // Undoes the dequantization: (q − z) · s / s rounds to q − z.
        try quantize(result, parameters).withUnsafeBytes { bytes in
          for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
      }
    }
    return hash
  }
}
