import OctetCore
import OctetGraph
import OctetInspect
import OctetNN
import OctetQuantization
import TestSupport
import Testing

@Suite struct SensitivityTests {
  private final class Net: Module {
    let conv = Conv2d(1, 4, kernelSize: 3)
    let fc = Linear(4, 3)

    override func forward(_ x: Tensor) throws -> Tensor {
      try softmax(fc(maxPool2d(relu(conv(x)), kernelSize: 2).flatten(from: 1)), axis: -1)
    }
  }

  private let float: Graph
  private let prepared: PreparedGraph
  private let quantized: Graph
  private let inputs: [String: Tensor]

  init() throws {
    let net = Net()
    try net.initialize(seed: 1)
    float = try net.trace(TensorType(.float32, [.symbolic("n"), 1, 4, 4])).fused()
    let x = try Tensor((0..<32).map { (i: Int) -> Float in Float((i * 29) % 64) / 32 - 1 }, shape: [2, 1, 4, 4])
    inputs = [float.inputs[0].name: x]
    prepared = try float.prepare(QConfigMap(.default))
    try prepared.calibrate([x])
    quantized = try prepared.convert().graph
  }

  private func outputs(_ graph: Graph) throws -> [Float] {
    try graph.replay([inputs[float.inputs[0].name]!])[0].scalars(as: Float.self)
  }

  /// One part for each site and each weight; the pool and the reshape share the convolution's.
  @Test func partsAreSitesAndWeights() {
    let parts = QuantizedPart.parts(of: quantized, reference: float)
    let sites = parts.filter { $0.kind == .activation }
    #expect(sites.map(\.name) == prepared.sites.map(\.name))
    #expect(sites.map { Set($0.values) } == prepared.sites.map { Set($0.values) })
    #expect(sites[0].nodes == ["conv.conv"])
    #expect(Set(sites[1].nodes) == Set(float.nodes.map(\.name)).subtracting(["softmax"]))
    let weights = parts.filter { $0.kind == .weight }
    #expect(weights.map(\.name) == ["conv.weight", "fc.weight"])
    #expect(weights.map(\.nodes) == [["conv.conv"], ["fc.linear"]])
    #expect(weights.allSatisfy { $0.parameters?.axis == 0 })
  }

  @Test func allPartsOffIsTheFloatNetwork() throws {
    let parts = QuantizedPart.parts(of: quantized, reference: float)
    let off = try quantized.switchingOff(parts)
    #expect(!off.nodes.contains { $0.op.kind == .quantizeLinear || $0.op.kind == .dequantizeLinear })
    #expect(try outputs(off) == outputs(float))
    #expect(off.nodes.map(\.name) == float.nodes.map(\.name))
    #expect(Set(off.parameters.keys) == Set(float.parameters.keys))
    let dynamic = try float.quantizeDynamic([.linear, .conv]).graph
    let dynamicParts = QuantizedPart.parts(of: dynamic, reference: float)
    #expect(dynamicParts.map(\.kind) == [.weight, .weight, .dynamicActivation])
    #expect(try outputs(dynamic.switchingOff(dynamicParts)) == outputs(float))
  }

  /// Without its operand's site a layer computes in float, from a weight that is stored as integers.
  @Test func whatNoIntegersNeedIsRemoved() throws {
    let part = QuantizedPart.parts(of: quantized, reference: float)[0]
    let off = try quantized.switchingOff([part])
    #expect(off.nodes.filter { $0.op.kind == .quantizeLinear }.count == 5)
    let roles = Dictionary(uniqueKeysWithValues: zip(off.nodes.map(\.name), QuantizedForm(off).roles))
    #expect(roles["conv.conv"].map { if case .float = $0 { true } else { false } } == true)
    #expect(roles["fc.linear"] == .integer)
    #expect(off.parameters.values.count { $0.value.dtype == .int8 } == 2)
    // The middle one: nothing is left between convolution and linear layer, and the input's pair has no use.
    let middle = QuantizedPart.parts(of: quantized, reference: float).first { $0.values.count > 1 }!
    let rest = try quantized.switchingOff([middle])
    #expect(
      Set(rest.nodes.filter { $0.op.kind == .quantizeLinear }.compactMap { $0.inputs[0] }) == ["fc.linear", "softmax"])
  }

  /// Each entry is what replaying the float graph with that part alone gives.
  @Test func anEntryIsItsPartAlone() throws {
    var sensitivity = try Sensitivity(float, quantized)
    var steps: [Int] = []
    try sensitivity.add(inputs) { steps.append($0) }
    #expect(steps == Array(1...sensitivity.entries.count))
    // Convolution 288, pooling and flattening 8 each, linear layer 24, softmax 6: what lies behind each of the parts.
    #expect(sensitivity.operationsOfARun == 334 + 334 + 46 + 30 + 6)
    let wanted = try outputs(float)
    func ratio(_ values: [Float]) -> Double {
      let noise = zip(values, wanted).reduce(0) { $0 + pow2(Double($1.0) - Double($1.1)) }
      return noise / wanted.reduce(0) { $0 + pow2(Double($1)) }
    }
    let parts = QuantizedPart.parts(of: quantized, reference: float)
    for (index, entry) in sensitivity.entries.enumerated() {
      let others = parts.indices.filter { $0 != index }.map { parts[$0] }
      // Nothing is removed as dangling here: weights and sites are looked at where they stand.
      let alone: [Float]
      if entry.part.kind == .weight {
        alone = try outputs(quantized.switchingOff(others))
      } else {
        let site = try #require(prepared.sites[entry.part.name])
        let parameters = try site.observer.calculateQParams()
        alone = try float.replay([inputs[float.inputs[0].name]!]) { value, tensor in
          try site.values.contains(value) ? dequantize(quantize(tensor, parameters), parameters) : tensor
        }[0].scalars(as: Float.self)
      }
      #expect(abs(entry.noise - ratio(alone)) <= 1e-9 + 1e-6 * entry.noise, "\(entry.part.name)")
      #expect(entry.noise > 0)
    }
    #expect(sensitivity.worstFirst.map(\.noise) == sensitivity.entries.map(\.noise).sorted(by: >))
  }

  @Test func anotherRangeChangesAPartAlone() throws {
    let part = QuantizedPart.parts(of: quantized, reference: float)[0]
    let coarse = try QuantizationParameters(scale: 0.25, zeroPoint: 128, dtype: .uint8)
    let other = try quantized.requantizing(part, with: coarse)
    let parts = QuantizedPart.parts(of: other, reference: float)
    #expect(parts[0].parameters == coarse && parts.count == 6)
    #expect(
      parts.dropFirst().map(\.parameters)
        == QuantizedPart.parts(of: quantized, reference: float).dropFirst().map(\.parameters))
    var (before, after) = (try Sensitivity(float, quantized), try Sensitivity(float, other, parts: [parts[0]]))
    try before.add(inputs)
    try after.add(inputs)
    #expect(after.entries.count == 1 && after.entries[0].noise > 4 * before.entries[0].noise)
    // A weight is rounded anew from the float one.
    let weight = parts.first { $0.kind == .weight }!
    let one = try QuantizationParameters(scale: 0.5, zeroPoint: 0, dtype: .int8)
    let rounded = try quantized.requantizing(weight, with: one)
    let stored = try #require(
      rounded.parameters.first { $0.key.hasPrefix("conv.weight") && $0.value.value.dtype == .int8 })
    let wanted = float.parameters["conv.weight"]!.value
    #expect(try stored.value.value.scalars(as: Int8.self) == quantize(wanted, one).scalars(as: Int8.self))
    let dynamic = try float.quantizeDynamic().graph
    let running = QuantizedPart.parts(of: dynamic, reference: float).first { $0.kind == .dynamicActivation }!
    #expect(octetError { try dynamic.requantizing(running, with: one) }?.code == .invalidArgument)
  }

  @Test func noiseHasABound() throws {
    var difference = Difference()
    try difference.add(Tensor([Float.nan], shape: [1]), reference: Tensor([Float(1)], shape: [1]))
    #expect(difference.noiseRatio == 1e4)
    var none = Difference()
    try none.add(Tensor([Float(0)], shape: [1]), reference: Tensor([Float(0)], shape: [1]))
    #expect(none.noiseRatio == 0)
  }
}

private func pow2(_ x: Double) -> Double { x * x }
