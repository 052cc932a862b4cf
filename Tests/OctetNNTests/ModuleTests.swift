import OctetCore
import OctetNN
import TestSupport
import Testing

@Suite("Modules")
struct ModuleTests {
  class Base: Module {
    let stem = Linear(2, 2)
    override func forward(_ x: Tensor) throws -> Tensor { try stem(x) }
  }

  final class Net: Base {
    let heads = [Linear(2, 1), Linear(2, 1, bias: false)]
    let body: Sequential? = Sequential(Linear(2, 2), Sequential(ReLU(), Dropout()))
    let norm = BatchNorm2d(2)
    let absent: Module? = nil
    let scale = Parameter(try! Tensor([Float(2)], shape: [1]))
    let frozen: Parameter? = Parameter(try! Tensor([Float(3)], shape: [1]), isTrainable: false)
    let number = 7
    let names: [String] = []
  }

  @Test func pathsAreThoseOfProperties() {
    #expect(
      Net().namedModules.map(\.path)
        == ["", "stem", "heads.0", "heads.1", "body", "body.0", "body.1", "body.1.0", "body.1.1", "norm"])
  }

  @Test func parametersHavePyTorchsNames() {
    let net = Net()
    #expect(
      net.namedParameters.map(\.name) == [
        "scale", "frozen", "stem.weight", "stem.bias", "heads.0.weight", "heads.0.bias", "heads.1.weight",
        "body.0.weight",
        "body.0.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var",
      ])
    #expect(net.parameters.count == 10 && net.parameters.contains { $0 === net.scale })
    #expect(Set(net.stateDict.keys) == Set(net.namedParameters.map(\.name)))
  }

  @Test func trainingReachesEveryModuleBelow() {
    let net = Net()
    #expect(net.namedModules.allSatisfy { !$0.module.isTraining }, "modules start in evaluation mode")
    net.isTraining = true
    #expect(net.namedModules.allSatisfy { $0.module.isTraining })
    net.body?.isTraining = false
    #expect(
      net.namedModules.filter { !$0.module.isTraining }.map(\.path) == [
        "body", "body.0", "body.1", "body.1.0", "body.1.1",
      ])
  }

  @Test func sequentialRunsInOrder() throws {
    let (a, b) = (Linear(2, 2), Linear(2, 3, bias: false))
    let network = Sequential(a, ReLU(), b)
    let x = try Tensor.random([4, 2], seed: 1)
    #expect(try discrepancy(network(x), b(relu(a(x))), absolute: 0, relative: 0) == nil)
    #expect(network[2] === b && network.children.map(\.name) == ["0", "1", "2"])
    #expect(try Sequential([])(x).floats == x.floats)
    #expect(Set(network.stateDict.keys) == ["0.weight", "0.bias", "2.weight"])
  }

  final class Sum: Module {
    override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
      [try inputs.compactMap { $0 }.reduce(Tensor(zeros: [1])) { try $0 + $1 }]
    }
  }

  @Test func severalInputs() throws {
    let x = try Tensor([Float(2)], shape: [1])
    #expect(try Sum()([x, nil, x])[0].floats == [4])
    #expect(try Sum()(x).floats == [2], "the form for one input reaches the form for many")
    #expect(try ReLU()([x])[0].floats == [2], "and the other way round")
    #expect(
      octetError { try ReLU()([x, x]) } == OctetError(.invalidArgument, "ReLU", expected: "one input", found: "2"))
    #expect(octetError { try ReLU()([nil]) }?.code == .invalidArgument)
  }

  final class Two: Module {
    override func forward(_ inputs: [Tensor?]) throws -> [Tensor] { [inputs[0]!, inputs[0]!] }
  }

  @Test func severalResults() throws {
    let x = try Tensor([Float(2)], shape: [1])
    #expect(octetError { try Two()(x) } == OctetError(.invalidArgument, "Two", expected: "one result", found: "2"))
    let graph = try Two().trace(TensorType(.float32, [1]))
    #expect(graph.outputs.map(\.name) == ["output_0", "output_1"], "one input, two outputs")
  }

  // MARK: - Hooks

  @Test func hooksSeeInputsAndResultsInOrder() throws {
    let network = Sequential(Linear(2, 2), ReLU())
    var calls: [String] = []
    let x = try Tensor([Float(-1), 1], shape: [1, 2])
    network[1].addForwardHook { module, inputs, results throws -> Void in
      #expect(module === network[1] && inputs.count == 1 && results.count == 1)
      #expect(try relu(inputs[0]!).floats == results[0].floats)
      calls.append("first")
    }
    let second = network[1].addForwardHook { _, _, _ in calls.append("second") }
    network.addForwardHook { _, inputs, _ throws -> Void in
      #expect(try inputs[0]!.floats == x.floats)
      calls.append("root")
    }
    _ = try network(x)
    #expect(calls == ["first", "second", "root"])
    second.remove()
    second.remove()
    _ = try network([x])
    #expect(calls == ["first", "second", "root", "first", "root"])
  }

  @Test func hooksMayRemoveThemselvesAndThrow() throws {
    let layer = ReLU()
    var handle: HookHandle?
    var calls = 0
    handle = layer.addForwardHook { _, _, _ in
      calls += 1
      handle?.remove()
    }
    let x = try Tensor(zeros: [1])
    _ = try layer(x)
    _ = try layer(x)
    #expect(calls == 1)
    layer.addForwardHook { _, _, _ in throw OctetError(.unsupported, "hook", expected: "", found: "") }
    #expect(octetError { try layer(x) }?.subject == "hook")
  }

  @Test func hooksSeeTracedTensorsWhileTracing() throws {
    let network = Sequential(Linear(2, 3))
    var types: [TensorType] = []
    network[0].addForwardHook { _, inputs, results in types += [inputs[0]!.type, results[0].type] }
    _ = try network.trace(TensorType(.float32, [.symbolic("n"), 2]))
    #expect(types == [TensorType(.float32, [.symbolic("n"), 2]), TensorType(.float32, [.symbolic("n"), 3])])
  }
}
