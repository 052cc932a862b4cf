import OctetCore
import TestSupport
import Testing

@Suite("Operations against PyTorch")
struct OperationVectorTests {
  @Test("every vector", arguments: OperationVectors.cases)
  func vector(_ test: VectorCase) throws {
    guard let actual = try OperationVectors.compute(test) else {
      Issue.record("no test knows the operation of \(test.name)")
      return
    }
    #expect(try discrepancy(actual, test.tensor("y"), absolute: 1e-6, relative: 1e-5) == nil)
  }

  @Test func theFileHoldsTheCasesThatTestsCount() throws {
    let counts = Dictionary(grouping: try VectorCase.load("operations")) { (try? $0.string("op")) ?? "?" }.mapValues(
      \.count)
    #expect(
      counts == [
        "conv2d": 18, "linear": 3, "matmul": 6, "add": 5, "sub": 5, "mul": 5, "div": 5, "batch_norm": 5, "relu": 1,
        "relu6": 1, "softmax": 5, "concat": 4, "max_pool2d": 9, "avg_pool2d": 12, "adaptive_avg_pool2d": 4,
        "reshape": 3, "flatten": 4, "permute": 3, "mean": 10, "pad": 5, "abs": 1, "argmax": 2, "argmin": 2,
        "attention": 3, "avg_pool1d": 3, "cast": 3, "conv1d": 4, "conv_transpose": 9, "cos": 1, "elu": 1, "eq": 2,
        "erf": 1, "exp": 1, "expand": 2, "floor": 1, "gather": 2, "ge": 2, "gelu": 1, "gelu_tanh": 1, "group_norm": 3,
        "gt": 2, "hardsigmoid": 1, "hardswish": 1, "instance_norm": 2, "layer_norm": 3, "le": 2, "leaky_relu": 1,
        "log": 1, "log_softmax": 2, "lt": 2, "max_pool1d": 3, "maximum": 5, "minimum": 5, "neg": 1, "pow": 5,
        "prelu": 3, "reciprocal": 1, "reduce": 26, "resize": 14, "sigmoid": 1, "silu": 1, "sin": 1, "slice": 6,
        "softplus": 1, "split": 5, "sqrt": 1, "squeeze": 2, "tanh": 1, "topk_indices": 3, "topk_values": 3,
        "unsqueeze": 2, "where": 3,
      ])
    #expect(OperationVectors.cases.count == 268)
  }
}
