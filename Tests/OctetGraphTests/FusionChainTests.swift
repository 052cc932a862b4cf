import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite("Fusing chosen chains")
struct FusionChainTests {
  let image = TensorType(.float32, [.symbolic("n"), 1, 8, 8])

  private func error(_ graph: Graph, _ chains: [[String]]) -> OctetError? { octetError { try graph.fused(chains) } }

  @Test func onlyTheChosenChainsAreFused() throws {
    let graph = try FashionCNN().trace(image)
    let fused = try graph.fused([["f.0", "f.1", "f.2"], ["l1", "relu"]])
    #expect(
      fused.nodes.map(\.name) == [
        "f.0.conv", "f.3.conv", "f.4.batchNormalization", "f.5.relu", "f.6.maxPool", "f.7.conv",
        "f.8.batchNormalization",
        "f.9.relu", "f.10.maxPool", "flatten", "l1.linear", "l2.linear",
      ])
    #expect(fused.nodes[0].op.activation == .relu && fused.node("l1.linear")?.op.activation == .relu)
    #expect(fused.node("f.3.conv")?.op.activation == nil)
    let x = try Tensor.random([2, 1, 8, 8], seed: 1)
    #expect(try discrepancy(fused.replay([x])[0], graph.replay([x])[0]) == nil)
  }

  @Test func nodesCanBeChosenByTheirOwnNames() throws {
    let graph = try FashionCNN().trace(image)
    let fused = try graph.fused([["f.0.conv", "f.1.batchNormalization"]])
    #expect(fused.nodes.prefix(2).map(\.name) == ["f.0.conv", "f.2.relu"])
    #expect(try graph.fused([]).nodes.count == graph.nodes.count)
  }

  @Test func residualsCanBeChosen() throws {
    let graph = try ResidualBlock(1, 2, stride: 1).trace(image)
    let fused = try graph.fused([["conv2", "bn2", "add", "relu_1"]])
    #expect(
      fused.nodes.map(\.name) == [
        "conv1.conv", "bn1.batchNormalization", "relu", "downsample.0.conv", "downsample.1.batchNormalization",
        "conv2.conv",
      ])
    let x = try Tensor.random([2, 1, 8, 8], seed: 1)
    #expect(try discrepancy(fused.replay([x])[0], graph.replay([x])[0]) == nil)
  }

  @Test func unknownNamesListNearOnes() throws {
    let graph = try FashionCNN().trace(image)
    let error = error(graph, [["f.0", "f.11"]])
    #expect(error?.code == .unknownName && error?.found == "f.11")
    #expect(error?.expected.hasPrefix("a module or node such as f.1, f.10, ") == true, "\(error?.expected ?? "")")
    #expect(error?.expected.hasSuffix("(15 in all)") == true, "\(error?.expected ?? "")")
  }

  @Test func chainsThatCannotFuseSayWhy() throws {
    let graph = try FashionCNN().trace(image)
    func reason(_ chain: String...) -> String? {
      let error = error(graph, [chain])
      #expect(error?.code == .unsupported && error?.subject == "fused(\(chain.joined(separator: ", ")))")
      return error?.found
    }
    #expect(reason("f.2", "f.3") == "f.2.relu is relu, neither a convolution nor a linear layer")
    #expect(reason("f.0", "f.2") == "f.2.relu does not use the result of f.0.conv")
    #expect(reason("f.0", "f.0") == "f.0.conv does not use the result of f.0.conv")
    #expect(reason("f.7", "f.8", "f.9", "f.10") == "conv and maxPool have no fused form")
    #expect(error(graph, [["f.0"]])?.code == .invalidArgument)
    #expect(error(graph, [[]])?.code == .invalidArgument)
  }

  @Test func aValueUsedElsewhereSaysSo() throws {
    let graph = try Lambda([Linear(2, 2)]) { layers, x in
      let y = try layers[0](x[0])
      return [try relu(y), y]
    }.trace(TensorType(.float32, [1, 2]))
    #expect(error(graph, [["0", "relu"]])?.found == "the result of 0.linear is used elsewhere too")
  }

  @Test func anActivationInBetweenSaysSo() throws {
    let graph = try Sequential(
      Conv2d(1, 2, kernelSize: 1), ReLU(), BatchNorm2d(2), ReLU(), Conv2d(2, 2, kernelSize: 1), ReLU(), ReLU()
    ).trace(image)
    #expect(
      error(graph, [["0", "1", "2"]])?.found
        == "0.conv is followed by an activation or addition before 2.batchNormalization")
    #expect(error(graph, [["4", "5", "6"]])?.found == "4.conv has an activation already")
  }
}
