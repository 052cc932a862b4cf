import OctetCore
import OctetGraph

/// Which weights of a graph a weight-only conversion quantizes, and why the other nodes stay as they are.
struct WeightPlan {
  /// A weight, one way to quantize it, and the nodes that use it in that way.
  struct Layer {
    let weight: String
    let quantization: WeightQuantization
    var nodes: [Node]

    /// The first module it belongs to, for people.
    var name: String { nodes[0].modules.first ?? nodes[0].name }
    /// The activations that meet the weight.
    var inputs: Set<String> { Set(nodes.map { $0.inputs[0]! }) }
  }

  let graph: Graph
  private(set) var layers: [Layer] = []
  private var reasons: [String: String] = [:]

  /// - Parameter refusal: a reason of the method's own not to quantize a node.
  /// - Throws: as ``WeightQuantizationMap/check(against:)``.
  init(_ graph: Graph, _ map: WeightQuantizationMap, refusal: (Node) -> String? = { _ in nil }) throws {
    try map.check(against: graph)
    self.graph = graph
    let alive = Set(try graph.removingDeadNodes().nodes.map(\.name))
    let producers = graph.producers
    for node in graph.nodes {
      if !alive.contains(node.name) {
        reasons[node.name] = "no output needs it"
      } else if let reason = Self.obstacle(node, in: graph, producers) {
        reasons[node.name] = reason
      } else if let quantization = map.quantization(for: node) {
        if let reason = Self.obstacle(node, quantization) ?? refusal(node) {
          reasons[node.name] = reason
        } else {
          add(node, quantization)
        }
      } else {
        reasons[node.name] = "the map leaves it in float"
      }
    }
  }

  private mutating func add(_ node: Node, _ quantization: WeightQuantization) {
    let weight = node.inputs[1]!
    if let index = layers.firstIndex(where: { $0.weight == weight && $0.quantization == quantization }) {
      layers[index].nodes.append(node)
    } else {
      layers.append(Layer(weight: weight, quantization: quantization, nodes: [node]))
    }
  }

  /// Why a node has no weight to quantize.
  private static func obstacle(_ node: Node, in graph: Graph, _ producers: [String: Int]) -> String? {
    guard let place = node.weightPlace, [.conv, .linear].contains(node.op.kind) else {
      let hasWeight = node.weightPlace != nil || [.matmul, .lstm, .gru].contains(node.op.kind)
      return hasWeight
        ? "only the weights of linear and convolution layers have a quantized form" : "it has no weight to quantize"
    }
    let weight = node.inputs[place.operand]!
    if let parameter = graph.parameters[weight] {
      return parameter.value.shape.contains(0) ? "its weight is empty" : nil
    }
    guard let producer = producers[weight], graph.nodes[producer].op.kind == .dequantizeLinear else {
      return "its weight is computed"
    }
    return "its weight is quantized already"
  }

  private static func obstacle(_ node: Node, _ quantization: WeightQuantization) -> String? {
    node.op.kind == .conv && quantization.groupSize != nil
      ? "the weight of a convolution has scales for channels, not for groups" : nil
  }

  /// The float weight of a layer.
  ///
  /// - Throws: `OctetError` (`notANumber`) that names it if there is a NaN or an infinity.
  func finiteWeight(_ layer: Layer) throws -> Tensor {
    let value = graph.parameters[layer.weight]!.value
    let count = try value.withUnsafeScalars(as: Float.self) { $0.count { !$0.isFinite } }
    guard count == 0 else {
      throw OctetError(
        .notANumber, layer.weight, expected: "finite numbers", found: "\(count) NaN or infinite in \(value.type)")
    }
    return value
  }

  /// The graph with integers behind a DequantizeLinear in the place of every layer's weight, and a report of all nodes.
  ///
  /// - Parameter weights: integers and parameters, one pair for each layer.
  func replacingWeights(
    with weights: [(integers: Tensor, parameters: QuantizationParameters)]
  ) throws -> (graph: Graph, report: ConversionReport) {
    var nodes: [Node] = []
    var stored = QuantizedWeights(of: graph)
    var layerOfNode: [String: Int] = [:]
    for (index, layer) in layers.enumerated() { for node in layer.nodes { layerOfNode[node.name] = index } }
    var dequantized: [Int: String] = [:]
    for node in graph.nodes {
      var node = node
      if let index = layerOfNode[node.name] {
        if dequantized[index] == nil {
          let (integers, parameters) = weights[index]
          dequantized[index] = stored.add(
            layers[index].weight, integers, parameters, modules: node.modules, in: &nodes)
        }
        node.inputs[1] = dequantized[index]
      }
      nodes.append(node)
    }
    let entries = graph.nodes.map {
      ConversionReport.Entry(node: $0.name, kind: $0.op.kind, modules: $0.modules, reason: reasons[$0.name])
    }
    let result = try Graph(
      inputs: graph.inputs, nodes: nodes, outputs: graph.outputs, parameters: stored.parameters
    ).removingDeadNodes()
    return (result, ConversionReport(entries: entries, boundaries: []))
  }
}
