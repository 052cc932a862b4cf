import ArgumentParser
import Foundation
import Octet

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what is in a model: a summary, its graph, its weights, or its scales.",
    discussion: """
      The model is an .onnx file or one that Octet has saved. The graph is shown as it is read: before operations are \
      fused. 'quantized' tells the form of the model; 'here' how Octet's engine runs it.

      Example: octet inspect net.onnx --weights
      """)

  @Argument(help: "The model file.")
  var model: String

  @Flag(help: "The graph as a table, with scales, and why what is float.")
  var graph = false

  @Flag(help: "Every parameter: type, shape, smallest and largest element, scales, users.")
  var weights = false

  @Flag(help: "Scale and zero point of every activation that becomes integers.")
  var sites = false

  @OptionGroup var options: ModelOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard [graph, weights, sites].count(where: { $0 }) <= 1 else {
      throw ValidationError("--graph, --weights and --sites cannot be combined")
    }
  }

  func run() throws {
    let model = try LoadedModel(model, dimensions: options.dimensions)
    if graph { return try show(GraphRows(model.graph)) { print(model.graph.tabular()) } }
    if weights {
      let rows = model.graph.parameterSummaries().map(WeightRow.init)
      return try show(["weights": rows]) { print(WeightRow.table(rows)) }
    }
    if sites {
      let rows = model.graph.activationSummaries().map(SiteRow.init)
      return try show(["sites": rows]) {
        print(rows.isEmpty ? "no activation becomes integers" : "\(SiteRow.table(rows))")
      }
    }
    let summary = try ModelSummary(model)
    try show(summary) { print(summary.text) }
  }

  private func show(_ value: some Encodable, _ text: () -> Void) throws {
    if json { try printJSON(value) } else { text() }
  }
}

/// The graph as JSON.
private struct GraphRows: Encodable {
  struct Value: Encodable {
    let name: String
    let dtype: String
    let shape: [String]
  }

  struct Node: Encodable {
    let name: String
    let operation: String
    let attributes: String
    let inputs: [String?]
    let outputs: [Value]
    let modules: [String]
  }

  let inputs: [Value]
  let nodes: [Node]
  let outputs: [String: String]

  init(_ graph: Graph) {
    func value(_ name: String, _ type: TensorType?) -> Value {
      Value(name: name, dtype: type?.dtype.rawValue ?? "", shape: type?.shape.map(\.description) ?? [])
    }
    inputs = graph.inputs.map { value($0.name, $0.type) }
    nodes = graph.nodes.map { node in
      Node(
        name: node.name, operation: node.op.kind.rawValue, attributes: node.op.operation.attributes,
        inputs: node.inputs,
        outputs: node.outputs.map { value($0, graph.types[$0]) }, modules: node.modules)
    }
    outputs = Dictionary(uniqueKeysWithValues: graph.outputs.map { ($0.name, $0.value) })
  }
}

private struct WeightRow: Encodable {
  let name: String
  let dtype: String
  let shape: [Int]
  let smallest: Double?
  let largest: Double?
  let scales: Int?
  let smallest_scale: Float?
  let largest_scale: Float?
  let axis: Int?
  let block_size: Int?
  let users: [String]

  init(_ summary: ParameterSummary) {
    (name, dtype, shape) = (summary.name, summary.type.dtype.rawValue, summary.type.fixedShape ?? [])
    (smallest, largest) = (summary.range?.lowerBound, summary.range?.upperBound)
    let quantization = summary.quantization
    (scales, axis, block_size) = (quantization?.scales.count, quantization?.axis, quantization?.blockSize)
    (smallest_scale, largest_scale) = (quantization?.scales.min(), quantization?.scales.max())
    users = summary.users
  }

  static func table(_ rows: [WeightRow]) -> Table {
    var table = Table(["weight", "dtype", "shape", "smallest", "largest", "scales", "used by"], trailing: [3, 4])
    for row in rows {
      let scales = row.scales.map { count in
        let range = count == 1 ? "\(row.smallest_scale!)" : "\(count): \(row.smallest_scale!)…\(row.largest_scale!)"
        return range + (row.axis.map { ", axis \($0)" } ?? "") + (row.block_size.map { ", blocks of \($0)" } ?? "")
      }
      table.append(
        row.name, row.dtype, "\(row.shape)", number(row.smallest), number(row.largest), scales ?? "",
        row.users.joined(separator: ", "))
    }
    return table
  }
}

private struct SiteRow: Encodable {
  let value: String
  let maker: String
  let dtype: String?
  let scale: Float?
  let zero_point: Int?
  let smallest: Float?
  let largest: Float?
  /// How many scales there are; 0 if they are found while the model runs.
  let scales: Int

  init(_ summary: ActivationSummary) {
    let quantization = summary.quantization
    (value, maker, dtype) = (summary.value, summary.maker, quantization?.dtype.rawValue)
    scales = quantization?.scales.count ?? 0
    (scale, zero_point) = scales == 1 ? (quantization!.scales[0], quantization!.zeroPoints[0]) : (nil, nil)
    (smallest, largest) = (summary.range?.lowerBound, summary.range?.upperBound)
  }

  static func table(_ rows: [SiteRow]) -> Table {
    var table = Table(
      ["value", "made by", "dtype", "scale", "zero point", "smallest", "largest"], trailing: [3, 4, 5, 6])
    for row in rows {
      let scale = row.scale.map { "\($0)" } ?? (row.scales == 0 ? "while it runs" : "\(row.scales) scales")
      table.append(
        row.value, row.maker, row.dtype ?? "", scale, row.zero_point.map { "\($0)" } ?? "",
        number(row.smallest.map(Double.init)), number(row.largest.map(Double.init)))
    }
    return table
  }
}

private func number(_ value: Double?) -> String { value.map { String(format: "%.4g", $0) } ?? "–" }
