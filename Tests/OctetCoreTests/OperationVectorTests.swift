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
        "reshape": 3, "flatten": 4, "permute": 3, "mean": 10, "pad": 5,
      ])
    #expect(OperationVectors.cases.count == 113)
  }
}
