import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite("Replay")
struct ReplayTests {
  @Test("modules, replays and fused graphs equal PyTorch", arguments: Networks.cases)
  func networks(_ test: VectorCase) throws {
    guard let network = try Networks.network(test) else {
      Issue.record("no test knows the network \(test.name)")
      return
    }
    let (x, y) = (try test.tensor("x"), try test.tensor("y"))
    let eager = try network(x)
    #expect(try discrepancy(eager, y, absolute: 1e-5, relative: 1e-5) == nil)
    let graph = try network.trace(Networks.inputType(test))
    #expect(try discrepancy(graph.replay([x])[0], eager, absolute: 0, relative: 0) == nil)
    let fused = try graph.fused()
    #expect(!fused.kinds.contains(.batchNormalization) && !fused.kinds.contains(.relu) && !fused.kinds.contains(.add))
    #expect(try discrepancy(fused.replay([x])[0], y, absolute: 2e-5, relative: 2e-5) == nil)
  }

  @Test func allNetworksOfTheFileRan() {
    #expect(Networks.cases.map(\.name) == ["conv_bn_relu", "fmnist_cnn", "mlp", "residual", "residual_strided"])
  }

  private let twice = Lambda([Linear(2, 2)]) { layers, x in [try layers[0](relu(layers[0](x[0])))] }

  @Test func theTapSeesEveryValueOnce() throws {
    let graph = try twice.trace(TensorType(.float32, [1, 2]))
    var seen: [String] = []
    let x = try Tensor.random([1, 2], seed: 1)
    let results = try graph.replay([x]) { name, tensor in
      #expect(graph.types[name] == tensor.type)
      seen.append(name)
      return tensor
    }
    #expect(seen == ["x", "0.weight", "0.bias", "0.linear", "relu", "0.linear_1"])
    #expect(try results[0].floats == graph.replay([x])[0].floats)
  }

  @Test func theTapSeesResultsThatNothingUses() throws {
    var graph = try Lambda { _, x in [try relu(x[0])] }.trace(TensorType(.float32, [1]))
    graph.nodes.append(Node(name: "dead", op: .unary(.relu), inputs: ["relu"], outputs: ["dead"]))
    graph = try graph.validated()
    var seen: [String] = []
    _ = try graph.replay([Tensor(zeros: [1])]) { name, tensor in
      seen.append(name)
      return tensor
    }
    #expect(seen == ["x", "relu", "dead"])
  }

  @Test func theTapReplacesValues() throws {
    let graph = try twice.trace(TensorType(.float32, [1, 2]))
    let (weight, bias) = (try Tensor([Float(1), 2, 3, 4], shape: [2, 2]), try Tensor([Float(10), 20], shape: [2]))
    let results = try graph.replay([Tensor(zeros: [1, 2])]) { name, tensor in
      switch name {
      case "0.weight": weight
      case "0.bias": bias
      case "relu": try Tensor([Float(1), 1], shape: [1, 2])
      default: tensor
      }
    }
    #expect(try results[0].floats == [13, 27])
    let last = try graph.replay([Tensor(zeros: [1, 2])]) { $0 == "0.linear_1" ? weight : $1 }
    #expect(try last[0].floats == [1, 2, 3, 4], "outputs can be replaced too")
  }

  @Test func errorsOfTheTapNameTheValue() throws {
    let graph = try twice.trace(TensorType(.float32, [1, 2]))
    let error = octetError {
      try graph.replay([Tensor(zeros: [1, 2])]) { name, tensor in
        if name == "relu" { throw OctetError(.notANumber, "tap", expected: "a number", found: "NaN") }
        return tensor
      }
    }
    #expect(error?.subject == "relu: tap")
  }

  /// Looks at a block of memory without keeping it.
  private struct Watch {
    let name: String
    weak var storage: TensorStorage?
  }

  @Test func valuesAreLetGoAfterTheirLastUse() throws {
    let graph = try Lambda { _, x in
      var y = x[0]
      for _ in 0..<20 { y = try y + y }
      return [y]
    }.trace(TensorType(.float32, [1000]))
    var watches: [Watch] = []
    var peak = 0
    _ = try graph.replay([Tensor(repeating: Float(1), shape: [1000])]) { name, tensor in
      guard case .concrete(let storage, _, _) = tensor.representation else { return tensor }
      if name != "x" { watches.append(Watch(name: name, storage: storage)) }
      peak = max(peak, watches.count { $0.storage != nil })
      return tensor
    }
    // The result and its operand; never what came before.
    #expect(watches.count == 20 && peak <= 2, "\(peak) values alive at once")
    #expect(watches.allSatisfy { $0.storage == nil })
  }

  @Test func aValueNeededLaterStays() throws {
    let graph = try Lambda { _, x in
      let early = try relu(x[0])
      var y = early
      for _ in 0..<5 { y = try y + y }
      return [try y - early, early]
    }.trace(TensorType(.float32, [1]))
    let results = try graph.replay([Tensor([Float(2)], shape: [1])])
    #expect(try results.map { try $0.floats } == [[62], [2]])
  }

  @Test func inputsMustFit() throws {
    let n = Dimension.symbolic("n")
    let graph = try Lambda { _, x in [try x[0] + x[1]] }
      .trace(TensorType(.float32, [n, 2]), TensorType(.float32, [n, 2]), inputNames: ["a", "b"])
    func error(_ tensors: Tensor...) -> OctetError? { octetError { try graph.replay(tensors) } }
    let good = try Tensor(zeros: [3, 2])
    #expect(error(good, good) == nil)
    #expect(error(good) == OctetError(.invalidArgument, "inputs", expected: "2 (a, b)", found: "1"))
    #expect(
      try error(good, Tensor(zeros: [3, 4]))
        == OctetError(.shapeMismatch, "input b", expected: "shape [n, 2]", found: "[3, 4]"))
    #expect(try error(good, Tensor(zeros: [3]))?.code == .shapeMismatch)
    #expect(try error(good, Tensor(zeros: [3, 2], dtype: .int8))?.code == .dtypeMismatch)
    #expect(
      try error(good, Tensor(zeros: [4, 2]))
        == OctetError(.shapeMismatch, "input b", expected: "n = 3, as in another place", found: "4"))
    #expect(try graph.checkInputs([good.type, good.type]) == ["n": 3])
  }

  @Test func errorsNameTheNode() throws {
    var graph = try twice.trace(TensorType(.float32, [1, 2]))
    graph.parameters["0.weight"] = Parameter(try Tensor(zeros: [2, 3]))
    #expect(octetError { try graph.replay([Tensor(zeros: [1, 2])]) }?.subject == "0.linear: linear: x")
    graph.nodes.removeFirst()
    let error = octetError { try graph.replay([Tensor(zeros: [1, 2])]) }
    #expect(
      error == OctetError(.invalidGraph, "0.linear", expected: "a value that is made before it is used", found: "none"))
  }
}
