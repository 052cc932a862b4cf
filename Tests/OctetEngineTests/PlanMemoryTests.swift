import OctetCore
import OctetEngine
import OctetGraph
import Synchronization
import TestSupport
import Testing

/// A plan holds packed weights alone: those of the graph leave memory one by one while it is made.
@Suite struct PlanMemoryTests {
  /// The weights that nobody holds any more, in the order in which they went.
  private final class Departures: Sendable {
    let names = Mutex<[String]>([])
  }

  /// The memory of one weight.
  private final class Owner: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    private let name: String
    private let departures: Departures

    init(_ name: String, _ tensor: Tensor, _ departures: Departures) {
      (self.name, self.departures) = (name, departures)
      bytes = tensor.withUnsafeBytes { source in
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
        bytes.copyMemory(from: source)
        return bytes
      }
    }

    deinit {
      bytes.deallocate()
      departures.names.withLock { $0.append(name) }
    }
  }

  private static let layers = 8

  /// Linear layers one behind another, in float or with integer weights.
  private func graph(_ isQuantized: Bool, _ departures: Departures) throws -> Graph {
    var (nodes, parameters): ([Node], [String: Parameter]) = ([], [:])
    let numbers = try QuantizationParameters(
      scales: [Float](repeating: 0.01, count: 32), zeroPoints: [Int](repeating: 0, count: 32), dtype: .int8, axis: 0)
    var value = "x"
    for layer in 0..<Self.layers {
      var weight = "w\(layer)"
      let real = try Tensor.random([32, 32], seed: UInt64(layer))
      let tensor = isQuantized ? try quantize(real, numbers) : real
      let owner = Owner(weight, tensor, departures)
      let storage = TensorStorage(borrowing: UnsafeRawBufferPointer(owner.bytes), from: owner)
      parameters[weight] = Parameter(Tensor(storage: storage, shape: tensor.shape, dtype: tensor.dtype))
      if isQuantized {
        nodes.append(
          Node(
            name: "d\(layer)", op: .dequantizeLinear(Op.DequantizeLinear(numbers)), inputs: [weight],
            outputs: ["r\(layer)"]))
        weight = "r\(layer)"
      }
      nodes.append(
        Node(name: "n\(layer)", op: .linear(Op.Linear()), inputs: [value, weight], outputs: ["v\(layer)"]))
      value = "v\(layer)"
    }
    return try Graph(
      inputs: [Graph.Input(name: "x", type: TensorType(.float32, [.symbolic("n"), 32]))], nodes: nodes,
      outputs: [Graph.Output(name: "y", value: value)], parameters: parameters)
  }

  @Test(arguments: [false, true]) func weightsGoWhenTheyArePacked(_ isQuantized: Bool) throws {
    let departures = Departures()
    let plan = try Plan(graph(isQuantized, departures))
    #expect(departures.names.withLock { $0 } == (0..<Self.layers).map { "w\($0)" })
    // What is left suffices for inputs of any shape.
    let session = Session(plan)
    let kept = try graph(isQuantized, Departures())
    let other = Session(try Plan(kept))
    for batch in [1, 3] {
      let x = try Tensor.random([batch, 32], seed: 9)
      #expect(try discrepancy(session.run([x])[0], other.run([x])[0]) == nil)
    }
    // Nothing is taken from whoever holds a graph.
    #expect(try kept.parameters["w0"]!.value.count == 1024 && kept.validated().types == kept.types)
  }
}
