import OctetCore
import OctetGraph

/// The weights of a graph that are stored as integers behind a DequantizeLinear, while a pass writes a new graph.
struct QuantizedWeights {
  private(set) var parameters: [String: Parameter]
  private let graph: Graph
  /// The names that were given.
  private var names: Set<String> = []
  /// The dequantized twins of each weight; layers that share it may quantize it in different ways.
  private var twins: [String: [(quantization: QuantizationParameters, value: String)]] = [:]

  /// - Parameter graph: the one that is rewritten.
  init(of graph: Graph) {
    self.graph = graph
    parameters = graph.parameters
  }

  /// The value that stands for weight `name` with these parameters. If it is new, its node is appended to `nodes`.
  mutating func dequantized(
    _ name: String, _ quantization: QuantizationParameters, modules: [String], in nodes: inout [Node]
  ) throws -> String {
    if let twin = twins[name]?.first(where: { $0.quantization == quantization }) { return twin.value }
    let integers = try naming(name) { try quantize(parameters[name]!.value, quantization) }
    return add(name, integers, quantization, modules: modules, in: &nodes)
  }

  /// The same for integers that somebody else has found, as a value of its own.
  mutating func add(
    _ name: String, _ integers: Tensor, _ quantization: QuantizationParameters, modules: [String],
    in nodes: inout [Node]
  ) -> String {
    let (stored, dequantize) = (unusedName("\(name).quantized"), unusedName("\(name).dequantize"))
    parameters[stored] = Parameter(integers, isTrainable: false)
    nodes.append(
      Node(
        name: dequantize, op: .dequantizeLinear(Op.DequantizeLinear(quantization)), inputs: [stored],
        outputs: [dequantize], modules: modules))
    twins[name, default: []].append((quantization, dequantize))
    return dequantize
  }

  /// A name that neither the graph nor what has been added has.
  private mutating func unusedName(_ base: String) -> String {
    var name = graph.unusedName(base)
    var number = 1
    while !names.insert(name).inserted {
      name = graph.unusedName("\(base)_\(number)")
      number += 1
    }
    return name
  }
}
