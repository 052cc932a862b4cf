import OctetCore
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// How models are read: element types, names, shapes that are computed, branches, functions, and what is lacking.
@Suite struct ReadingTests {
  private func graph(
    _ nodes: [ProtocolBuffer], inputs: [ProtocolBuffer] = [Proto.value("x", ["n", 3])], outputs: [String] = ["y"],
    _ initializers: [ProtocolBuffer] = [], opset: Int = 17, functions: [ProtocolBuffer] = [],
    dimensions: [String: Int] = [:], constants: [String: Tensor] = [:]
  ) throws -> Graph {
    let graph = Proto.graph(nodes, inputs: inputs, outputs: outputs, initializers: initializers)
    let model = Proto.model(graph, opset: opset, functions: functions, domains: functions.isEmpty ? [] : ["f"])
    return try ONNXModel(bytes: model, dimensions: dimensions, constants: constants).graph
  }

  // MARK: - Tensors

  @Test(
    arguments: [
      (1, [0x00, 0x00, 0xC0, 0x3F], "float32: 1.5"), (10, [0x00, 0xBE], "float32: -1.5"),
      (10, [0x01, 0x00], "float32: 5.9604645e-08"), (10, [0x00, 0xFC], "float32: -inf"),
      (16, [0xC0, 0x3F], "float32: 1.5"), (11, [0, 0, 0, 0, 0, 0, 0xF8, 0x3F], "float32: 1.5"),
      (2, [200], "uint8: 200"), (3, [200], "int8: -56"), (4, [1, 2], "uint16: 513"), (5, [255, 255], "int16: -1"),
      (6, [1, 0, 0, 0], "int32: 1"), (7, [1, 0, 0, 0, 0, 0, 0, 0], "int64: 1"), (9, [1], "bool: true"),
      (12, [255, 255, 255, 255], "int64: 4294967295"), (13, [1, 0, 0, 0, 0, 0, 0, 0], "int64: 1"),
    ] as [(Int, [UInt8], String)])
  func rawElements(_ type: Int, _ bytes: [UInt8], _ expected: String) throws {
    let graph = try graph([Proto.node("Identity", ["w"], ["y"])], [Proto.tensor("w", type: type, [1], raw: bytes)])
    let value = try #require(graph.parameters[graph.outputs[0].value]).value
    #expect("\(value)" == expected.replacing(":", with: " [1]:"))
  }

  @Test func typedElements() throws {
    func value(_ tensor: ProtocolBuffer) throws -> Tensor {
      let graph = try graph([Proto.node("Identity", ["w"], ["y"])], [tensor])
      return try #require(graph.parameters[graph.outputs[0].value]).value
    }
    // int32_data (field 5) holds all types of 32 bits or less.
    #expect(try value(Proto.tensor("w", type: 3, [2]).adding(5, -3).adding(5, 4)).scalars(as: Int8.self) == [-3, 4])
    #expect(try value(Proto.tensor("w", type: 10, [1]).adding(5, 0xBE00)).floats == [-1.5])
    #expect(
      try value(Proto.tensor("w", type: 9, [2]).adding(5, 1).adding(5, 0)).scalars(as: Bool.self) == [true, false])
    #expect(try value(Proto.tensor("w", type: 22, [3]).adding(5, 0x21).adding(5, 0x0F)).type == TensorType(.int4, [3]))
    #expect(octetError { try value(Proto.tensor("w", type: 3, [1]).adding(5, 300)) }?.code == .invalidFile)
    #expect(octetError { try value(Proto.tensor("w", type: 13, [1]).adding(11, -1)) }?.code == .unsupported)
  }

  // MARK: - Shapes

  /// The batch goes through shape arithmetic as PyTorch writes it: `x.view(x.size(0), -1)`.
  @Test func shapesOfUnknownBatches() throws {
    let nodes = [
      Proto.node("Shape", ["x"], ["shape"]), Proto.node("Gather", ["shape", "zero"], ["n"]),
      Proto.node("Unsqueeze", ["n", "axis"], ["n1"]),
      Proto.node("Concat", ["n1", "rest"], ["to"], Proto.attribute("axis", 0)),
      Proto.node("Reshape", ["x", "to"], ["y"]),
    ]
    let constants = [
      Proto.tensor("zero", [], [0] as [Int]), Proto.tensor("axis", [1], [0] as [Int]),
      Proto.tensor("rest", [1], [-1] as [Int]),
    ]
    let graph = try graph(nodes, inputs: [Proto.value("x", ["n", 3, 4])], constants)
    #expect(graph.nodes.map(\.op.kind) == [.reshape])
    #expect(graph.types["y"] == TensorType(.float32, [.symbolic("n"), 12]))
  }

  /// A constant for every element of a batch whose size is not known: start states, class tokens.
  @Test func constantsOfUnknownShape() throws {
    let nodes = [
      Proto.node("Shape", ["x"], ["n"], Proto.attribute("end", 1)),
      Proto.node("Concat", ["n", "two"], ["shape"], Proto.attribute("axis", 0)),
      Proto.node("ConstantOfShape", ["shape"], ["zeros"]), Proto.node("Add", ["zeros", "token"], ["y"]),
    ]
    let constants = [Proto.tensor("two", [1], [2] as [Int]), Proto.tensor("token", [2], [7, 8] as [Float])]
    let graph = try graph(nodes, constants)
    #expect(graph.types["y"] == TensorType(.float32, [.symbolic("n"), 2]))
    let x = try Tensor([.nan, 0, .infinity, 1, 2, 3] as [Float], shape: [2, 3])
    #expect(try graph.replay([x])[0].floats == [7, 8, 7, 8])
  }

  @Test func sumsOfProductsByEquation() throws {
    let inputs = [Proto.value("x", ["n", 2, 3]), Proto.value("w", ["n", 3, 2])]
    func result(_ equation: String) throws -> Tensor {
      let graph = try graph(
        [Proto.node("Einsum", ["x", "w"], ["y"], Proto.attribute("equation", equation))], inputs: inputs)
      return try graph.replay([.counting([1, 2, 3]), .counting([1, 3, 2], from: 1)])[0]
    }
    // [0 1 2; 3 4 5] · [1 2; 3 4; 5 6]
    #expect(try result("bij,bjk->bik").floats == [13, 16, 40, 52])
    #expect(try result("bij, bjk -> bki").floats == [13, 40, 16, 52])
    #expect(try result("bij,bkl->b").floats == [15 * 21])
    #expect(octetError { try result("bii,bjk->b") }?.code == .unsupported)
  }

  /// Open sizes are numbers that the graph computes, known ones constants.
  @Test func sizesAreNumbersOfTheGraph() throws {
    let nodes = [
      Proto.node("Shape", ["x"], ["shape"]), Proto.node("Cast", ["shape"], ["real"], Proto.attribute("to", 1)),
      Proto.node("Div", ["x", "real"], ["y"]),
    ]
    let inputs = [Proto.value("x", ["n", 2])]
    let fixed = try graph(nodes, inputs: inputs, dimensions: ["n": 4])
    #expect(fixed.nodes.map(\.op.kind) == [.div])
    for graph in [fixed, try graph(nodes, inputs: inputs)] {
      #expect(try graph.replay([.counting([4, 2])])[0].floats == [0, 0.5, 0.5, 1.5, 1, 2.5, 1.5, 3.5])
    }
  }

  @Test func inputsCanBeGiven() throws {
    let inputs = [Proto.value("x", [2, 3]), Proto.value("axes", type: 7, [1])]
    let nodes = [Proto.node("ReduceSum", ["x", "axes"], ["y"])]
    #expect(octetError { try graph(nodes, inputs: inputs) }?.code == .unsupported)
    let given = try graph(nodes, inputs: inputs, constants: ["axes": Tensor([Int64(1)], shape: [1])])
    #expect(given.inputs.map(\.name) == ["x"] && given.types["y"] == TensorType(.float32, [2, 1]))
    #expect(
      octetError { try graph(nodes, inputs: inputs, constants: ["axis": Tensor(Int64(1))]) }?.code == .unknownName)
    #expect(
      octetError { try graph(nodes, inputs: inputs, constants: ["axes": Tensor(Int64(1))]) }?.code == .shapeMismatch)
  }

  // MARK: - Names

  @Test func namesAreKept() throws {
    let nodes = [
      Proto.node("Identity", ["x"], ["same"]), Proto.node("Relu", ["same"], ["hidden"], name: "first"),
      Proto.node("Dropout", ["hidden"], ["dropped"]), Proto.node("Selu", ["dropped"], ["y"], name: "second"),
    ]
    let graph = try graph(nodes)
    #expect(graph.nodes.map(\.name) == ["first", "second/elu", "second"])
    #expect(graph.nodes.map(\.outputs) == [["hidden"], ["second/elu"], ["y"]])
    #expect(graph.outputs == [Graph.Output(name: "y", value: "y")])
  }

  @Test func outputsThatAreInputsOrConstants() throws {
    let graph = try graph(
      [Proto.node("Identity", ["x"], ["y"]), Proto.node("Identity", ["w"], ["z"])], outputs: ["y", "z"],
      [Proto.tensor("w", [2], [1, 2] as [Float])])
    #expect(graph.nodes.isEmpty && graph.outputs.map(\.name) == ["y", "z"])
    let results = try graph.replay([Tensor([3, 4, 5] as [Float], shape: [1, 3])])
    #expect(try results.map { try $0.floats } == [[3, 4, 5], [1, 2]])
  }

  /// What outputs do not need is not read at all.
  @Test func deadNodesDoNotMatter() throws {
    let graph = try graph([Proto.node("NoSuchThing", ["x"], ["z"]), Proto.node("Relu", ["x"], ["y"])])
    #expect(graph.nodes.count == 1)
  }

  // MARK: - Branches and functions

  @Test(arguments: [true, false]) func branchesOfKnownConditions(_ condition: Bool) throws {
    func branch(_ type: String) -> ProtocolBuffer {
      Proto.graph([Proto.node(type, ["x"], ["result"])], inputs: [], outputs: ["result"])
    }
    let node = Proto.node(
      "If", ["c"], ["y"], name: "choice", Proto.attribute("then_branch", graph: branch("Relu")),
      Proto.attribute("else_branch", graph: branch("NoSuchThing")))
    let flag = Proto.tensor("c", type: 9, [], raw: [condition ? 1 : 0])
    if condition {
      #expect(try graph([node], [flag]).nodes.map(\.op.kind) == [.relu])
    } else {
      let error = octetError { try graph([node], [flag]) }
      #expect(error?.code == .unsupported && error?.found.contains("NoSuchThing") == true)
    }
  }

  @Test func functionsAreInlined() throws {
    let function = Proto.function(
      "Double", domain: "f", inputs: ["a", "b"], outputs: ["c"], attributes: ["slope"],
      [
        Proto.node("LeakyRelu", ["a"], ["t"], Proto.attribute("alpha", of: "slope", type: 1)),
        Proto.node("Clip", ["t", "b"], ["c"]),
      ])
    func call(_ inputs: [String], _ output: String, _ slope: Float) -> ProtocolBuffer {
      Proto.node("Double", inputs, [output], domain: "f", Proto.attribute("slope", slope))
    }
    let graph = try graph(
      [call(["x"], "h", 0.5), call(["h", "low"], "y", 0.25)], [Proto.tensor("low", [], [-0.5] as [Float])],
      functions: [function])
    // A clip without limits is nothing.
    #expect(graph.nodes.map(\.op.kind) == [.leakyRelu, .leakyRelu, .clip])
    let result = try graph.replay([Tensor([-8, -1, 2] as [Float], shape: [1, 3])])[0]
    #expect(try result.floats == [-0.5, -0.125, 2])
  }

  // MARK: - What is lacking

  @Test func everythingThatIsLackingIsNamed() throws {
    let nodes = [
      Proto.node("Relu", ["x"], ["a"]), Proto.node("NonMaxSuppression", ["a"], ["b"], name: "nms"),
      Proto.node("Loop", ["b"], ["c"]), Proto.node("Relu", ["c"], ["d"]),
      Proto.node("StringSplit", ["d"], ["e"]), Proto.node("StringSplit", ["e"], ["f"]),
      Proto.node("Resize", ["a", "", "s"], ["g"], Proto.attribute("mode", "lanczos")),
      Proto.node("Add", ["f", "g"], ["y"]),
    ]
    let error = octetError {
      try graph(nodes, inputs: [Proto.value("x", [1, 2, 3])], [Proto.tensor("s", [3], [1, 1, 2] as [Float])])
    }
    #expect(error?.code == .unsupported)
    #expect(error?.subject == "node nms (NonMaxSuppression, opset 17)")
    let list = try #require(error?.found)
    for part in [
      "StringSplit (2 nodes)", "NonMaxSuppression", "Loop", "Resize: mode: nearest, linear or cubic, found lanczos",
    ] {
      #expect(list.contains(part), "\(list)")
    }
    #expect(!list.contains("Relu") && !list.contains("Add"))
  }

  @Test func domainsMustBeImported() throws {
    let error = octetError { try graph([Proto.node("Relu", ["x"], ["y"], domain: "nowhere")]) }
    #expect(error?.code == .invalidFile)
  }
}
