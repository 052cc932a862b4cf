import OctetCore
import OctetGraph

/// The weights of a graph that are stored as integers behind a DequantizeLinear, while a pass writes a new graph.
struct QuantizedWeights {
  var parameters: [String: Parameter]
  /// The dequantized twins of each weight; layers that share it may quantize it in different ways.
  private var twins: [String: [(quantization: QuantizationParameters, value: String)]] = [:]

  init(_ parameters: [String: Parameter]) { self.parameters = parameters }

  /// The value that stands for weight `name` with these parameters. If it is new, its node is appended to `nodes`.
  mutating func dequantized(
    _ name: String, _ quantization: QuantizationParameters, modules: [String], in nodes: inout [Node]
  ) throws -> String {
    let known = twins[name, default: []]
    if let twin = known.first(where: { $0.quantization == quantization }) { return twin.value }
    let suffix = known.isEmpty ? "" : "_\(known.count)"
    let (stored, dequantize) = ("\(name).quantized\(suffix)", "\(name).dequantize\(suffix)")
    parameters[stored] = Parameter(
      try naming(name) { try quantize(parameters[name]!.value, quantization) }, isTrainable: false)
    nodes.append(
      Node(
        name: dequantize, op: .dequantizeLinear(Op.DequantizeLinear(quantization)), inputs: [stored],
        outputs: [dequantize], modules: modules))
    twins[name, default: []].append((quantization, dequantize))
    return dequantize
  }
}
