import Foundation
import Octet

/// What `octet inspect` says of a model at first sight.
struct ModelSummary: Encodable {
  struct Value: Encodable {
    let name: String
    let dtype: String
    let shape: [String]
    /// What the first axis of an input is to `octet run`.
    let first_axis: String?
  }

  struct Count: Encodable {
    let name: String
    let count: Int
  }

  let file: String
  let format: String
  let file_bytes: Int
  let ir_version: Int?
  let opsets: [String: Int]?
  let producer: String?
  let inputs: [Value]
  let outputs: [Value]
  let operations: [Count]
  let parameters: Int
  let parameter_bytes: [String: Int]
  let is_quantized: Bool
  let integer_nodes: Int
  let float_reasons: [Count]
  let boundaries: Int
  let quantize_nodes: Int
  let dequantize_nodes: Int
  /// Nodes that run in integers here, and those of which the weights alone are integers.
  let runs_in_integers: Int
  let runs_on_integer_weights: Int

  init(_ model: LoadedModel) throws {
    let graph = model.graph
    let summary = GraphSummary(graph)
    let plan = try naming(model.path) { try Plan(graph.fused()) }
    file = model.path
    file_bytes = try MappedFile(model.path).byteCount
    format = model.metadata == nil ? "saved model (safetensors)" : "ONNX"
    (ir_version, opsets) = (model.metadata?.irVersion, model.metadata?.opsets)
    producer = model.metadata?.producer
    inputs = zip(graph.inputs, graph.inputForms).map { input, form in
      let first =
        switch form {
        case .batch: "batch"
        case .rows(1): "one sample"
        case .rows(let count): "\(count) rows a run"
        case .whole: input.type.rank == 0 ? nil as String? : "part of a sample"
        }
      return Value(
        name: input.name, dtype: input.type.dtype.rawValue, shape: input.type.shape.map(\.description),
        first_axis: first)
    }
    outputs = graph.outputs.map { output in
      let type = graph.types[output.value]!
      return Value(
        name: output.name, dtype: type.dtype.rawValue, shape: type.shape.map(\.description), first_axis: nil)
    }
    operations = summary.operations.map { Count(name: $0.kind.rawValue, count: $0.count) }
    parameters = summary.parameterCount
    parameter_bytes = Dictionary(uniqueKeysWithValues: summary.parameterBytes.map { ($0.dtype.rawValue, $0.bytes) })
    (is_quantized, integer_nodes, boundaries) = (summary.isQuantized, summary.integerCount, summary.boundaryCount)
    (quantize_nodes, dequantize_nodes) = (summary.quantizeCount, summary.dequantizeCount)
    float_reasons = summary.floatReasons.map { Count(name: $0.reason, count: $0.count) }
    (runs_in_integers, runs_on_integer_weights) = (plan.integerNodes.count, plan.weightOnlyNodes.count)
  }

  var text: String {
    func type(_ value: Value) -> String {
      "\(value.name): \(value.dtype) [\(value.shape.joined(separator: ", "))]"
        + (value.first_axis.map { " (first axis: \($0))" } ?? "")
    }
    var format = format
    if let ir_version, let opsets {
      let sets = opsets.sorted { $0.key < $1.key }.map { ($0.key.isEmpty ? "" : "\($0.key) ") + "\($0.value)" }
      format += ", IR version \(ir_version), operator set \(sets.joined(separator: ", "))"
    }
    var lines: [(String, String)] = [("file", "\(file), \(file_bytes) bytes"), ("format", format)]
    if let producer, !producer.isEmpty { lines.append(("producer", producer)) }
    lines += inputs.enumerated().map { ($0 == 0 ? "inputs" : "", type($1)) }
    lines += outputs.enumerated().map { ($0 == 0 ? "outputs" : "", type($1)) }
    let counted = operations.map { "\($0.count) \($0.name)" }.joined(separator: ", ")
    lines.append(("operations", "\(operations.reduce(0) { $0 + $1.count }): \(counted)"))
    let bytes = parameter_bytes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value) bytes" }
    lines.append(("parameters", ([("\(parameters)")] + bytes).joined(separator: ", ")))
    if is_quantized {
      let float = float_reasons.map { "\($0.count) \($0.name)" }.joined(separator: ", ")
      lines.append(
        (
          "quantized",
          "\(integer_nodes) nodes in integers, \(float_reasons.reduce(0) { $0 + $1.count }) in float"
            + (float.isEmpty ? "" : " (\(float))") + ", \(boundaries) boundaries"
        ))
      lines.append(("here", "\(runs_in_integers) run in integers, \(runs_on_integer_weights) on integer weights"))
    } else {
      lines.append(("quantized", "no"))
    }
    return lines.map { $0.0.padding(toLength: 12, withPad: " ", startingAt: 0) + $0.1 }.joined(separator: "\n")
  }
}
