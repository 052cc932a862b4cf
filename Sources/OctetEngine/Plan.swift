public import OctetCore
public import OctetGraph

/// A graph made ready to run: integer steps chosen, weights packed for this CPU. Independent of batch sizes, and
/// shared by any number of sessions. A plan keeps no parameter of the graph that has been packed: where nobody else holds
/// the graph, its weights leave memory one by one while the plan is made.
///
/// A QDQ graph runs in integers wherever dequantize → operation → quantize says so, a float graph in float.
public final class Plan: Sendable {
  /// Without its parameters.
  let graph: Graph
  let steps: [any Step]
  let slots: [Slot]
  let inputs: [Int]
  let outputs: [Int]
  /// For every slot that owns memory: the last step that needs it; outputs need it to the end.
  let lastUse: [Int]
  /// The nodes that run in integers, in order.
  public let integerNodes: [String]
  /// The linear layers whose weights alone are integers, in order.
  ///
  /// Weights of int8, uint8, int4 and uint4 with one scale, one for each output channel or one for each block of a
  /// multiple of 32 along axis 1 are read as they are, packed; other weights become float32. Activations are float:
  /// a product quantizes each of their rows on its way, symmetrically to 8 bits in groups of 32 (as q8_0 of llama.cpp).
  public let weightOnlyNodes: [String]

  /// - Throws: `OctetError` that names a node which is invalid; or a wrong `OCTET_ISA`.
  public init(_ graph: consuming Graph) throws {
    _ = try InstructionSet.chosen()
    let folded = try graph.foldingConstants()
    _ = consume graph
    let lowering = try Lowering(consume folded)
    self.graph = lowering.graph
    steps = lowering.steps
    slots = lowering.slots
    inputs = lowering.inputs
    outputs = lowering.outputs
    integerNodes = lowering.integerNodes
    weightOnlyNodes = lowering.weightOnlyNodes
    var lastUse = [Int](repeating: -1, count: lowering.slots.count)
    for (index, step) in lowering.steps.enumerated() {
      for slot in step.inputs + step.outputs { lastUse[lowering.slots[slot].root] = index }
    }
    for slot in lowering.outputs { lastUse[lowering.slots[slot].root] = lowering.steps.count }
    self.lastUse = lastUse
  }

  /// The steps as a table: node, what runs, element types and layouts.
  public func tabular() -> Table {
    func form(_ slot: Int) -> String {
      let slot = slots[slot]
      return slot.dtype.rawValue + (slot.layout == .nhwc ? " NHWC" : "")
    }
    func forms(_ slots: [Int]) -> String { Set(slots.map(form)).sorted().joined(separator: ", ") }
    var table = Table(["step", "runs", "from", "to", "shape"])
    for step in steps {
      table.append(
        step.name, step.label, forms(step.inputs), forms(step.outputs),
        step.outputs.map { "\(graph.types[slots[$0].value]!.shape)" }.joined(separator: ", "))
    }
    return table
  }
}
