import OctetCore
import OctetGraph

import struct Foundation.Data

/// Writes one node as operators of ONNX. The first one that it emits, helpers apart, has the node's name.
struct NodeWriter {
  let node: Node
  let writer: GraphWriter

  // MARK: - Operands

  /// The name in the file of operand `index`; empty if there is none.
  func input(_ index: Int) throws -> String {
    try value(index).map(writer.name) ?? ""
  }

  /// Operand `index` as the graph calls it.
  func value(_ index: Int) -> String? { index < node.inputs.count ? node.inputs[index] : nil }

  func type(_ index: Int) -> TensorType { writer.graph.types[value(index)!]! }

  var resultType: TensorType { writer.graph.types[node.outputs[0]]! }

  /// Operand `index`, if it is a parameter.
  func parameter(_ index: Int) -> Tensor? { value(index).flatMap { writer.graph.parameters[$0]?.value } }

  func isUsed(_ result: Int) -> Bool { writer.isUsed(node.outputs[result]) }

  // MARK: - What is written

  /// An operator with one result.
  func emit(_ type: String, _ inputs: [String], _ attributes: [Onnx_AttributeProto] = []) -> String {
    emit(type, inputs, attributes, outputs: 1)[0]
  }

  func emit(
    _ type: String, _ inputs: [String], _ attributes: [Onnx_AttributeProto] = [], outputs: Int, domain: String = "",
    metadata: [String: String] = [:]
  ) -> [String] {
    writer.emit(type, inputs, attributes, of: node, outputCount: outputs, domain: domain, metadata: metadata)
  }

  /// An operator that prepares an operand of the node's own.
  func helper(_ type: String, _ inputs: [String], _ attributes: [Onnx_AttributeProto] = []) -> String {
    writer.emit(type, inputs, attributes, of: node, outputCount: 1, isHelper: true)[0]
  }

  /// Numbers as an operand, which most operators take in the place of attributes.
  func integers(_ numbers: [Int], _ name: String) throws -> String {
    try writer.constant(Tensor(numbers.map { Int64($0) }, shape: [numbers.count]), named: "\(node.name)/\(name)")
  }

  func scalar(_ number: Float, _ name: String) throws -> String {
    try writer.constant(Tensor(number), named: "\(node.name)/\(name)")
  }

  func constant(_ numbers: [Float], shape: [Int], _ name: String) throws -> String {
    try writer.constant(Tensor(numbers, shape: shape), named: "\(node.name)/\(name)")
  }

  /// An operand under another shape: a parameter is stored so, anything else reshaped.
  func reshaped(_ index: Int, _ shape: [Int]) throws -> String {
    if let tensor = parameter(index) {
      return try writer.constant(apply(.reshape(Op.Reshape(shape)), [tensor])[0], named: "\(value(index)!)_reshaped")
    }
    return helper("Reshape", [try input(index), try integers(shape, "shape")])
  }

  func unsupported(_ subject: String, expected: String, found: Any) -> OctetError {
    OctetError(.unsupported, subject, expected: expected, found: "\(found)")
  }
}

/// Attributes of ONNX's nodes.
enum Attribute {
  private static func make(_ name: String, _ type: Onnx_AttributeProto.AttributeType) -> Onnx_AttributeProto {
    var attribute = Onnx_AttributeProto()
    attribute.name = name
    attribute.type = type
    return attribute
  }

  static func int(_ name: String, _ value: Int) -> Onnx_AttributeProto {
    var attribute = make(name, .int)
    attribute.i = Int64(value)
    return attribute
  }

  static func flag(_ name: String, _ value: Bool) -> Onnx_AttributeProto { int(name, value ? 1 : 0) }

  static func ints(_ name: String, _ values: [Int]) -> Onnx_AttributeProto {
    var attribute = make(name, .ints)
    attribute.ints = values.map { Int64($0) }
    return attribute
  }

  static func float(_ name: String, _ value: Float) -> Onnx_AttributeProto {
    var attribute = make(name, .float)
    attribute.f = value
    return attribute
  }

  static func string(_ name: String, _ value: String) -> Onnx_AttributeProto {
    var attribute = make(name, .string)
    attribute.s = Data(value.utf8)
    return attribute
  }
}
