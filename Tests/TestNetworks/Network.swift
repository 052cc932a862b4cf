package import OctetCore
package import OctetGraph
internal import OctetNN
package import OctetQuantization
internal import TestSupport

/// A small network with seeded weights, and how it is quantized.
package struct Network: Sendable, CustomStringConvertible {
  package let name: String
  /// The shapes of the inputs without the batch axis.
  package let inputShapes: [[Int]]
  package let isFused: Bool
  package let map: QConfigMap
  /// Inputs are indices below this number; `nil`: real numbers.
  let tokens: Int?
  let layers: @Sendable () -> [Module]
  let body: @Sendable ([Module], [Tensor]) throws -> [Tensor]

  package var description: String { name }

  init(
    _ name: String, _ inputShapes: [[Int]], isFused: Bool = true, map: QConfigMap = QConfigMap(.minMax),
    tokens: Int? = nil, layers: @escaping @Sendable () -> [Module] = { [] },
    _ body: @escaping @Sendable ([Module], [Tensor]) throws -> [Tensor]
  ) {
    self.name = name
    self.inputShapes = inputShapes
    self.isFused = isFused
    self.map = map
    self.tokens = tokens
    self.layers = layers
    self.body = body
  }

  /// Modules that are called one after another.
  init(
    chain name: String, _ inputShape: [Int], isFused: Bool = true, map: QConfigMap = QConfigMap(.minMax),
    layers: @escaping @Sendable () -> [Module]
  ) {
    self.init(name, [inputShape], isFused: isFused, map: map, layers: layers) { layers, x in
      [try layers.reduce(x[0]) { try $1($0) }]
    }
  }

  /// The float graph for any batch size, fused if the network is meant to be.
  package func graph() throws -> Graph { isFused ? try traced().fused() : try traced() }

  /// The float graph for any batch size, as it is traced.
  package func traced() throws -> Graph {
    let module = Composite(layers(), body)
    try module.initialize(seed: 7)
    try module.drawStatistics()
    let names = inputShapes.count == 1 ? ["x"] : inputShapes.indices.map { "x_\($0)" }
    let inputs = zip(names, inputShapes).map {
      Graph.Input(
        name: $0, type: TensorType(tokens == nil ? .float32 : .int64, [.symbolic("n")] + $1.map(Dimension.fixed)))
    }
    let tracer = GraphTracer(
      inputs: inputs,
      parameters: Dictionary(module.namedParameters.map { ($0.name, $0.parameter) }) { first, _ in first },
      modulePaths: Dictionary(module.namedModules.map { (ObjectIdentifier($0.module), $0.path) }) { first, _ in first })
    return try tracer.trace(outputNames: nil) { try module($0) }
  }

  package func inputs(batch: Int, seed: UInt64) throws -> [Tensor] {
    var generator = SeededGenerator(seed: seed)
    return try inputShapes.map { shape in
      guard let tokens else { return try Tensor.random([batch] + shape, using: &generator) }
      let indices = (0..<batch * elementCount(of: shape)).map { _ in
        Int64.random(in: 0..<Int64(tokens), using: &generator)
      }
      return try Tensor(indices, shape: [batch] + shape)
    }
  }

  /// The network in QDQ form with given parameters for all activations: nothing depends on float arithmetic.
  package func converted(activations: QuantizationParameters) throws -> Graph {
    let graph = try graph()
    let prepared = try graph.prepare(
      QConfigMap(QConfig(activation: FixedObserver(parameters: activations), weight: QConfig.minMax.weight)))
    try prepared.calibrate(
      [Dictionary(uniqueKeysWithValues: zip(graph.inputs.map(\.name), try inputs(batch: 1, seed: 1)))])
    return try prepared.convert().graph
  }

  /// The calibrated network in QDQ form.
  package func converted() throws -> (graph: Graph, report: ConversionReport) {
    let graph = try graph()
    let prepared = try graph.prepare(map)
    try prepared.calibrate(
      (0..<3).map { seed in
        Dictionary(uniqueKeysWithValues: zip(graph.inputs.map(\.name), try inputs(batch: 4, seed: 100 + UInt64(seed))))
      })
    return try prepared.convert()
  }
}

private final class Composite: Module {
  let layers: [Module]
  let body: ([Module], [Tensor]) throws -> [Tensor]

  init(_ layers: [Module], _ body: @escaping ([Module], [Tensor]) throws -> [Tensor]) {
    self.layers = layers
    self.body = body
    super.init()
  }

  override func forward(_ inputs: [Tensor?]) throws -> [Tensor] { try body(layers, inputs.compactMap { $0 }) }

  /// Batch normalization that does something.
  func drawStatistics() throws {
    var generator = SeededGenerator(seed: 11)
    for (name, parameter) in namedParameters where name.hasSuffix("running_var") || name.hasSuffix("running_mean") {
      parameter.value = try Tensor.random(
        parameter.value.shape, in: name.hasSuffix("var") ? 0.3...1.5 : -0.3...0.3, using: &generator)
    }
  }
}

extension QConfig {
  /// Octet's default with min–max observers, which need no search.
  package static let minMax = QConfig(
    activation: MinMaxObserver(dtype: .uint8),
    weight: PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric))
}

/// A user's own observer: parameters that are set beforehand.
package struct FixedObserver: Observer {
  package let parameters: QuantizationParameters
  package private(set) var count = 0

  package init(parameters: QuantizationParameters) { self.parameters = parameters }

  package mutating func observe(_ x: Tensor) { count += 1 }
  package func calculateQParams() -> QuantizationParameters { parameters }
  package mutating func merge(_ other: FixedObserver) { count += other.count }
  package mutating func reset() { count = 0 }
}
