import OctetCore
import OctetGraph

import struct Foundation.Data

/// Makes ONNX's graph of ours.
final class GraphWriter {
  let graph: Graph
  /// The operator set that the file needs.
  let opset: Int
  /// The names in the file of our values.
  private var names: [String: String] = [:]
  private var valueNames: Set<String> = []
  private var nodeNames: Set<String>
  /// The nodes that have given their name to an operator.
  private var namesInUse: Set<String> = []
  private(set) var nodes: [Onnx_NodeProto] = []
  /// What initializers say of themselves, and what they hold.
  private var initializers: [(proto: Onnx_TensorProto, content: Tensor)] = []
  /// The parameters that are initializers already.
  private var stored: Set<String> = []
  /// The bytes of all initializers.
  private(set) var byteCount = 0
  private var scales: [ScaleKey: (scale: String, zeroPoint: String)] = [:]
  private var dynamics: [String: DynamicNames] = [:]
  private let uses: Set<String>
  private let producers: [String: Int]
  private let consumers: [String: [Int]]
  /// Transposed weights by the name of the parameter.
  private var transposed: [String: String] = [:]

  private struct ScaleKey: Hashable {
    let parameters: QuantizationParameters
    let weight: String?
  }

  /// The results of a DynamicQuantizeLinear.
  struct DynamicNames {
    let integers, scale, zeroPoint: String
  }

  init(_ graph: Graph) {
    self.graph = graph
    opset = graph.nodes.map { graph.opset(of: $0) }.reduce(17, max)
    nodeNames = Set(graph.nodes.map(\.name))
    producers = graph.producers
    consumers = graph.consumers
    uses = Set(graph.nodes.flatMap { $0.inputs.compactMap { $0 } } + graph.outputs.map(\.value))
  }

  func write(name: String) throws -> Onnx_GraphProto {
    let copies = try nameValues()
    // Weights are dequantized where they are used: some are used in another form.
    for node in graph.nodes where storedWeight(node) == nil { try write(node) }
    for output in graph.outputs { _ = try self.name(of: output.value) }
    for output in copies {
      _ = add(
        "Identity", [try self.name(of: output.value)], [], name: unusedNodeName(output.name), outputs: [output.name])
    }
    var proto = Onnx_GraphProto()
    proto.name = name
    proto.node = nodes
    proto.input = try graph.inputs.map { try Self.info($0.name, $0.type) }
    proto.output = try graph.outputs.map { try Self.info($0.name, graph.types[$0.value]!) }
    return proto
  }

  // MARK: - Names

  /// Gives every value its name in the file. Those of inputs and outputs come first, then those of parameters.
  ///
  /// - Returns: the outputs that must be copies, because their value has another name already.
  private func nameValues() throws -> [Graph.Output] {
    for input in graph.inputs { names[input.name] = input.name }
    valueNames = Set(graph.inputs.map(\.name))
    var copies: [Graph.Output] = []
    for output in graph.outputs where names[output.value] != output.name {
      guard valueNames.insert(output.name).inserted else {
        throw OctetError(
          .unsupported, "output \(output.name)", expected: "a name that no input has", found: "the name of an input")
      }
      if producers[output.value] != nil, names[output.value] == nil {
        names[output.value] = output.name
      } else {
        copies.append(output)
      }
    }
    for name in graph.parameters.keys.sorted() where uses.contains(name) { names[name] = unusedValueName(name) }
    for value in graph.nodes.flatMap(\.outputs) where names[value] == nil { names[value] = unusedValueName(value) }
    return copies
  }

  func unusedValueName(_ base: String) -> String { Self.unused(base, &valueNames) }

  private func unusedNodeName(_ base: String) -> String { Self.unused(base, &nodeNames) }

  private static func unused(_ base: String, _ taken: inout Set<String>) -> String {
    var name = base
    var number = 1
    while !taken.insert(name).inserted {
      name = "\(base)_\(number)"
      number += 1
    }
    return name
  }

  /// The name in the file of one of our values. A parameter becomes an initializer when it is asked for, and a
  /// quantized one gets its DequantizeLinear.
  func name(of value: String) throws -> String {
    let name = names[value]!
    if let parameter = graph.parameters[value] {
      if stored.insert(value).inserted { try store(parameter.value, name) }
    } else if let producer = producer(of: value), storedWeight(producer) != nil, stored.insert(value).inserted {
      try write(producer)
    }
    return name
  }

  /// The node that makes a value.
  func producer(of value: String) -> Node? { producers[value].map { graph.nodes[$0] } }

  /// The nodes that use a value; `nil` if it is an output.
  func users(of value: String) -> [Node]? {
    graph.isOutput(value) ? nil : (consumers[value] ?? []).map { graph.nodes[$0] }
  }

  /// The integers that a node dequantizes, if they are a parameter.
  func storedWeight(_ node: Node) -> String? {
    guard case .dequantizeLinear = node.op, let stored = node.inputs[0], graph.parameters[stored] != nil else {
      return nil
    }
    return stored
  }

  /// What a value is dequantized from, if that is a parameter.
  func quantizedWeight(_ value: String) -> QuantizedWeight? {
    guard let producer = producer(of: value), case .dequantizeLinear(let op) = producer.op,
      let stored = storedWeight(producer)
    else { return nil }
    return QuantizedWeight(name: stored, integers: graph.parameters[stored]!.value, parameters: op.parameters)
  }

  /// A weight that is stored as integers.
  struct QuantizedWeight {
    let name: String
    let integers: Tensor
    let parameters: QuantizationParameters
  }

  /// How a value was quantized that is dequantized with one scale from 8 bits.
  func activationParameters(_ value: String) -> QuantizationParameters? {
    guard let producer = producer(of: value), case .dequantizeLinear(let op) = producer.op,
      storedWeight(producer) == nil,
      op.parameters.isPerTensor, op.parameters.dtype.bitWidth == 8
    else { return nil }
    return op.parameters
  }

  /// The scale that a value is quantized with, at once or behind a ReLU or clip, if all who read it do that alike.
  func resultScale(_ value: String) -> Float? {
    guard let users = users(of: value), let first = users.first else { return nil }
    switch first.op {
    case .unary(.relu) where users.count == 1, .clip where users.count == 1: return resultScale(first.outputs[0])
    case .quantizeLinear(let op) where users.count == 1 && op.parameters.isPerTensor: return op.parameters.scales[0]
    default: return nil
    }
  }

  /// Whether something needs the value.
  func isUsed(_ value: String) -> Bool { uses.contains(value) }

  // MARK: - Initializers

  /// The transpose of a parameter as an initializer. It has the parameter's name if nobody needs that as it is.
  func transposed(_ parameter: String, isOnlyForm: Bool, _ make: () throws -> Tensor) throws -> String {
    if let known = transposed[parameter] { return known }
    let isFree = isOnlyForm && stored.insert(parameter).inserted
    let name = isFree ? names[parameter]! : unusedValueName("\(parameter)_transposed")
    try store(try make(), name)
    transposed[parameter] = name
    return name
  }

  /// A tensor of the file under this name or one like it.
  func constant(_ tensor: Tensor, named base: String) throws -> String {
    let name = unusedValueName(base)
    try store(tensor, name)
    return name
  }

  private func store(_ tensor: Tensor, _ name: String) throws {
    var proto = Onnx_TensorProto()
    proto.name = name
    proto.dims = tensor.shape.map(Int64.init)
    proto.dataType = Int32(ElementType(tensor.dtype).rawValue)
    byteCount += tensor.withUnsafeBytes(\.count)
    initializers.append((proto, tensor))
  }

  /// The initializers with all that they hold.
  func initializersWithin() -> [Onnx_TensorProto] {
    initializers.map { proto, content in
      var proto = proto
      proto.rawData = content.withUnsafeBytes { Data($0) }
      return proto
    }
  }

  /// The initializers of a model whose large ones lie in a file beside it.
  ///
  /// - Returns: them, and the contents of that file: where each begins.
  func initializers(beside location: String) -> (protos: [Onnx_TensorProto], file: [(offset: Int, content: Tensor)]) {
    var end = 0
    var file: [(offset: Int, content: Tensor)] = []
    let protos = initializers.map { proto, content in
      var proto = proto
      let count = content.withUnsafeBytes(\.count)
      guard count >= 1024 else {
        proto.rawData = content.withUnsafeBytes { Data($0) }
        return proto
      }
      // Pages, so that readers may map large ones.
      let alignment = count >= 1 << 20 ? 4096 : 64
      let offset = (end + alignment - 1) / alignment * alignment
      file.append((offset, content))
      end = offset + count
      proto.dataLocation = .external
      proto.externalData = [("location", location), ("offset", "\(offset)"), ("length", "\(count)")].map { key, value in
        var entry = Onnx_StringStringEntryProto()
        (entry.key, entry.value) = (key, value)
        return entry
      }
      return proto
    }
    return (protos, file)
  }

  /// Scale and zero point as initializers, once for all who have the same.
  ///
  /// - Parameters:
  ///   - weight: the initializer that they quantize, if it is one. Weights share none: where ONNX Runtime makes weights
  ///     unsigned (`session.x64quantprecision`), it does so with the zero points, each for one weight only.
  ///   - shape: of the tensor that they quantize, which says how blocks lie.
  func initializers(
    _ parameters: QuantizationParameters, of weight: String?, shape: [Dimension], named base: String
  ) throws -> (scale: String, zeroPoint: String) {
    let key = ScaleKey(parameters: parameters, weight: weight)
    if parameters.blockSize == nil, let known = scales[key] { return known }
    var dimensions = parameters.isPerTensor ? [] : [parameters.scales.count]
    if let size = parameters.blockSize, let axis = parameters.axis {
      dimensions = shape.compactMap(\.size)
      let counted = axis < 0 ? axis + dimensions.count : axis
      dimensions[counted] = (dimensions[counted] + size - 1) / size
    }
    let zeros = try Tensor(parameters.zeroPoints, dtype: parameters.dtype, shape: dimensions)
    let pair = (
      scale: try constant(Tensor(parameters.scales, shape: dimensions), named: "\(base)_scale"),
      zeroPoint: try constant(zeros, named: "\(base)_zero_point")
    )
    if parameters.blockSize == nil { scales[key] = pair }
    return pair
  }

  // MARK: - Nodes

  private func write(_ node: Node) throws {
    let first = nodes.count
    let results = try naming("node \(node.name) (\(node.op.kind.rawValue))") {
      try NodeWriter(node: node, writer: self).results()
    }
    for (value, result) in zip(node.outputs, results) where !result.isEmpty {
      let wanted = names[value]!
      // What makes the result makes it under its name.
      guard
        let place = nodes[first...].lastIndex(where: { $0.output.contains(result) }),
        !nodes[(place + 1)...].contains(where: { $0.input.contains(result) })
      else {
        _ = add("Identity", [result], [], name: unusedNodeName("\(node.name)/Identity"), outputs: [wanted])
        continue
      }
      nodes[place].output = nodes[place].output.map { $0 == result ? wanted : $0 }
    }
  }

  /// An operator of `node`: the first one that is no helper has its name.
  func emit(
    _ type: String, _ inputs: [String], _ attributes: [Onnx_AttributeProto], of node: Node, outputCount: Int,
    isHelper: Bool = false, domain: String = "", metadata: [String: String] = [:]
  ) -> [String] {
    let hasName = !isHelper && namesInUse.insert(node.name).inserted
    let name = hasName ? node.name : unusedNodeName("\(node.name)/\(type)")
    let outputs = (0..<outputCount).map { _ in unusedValueName("\(node.name)/\(type)_output") }
    return add(type, inputs, attributes, name: name, outputs: outputs, domain: domain, metadata: metadata)
  }

  private func add(
    _ type: String, _ inputs: [String], _ attributes: [Onnx_AttributeProto], name: String, outputs: [String],
    domain: String = "", metadata: [String: String] = [:]
  ) -> [String] {
    var proto = Onnx_NodeProto()
    proto.name = name
    proto.opType = type
    if !domain.isEmpty { proto.domain = domain }
    proto.input = inputs
    while proto.input.last == "" { proto.input.removeLast() }
    proto.output = outputs
    proto.attribute = attributes
    proto.metadataProps = Onnx_StringStringEntryProto.entries(metadata)
    nodes.append(proto)
    return outputs
  }

  /// The domains of the operators, apart from ONNX's own.
  var domains: Set<String> { Set(nodes.map(\.domain)).subtracting([""]) }

  /// The version of the format that the file needs.
  var irVersion: Int {
    // Entries of nodes came with version 10.
    if opset > 20 || nodes.contains(where: { !$0.metadataProps.isEmpty }) { return 10 }
    return opset > 19 ? 9 : 8
  }

  /// The integers that stand for the result of a dynamic quantization.
  func dynamic(_ value: String) -> DynamicNames? { dynamics[value] }

  func setDynamic(_ value: String, _ names: DynamicNames) { dynamics[value] = names }

  // MARK: - Types

  private static func info(_ name: String, _ type: TensorType) throws -> Onnx_ValueInfoProto {
    var tensor = Onnx_TypeProto.Tensor()
    tensor.elemType = Int32(ElementType(type.dtype).rawValue)
    tensor.shape.dim = type.shape.map { size in
      var dimension = Onnx_TensorShapeProto.Dimension()
      switch size {
      case .fixed(let size): dimension.value = .dimValue(Int64(size))
      case .symbolic(let name): dimension.value = .dimParam(name)
      }
      return dimension
    }
    var info = Onnx_ValueInfoProto()
    info.name = name
    info.type.value = .tensorType(tensor)
    return info
  }
}

extension Onnx_StringStringEntryProto {
  /// Entries by key.
  static func entries(_ texts: [String: String]) -> [Onnx_StringStringEntryProto] {
    texts.sorted { $0.key < $1.key }.map { key, value in
      var entry = Onnx_StringStringEntryProto()
      (entry.key, entry.value) = (key, value)
      return entry
    }
  }
}

extension ElementType {
  /// ONNX's name for one of our types.
  init(_ dtype: DType) {
    self =
      switch dtype {
      case .float32: .float
      case .float16: .float16
      case .uint8: .uint8
      case .int8: .int8
      case .uint16: .uint16
      case .int16: .int16
      case .uint4: .uint4
      case .int4: .int4
      case .int32: .int32
      case .int64: .int64
      case .bool: .bool
      }
  }
}

extension Tensor {
  /// Integers of a type that values are quantized to.
  fileprivate init(_ numbers: [Int], dtype: DType, shape: [Int]) throws {
    switch dtype {
    case .uint8: try self.init(numbers.map { UInt8($0) }, shape: shape)
    case .int8: try self.init(numbers.map { Int8($0) }, shape: shape)
    case .uint16: try self.init(numbers.map { UInt16($0) }, shape: shape)
    case .int16: try self.init(numbers.map { Int16($0) }, shape: shape)
    case .uint4, .int4:
      self.init(uninitialized: shape, dtype: dtype)
      let bytes = packed(numbers.map { UInt8(truncatingIfNeeded: $0) })
      withUnsafeMutableBytes { to in bytes.withUnsafeBytes { to.copyMemory(from: $0) } }
    case .float32, .float16, .int32, .int64, .bool: preconditionFailure("not a quantized type")
    }
  }
}
