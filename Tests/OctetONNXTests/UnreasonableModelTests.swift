import OctetCore
import OctetONNX
import TestSupport
import Testing

/// A few bytes that ask for overflowing sizes, for much memory or for hours: an error, or work that is left for
/// running.
@Suite struct UnreasonableModelTests {
  private static let huge = 1 << 62

  private func error(
    _ nodes: [ProtocolBuffer], _ shape: [Any], _ initializers: [ProtocolBuffer] = [], opset: Int = 17
  ) -> OctetError? {
    let graph = Proto.graph(nodes, inputs: [Proto.value("x", shape)], initializers: initializers)
    return octetError { try ONNXModel(bytes: Proto.model(graph, opset: opset)) }
  }

  @Test func sizesWhoseProductOverflows() {
    let reshape = error(
      [Proto.node("Reshape", ["x", "shape"], ["y"])], [1, 4], [Proto.tensor("shape", [3], [Self.huge, -1, Self.huge])])
    #expect(reshape?.subject.contains("Reshape") == true, "\(String(describing: reshape))")
    for type in ["DepthToSpace", "SpaceToDepth"] {
      let node = Proto.node(type, ["x"], ["y"], Proto.attribute("blocksize", Self.huge))
      #expect(error([node], [1, 4, 2, 2])?.code == .unsupported)
    }
  }

  /// Numbers whose magnitude is no `Int`, and others that only a checked calculation survives.
  @Test(arguments: [Int.min, Int.max, 1 << 62, -1 << 40]) func extremeNumbers(_ number: Int) {
    let w = Proto.tensor("w", [1, 1, 2, 2], [1, 1, 1, 1] as [Float])
    for name in ["pads", "strides", "dilations"] {
      let values = Proto.attribute(name, [Int](repeating: number, count: name == "pads" ? 4 : 2))
      let kernel = Proto.attribute("kernel_shape", [2, 2])
      for (node, initializers) in [
        (Proto.node("Conv", ["x", "w"], ["y"], values), [w]),
        (Proto.node("ConvTranspose", ["x", "w"], ["y"], values), [w]),
        (Proto.node("MaxPool", ["x"], ["y"], kernel, values), []),
      ] {
        #expect(error([node], [1, 1, 4, 4], initializers) != nil, "\(name)")
      }
    }
    let pads = Proto.tensor("pads", [8], [0, 0, number, 0, 0, 0, 0, 0])
    #expect(error([Proto.node("Pad", ["x", "pads"], ["y"])], [1, 1, 4, 4], [pads]) != nil)
    let batch = Proto.node("GatherND", ["x", "indices"], ["y"], Proto.attribute("batch_dims", number))
    #expect(error([batch], [2, 2], [Proto.tensor("indices", [2, 1], [0, 1])]) != nil)
    let resize = Proto.node(
      "Resize", ["x", "", "", "sizes"], ["y"], Proto.attribute("keep_aspect_ratio_policy", "not_larger"))
    #expect(
      error([resize], [1, 1, 4, 4], [Proto.tensor("sizes", [4], [number, number, number, number])], opset: 18) != nil)
    let lstm = Proto.node("LSTM", ["x", "w", "w"], ["y"], Proto.attribute("hidden_size", min(number, 1 << 30)))
    let weights = Proto.tensor("w", [1, 4, 1], [1, 1, 1, 1] as [Float])
    #expect(error([lstm], [1, 1, 1], [weights]) != nil)
    for (name, type) in [("kernel_shape", "MaxPool"), ("output_shape", "ConvTranspose")] {
      let node = Proto.node(
        type, type == "MaxPool" ? ["x"] : ["x", "w"], ["y"], Proto.attribute(name, [number, 1]),
        Proto.attribute("auto_pad", "SAME_UPPER"))
      #expect(error([node], [1, 1, 4, 4], [w]) != nil, "\(name)")
    }
    // A diagonal far outside is all zeros.
    #expect(error([Proto.node("EyeLike", ["x"], ["y"], Proto.attribute("k", number))], [2, 2], []) == nil)
  }

  /// What a mapping would list while reading, as long as an input that has no bytes in the file.
  @Test func listsAsLongAsAnInput() {
    let long = 1 << 40
    let last = Proto.attribute("select_last_index", 1)
    let cases: [(ProtocolBuffer, [Any], [ProtocolBuffer])] = [
      (Proto.node("ArgMax", ["x"], ["y"], last), [long, 2], []),
      (Proto.node("ArgMin", ["x"], ["y"], Proto.attribute("axis", 1), last), [2, long], []),
      (Proto.node("EyeLike", ["x"], ["y"]), [1 << 20, 1 << 20], []),
      (Proto.node("Trilu", ["x"], ["y"]), [1 << 20, 1 << 20], []),
      (Proto.node("Hardmax", ["x"], ["y"]), [2, 1 << 20], []),
      (
        Proto.node("Pad", ["x", "pads"], ["y"], Proto.attribute("mode", "edge")), [long],
        [Proto.tensor("pads", [2], [1, 0])]
      ),
    ]
    for (node, shape, initializers) in cases {
      let error = error([node], shape, initializers)
      #expect(error?.code == .unsupported, "\(shape): \(String(describing: error))")
    }
    let groups = Proto.node("GroupNormalization", ["x", "s", "s"], ["y"], Proto.attribute("num_groups", 1))
    #expect(error([groups], [1, long, 2], [Proto.tensor("s", [1], [1 as Float])], opset: 18)?.code == .unsupported)
  }

  /// The same of constants that a file makes of nothing.
  @Test func listsAsLongAsAConstant() {
    func made(_ name: String, _ shape: [Int]) -> ([ProtocolBuffer], ProtocolBuffer) {
      let ones = Proto.tensor("one", type: 9, [1], raw: [1])
      let node = Proto.node(
        "ConstantOfShape", ["\(name)_shape"], [name], ProtocolBuffer().adding(1, "value").adding(5, ones).adding(20, 4))
      return ([node], Proto.tensor("\(name)_shape", [shape.count], shape))
    }
    let (row, rowShape) = made("row", [1, 1 << 13])
    let (column, columnShape) = made("column", [1 << 13, 1])
    let (line, lineShape) = made("line", [1 << 25])
    let sums = row + column + [Proto.node("Add", ["row", "column"], ["y"])]
    #expect(error(sums, [1], [rowShape, columnShape])?.code == .unsupported)
    // A comparison needs no list: it is an operation.
    let comparisons = row + column + [Proto.node("Equal", ["row", "column"], ["y"])]
    #expect(error(comparisons, [1], [rowShape, columnShape]) == nil)
    for nodes in [
      [Proto.node("NonZero", ["line"], ["y"])], [Proto.node("ReduceSum", ["line"], ["y"])],
      [Proto.node("Reshape", ["x", "line"], ["y"])], [Proto.node("Unsqueeze", ["x", "line"], ["y"])],
    ] {
      #expect(error(line + nodes, [1], [lineShape])?.code == .unsupported)
    }
    // A cast needs no list.
    let cast = Proto.node("Cast", ["line"], ["y"], Proto.attribute("to", 1))
    #expect(error(line + [cast], [1], [lineShape]) == nil)
  }

  /// A range that leads away from its end is empty, however far that is.
  @Test(arguments: [-1e-30, -0.0, .nan] as [Float]) func rangesOfExtremeSteps(_ step: Float) throws {
    let range = Proto.node("Range", ["start", "limit", "step"], ["range"])
    let graph = Proto.graph(
      [range, Proto.node("Concat", ["x", "range"], ["y"], Proto.attribute("axis", 0))],
      inputs: [Proto.value("x", [3])],
      initializers: [
        Proto.tensor("start", [], [0] as [Float]), Proto.tensor("limit", [], [1e38] as [Float]),
        Proto.tensor("step", [], [step]),
      ])
    let read = { try ONNXModel(bytes: Proto.model(graph)).graph }
    if step.isNaN {
      #expect(octetError { try read() }?.code == .unsupported)
    } else {
      #expect(try read().types["y"] == TensorType(.float32, [3]))
    }
  }

  /// A mean over many more channels than there are costs no more than one over all.
  @Test func aWindowWithoutEnd() throws {
    let lrn = Proto.node(
      "LRN", ["ones"], ["y"], Proto.attribute("size", Int(Int32.max)), Proto.attribute("alpha", Float(Int32.max)),
      Proto.attribute("beta", 1 as Float))
    let ones = Proto.tensor("ones", [1, 2, 1, 1], [1, 1] as [Float])
    let graph = Proto.graph([lrn], inputs: [Proto.value("x", [1])], initializers: [ones])
    let read = try ONNXModel(bytes: Proto.model(graph)).graph
    // 1 / (1 + alpha / size · 2)
    #expect(try read.replay([.counting([1])])[0].floats.allSatisfy { abs($0 - 1 / 3) < 1e-6 })
  }

  @Test func axesWithoutEnd() {
    let axes = Proto.tensor("axes", [2000], Array(0..<2000))
    #expect(error([Proto.node("Unsqueeze", ["x", "axes"], ["y"])], [2], [axes]) != nil)
  }

  /// A bias with an axis too many, whose size is open.
  @Test func aBiasOfUnknownSize() {
    let weights = Proto.tensor("w", [1, 1, 1], [1] as [Float])
    let graph = Proto.graph(
      [Proto.node("RNN", ["x", "w", "w", "b"], ["y"], Proto.attribute("hidden_size", 1))],
      inputs: [Proto.value("x", [1, 1, 1]), Proto.value("b", [1, 2, "n"])], initializers: [weights])
    #expect(octetError { try ONNXModel(bytes: Proto.model(graph)) }?.description.contains("rank 2") == true)
  }

  /// Products of constants that a file makes of nothing are left for running; small ones are computed.
  @Test(arguments: [(8, true), (8192, false)]) func computedWhileReading(_ size: Int, _ isComputed: Bool) throws {
    var nodes = [Proto.node("ConstantOfShape", ["shape"], ["c0"])]
    for step in 0..<20 { nodes.append(Proto.node("MatMul", ["c\(step)", "c\(step)"], ["c\(step + 1)"])) }
    nodes.append(Proto.node("Add", ["x", "c20"], ["y"]))
    let graph = Proto.graph(
      nodes, inputs: [Proto.value("x", [1, size])], initializers: [Proto.tensor("shape", [2], [size, size])])
    let read = try ONNXModel(bytes: Proto.model(graph)).graph
    #expect(read.nodes.count == (isComputed ? 1 : 21))
    #expect(try read.foldingConstants().nodes.count == read.nodes.count)
  }

  @Test func manyLargeConstants() throws {
    // Each has 64 MB; the first eight fill what there is.
    var nodes = [Proto.node("ConstantOfShape", ["shape"], ["c0"])]
    for step in 0..<40 { nodes.append(Proto.node("Neg", ["c\(step)"], ["c\(step + 1)"])) }
    nodes.append(Proto.node("Add", ["x", "c40"], ["y"]))
    let graph = Proto.graph(
      nodes, inputs: [Proto.value("x", [1])], initializers: [Proto.tensor("shape", [1], [1 << 24])])
    let read = try ONNXModel(bytes: Proto.model(graph)).graph
    #expect(read.nodes.count > 30 && read.nodes.count < 42)
  }
}
