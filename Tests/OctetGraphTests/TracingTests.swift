import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite("Tracing")
struct TracingTests {
  let image = TensorType(.float32, [.symbolic("n"), 1, 8, 8])

  @Test func nodesAreNamedByModuleAndOperation() throws {
    let graph = try FashionCNN().trace(image)
    #expect(
      graph.nodes.map(\.name) == [
        "f.0.conv", "f.1.batchNormalization", "f.2.relu", "f.3.conv", "f.4.batchNormalization", "f.5.relu",
        "f.6.maxPool",
        "f.7.conv", "f.8.batchNormalization", "f.9.relu", "f.10.maxPool", "flatten", "l1.linear", "relu", "l2.linear",
      ])
    #expect(graph.nodes[0].modules == ["f.0"] && graph.nodes[11].modules == [])
    #expect(graph.inputs == [Graph.Input(name: "x", type: image)])
    #expect(graph.outputs == [Graph.Output(name: "output", value: "l2.linear")])
    #expect(graph.types["l2.linear"] == TensorType(.float32, [.symbolic("n"), 10]))
  }

  @Test func repeatedNamesAreNumbered() throws {
    let layer = Linear(4, 4)
    let graph = try Lambda([layer]) { layers, x in
      [try relu(layers[0](relu(relu(layers[0](x[0])))))]
    }.trace(TensorType(.float32, [2, 4]))
    #expect(graph.nodes.map(\.name) == ["0.linear", "relu", "relu_1", "0.linear_1", "relu_2"])
    #expect(Set(graph.parameters.keys) == ["0.weight", "0.bias"])
  }

  @Test func functionalOperationsInAModuleHaveItsPath() throws {
    let graph = try Sequential(Identity(), ResidualBlock(1, 2, stride: 1)).trace(image)
    #expect(
      graph.nodes.map(\.name) == [
        "1.conv1.conv", "1.bn1.batchNormalization", "1.relu", "1.conv2.conv", "1.bn2.batchNormalization",
        "1.downsample.0.conv", "1.downsample.1.batchNormalization", "1.add", "1.relu_1",
      ])
    #expect(graph.node("1.add")?.modules == ["1"])
  }

  @Test func parametersKeepTheirNames() throws {
    let network = FashionCNN()
    let graph = try network.trace(image)
    #expect(Set(graph.parameters.keys) == Set(network.stateDict.keys))
    for (name, parameter) in network.namedParameters { #expect(graph.parameters[name] === parameter, "\(name)") }
    #expect(graph.nodes[0].inputs == ["x", "f.0.weight", nil])
    #expect(
      graph.nodes[1].inputs == ["f.0.conv", "f.1.weight", "f.1.bias", "f.1.running_mean", "f.1.running_var"])
  }

  @Test func whatTheModuleSetsTheReplaySees() throws {
    let layer = Linear(2, 1)
    let graph = try layer.trace(TensorType(.float32, [1, 2]))
    layer.weight.value = try Tensor([Float(3), 5], shape: [1, 2])
    layer.bias?.value = try Tensor([Float(1)], shape: [1])
    #expect(try graph.replay([Tensor([Float(1), 2], shape: [1, 2])])[0].floats == [14])
  }

  @Test func parametersWithEqualMemoryStayApart() throws {
    // Two parameters set from one tensor share its memory; each keeps its name.
    let network = Sequential(Linear(2, 2, bias: false), Linear(2, 2, bias: false))
    let weight = try Tensor.random([2, 2], seed: 1)
    try network.load(["0.weight": weight, "1.weight": weight])
    let graph = try network.trace(TensorType(.float32, [1, 2]))
    #expect(graph.nodes[0].inputs[1] == "0.weight" && graph.nodes[1].inputs[1] == "1.weight")
    let parameters = network.namedParameters
    for (name, parameter) in parameters { #expect(graph.parameters[name] === parameter) }
  }

  @Test func aParameterSeenThroughAnotherShapeStaysItself() throws {
    let layer = Linear(2, 3)
    let graph = try Lambda([layer]) { layers, x in
      let layer = layers[0] as! Linear
      return [
        try linear(x[0], weight: layer.weight.value.reshape([3, 2]), bias: layer.weight.value.flatten()[0..<3])
          + layer(x[0])
      ]
    }.trace(TensorType(.float32, [1, 2]))
    #expect(graph.nodes.last { $0.op.kind == .linear }?.inputs == ["x", "0.weight", "0.bias"])
  }

  @Test func constantsHaveNames() throws {
    let graph = try Lambda { _, x in
      let half = try Tensor([Float(0.5)], shape: [1])
      return [try x[0] * half + half + Tensor([Float(2)], shape: [1])]
    }.trace(TensorType(.float32, [.symbolic("n")]))
    #expect(Set(graph.parameters.keys) == ["constant", "constant_1"])
    #expect(graph.parameters.values.allSatisfy { !$0.isTrainable })
    #expect(graph.nodes.map(\.inputs) == [["x", "constant"], ["mul", "constant"], ["add", "constant_1"]])
    #expect(try graph.replay([Tensor([Float(3)], shape: [1])])[0].floats == [4])
  }

  @Test func severalInputsAndOutputs() throws {
    let network = Lambda { _, x in [try x[0] + x[1], x[1]] }
    let type = TensorType(.float32, [2])
    let graph = try network.trace(type, type)
    #expect(graph.inputs.map(\.name) == ["x_0", "x_1"])
    #expect(graph.outputs == [.init(name: "output_0", value: "add"), .init(name: "output_1", value: "x_1")])
    let named = try network.trace(type, type, inputNames: ["a", "b"], outputNames: ["sum", "same"])
    #expect(named.inputs.map(\.name) == ["a", "b"] && named.outputs.map(\.name) == ["sum", "same"])
    #expect(octetError { try network.trace(type, type, inputNames: ["a"]) }?.subject == "inputNames")
    #expect(octetError { try network.trace(type, type, outputNames: ["a"]) }?.subject == "outputNames")
    #expect(octetError { try network.trace(type, type, outputNames: ["a", "a"]) }?.code == .invalidGraph)
    #expect(octetError { try network.trace(type, type, inputNames: ["a", "a"]) }?.code == .invalidGraph)
  }

  @Test func shapesThatDoNotFitNameTheModule() {
    let error = octetError { try FashionCNN().trace(TensorType(.float32, [.symbolic("n"), 3, 8, 8])) }
    #expect(error?.code == .shapeMismatch && error?.subject == "f.0.conv: weight", "\(error.map { "\($0)" } ?? "")")
    for size in [-1, Int.max, 1 << 50] {
      #expect(
        octetError { try FashionCNN().trace(TensorType(.float32, [.fixed(size), 1, 8, 8])) }?.subject == "input x")
    }
  }

  // MARK: - What cannot be traced

  /// A module that reads its operand.
  final class Reader: Module {
    let read: (Tensor) throws -> Void
    init(_ read: @escaping (Tensor) throws -> Void) {
      self.read = read
      super.init()
    }
    override func forward(_ x: Tensor) throws -> Tensor {
      try read(x)
      return x
    }
  }

  final class Network: Module {
    final class Block: Module {
      let conv1: Module
      init(_ conv1: Module) {
        self.conv1 = conv1
        super.init()
      }
      override func forward(_ x: Tensor) throws -> Tensor { try conv1(relu(x)) }
    }
    let block: Block
    init(_ module: Module) {
      block = Block(module)
      super.init()
    }
    override func forward(_ x: Tensor) throws -> Tensor { try block(x) }
  }

  @Test func readingValuesNamesTheModule() {
    let reads: [(String, (Tensor) throws -> Void)] = [
      ("its elements", { _ = try $0.scalars(as: Float.self) }), ("its elements", { _ = try $0.item(as: Float.self) }),
      ("its elements", { try $0.withUnsafeScalars(as: Float.self) { _ in } }),
      (
        "its elements",
        {
          var x = $0; try x.withUnsafeMutableScalars(as: Float.self) { $0[0] = 0 }
        }
      ),
      ("its number of elements", { _ = try $0.count }), ("a slice of it", { _ = try $0[0..<1] }),
    ]
    for (what, read) in reads {
      let error = octetError { try Network(Reader(read)).trace(image) }
      #expect(error?.code == .notTraceable)
      #expect(error?.subject == "forward of block.conv1")
      #expect(error?.found == "a read of \(what) (block.relu, float32 [n, 1, 8, 8]) while tracing")
      #expect(octetError { try Reader(read).trace(image) }?.subject == "forward")
    }
  }

  @Test func countIsKnownWhenTheShapeIs() throws {
    var count: Int?
    _ = try Reader { count = try $0.count }.trace(TensorType(.float32, [1, 1, 8, 8]))
    #expect(count == 64)
  }

  @Test func trainingModeCannotBeTraced() {
    for layer in [Dropout(0.5), BatchNorm2d(1)] as [Module] {
      let network = Network(layer)
      network.isTraining = true
      for type in [image, TensorType(.float32, [2, 1, 8, 8])] {
        let error = octetError { try network.trace(type) }
        #expect(error?.code == .notTraceable && error?.subject == "forward of block.conv1")
      }
    }
  }

  @Test func valuesOfTwoTracesDoNotMix() throws {
    var kept: Tensor?
    let type = TensorType(.float32, [2])
    _ = try Lambda { _, x in
      kept = x[0]
      return x
    }.trace(type)
    let error = octetError { try Lambda { _, x in [try x[0] + kept!] }.trace(type) }
    #expect(error?.code == .notTraceable && error?.found == "a value of another trace")
    #expect(octetError { try Lambda { _, _ in [kept!] }.trace(type) }?.code == .notTraceable)
  }

  @Test func aReplayCanBeTraced() throws {
    let inner = try FashionCNN().trace(image)
    let outer = try Lambda { _, x in try inner.replay(x) }.trace(image)
    #expect(outer.kinds == inner.kinds)
    let x = try Tensor.random([2, 1, 8, 8], seed: 3)
    #expect(try discrepancy(outer.replay([x])[0], inner.replay([x])[0], absolute: 0, relative: 0) == nil)
  }
}
