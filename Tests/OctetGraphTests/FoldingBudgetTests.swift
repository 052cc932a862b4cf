import OctetCore
import OctetGraph
import Testing

/// What is computed ahead has bounds: of one result, of all together, and of the work.
@Suite struct FoldingBudgetTests {
  private let square = TensorType(.float32, fixed: [1 << 10, 1 << 10])

  /// How often in a row there is room for an operation, up to 100 times.
  private func count(
    _ budget: inout FoldingBudget, _ op: Op, _ operands: [TensorType], _ result: TensorType
  ) -> Int {
    var count = 0
    while count < 100, budget.allows(op, operands, [result]) { count += 1 }
    return count
  }

  @Test func oneResult() {
    var budget = FoldingBudget()
    budget.add(weights: 1 << 40)
    for (size, isAllowed) in [(Dimension.fixed(1 << 26), true), (.fixed(1 << 26 + 1), false), (.symbolic("n"), false)] {
      let type = TensorType(.float32, [size])
      let found = budget.allows(.unary(.neg), [type], [type])
      #expect(found == isAllowed, "\(size)")
    }
  }

  /// 512 MB, and four times what the weights have.
  @Test func allResults() {
    let type = TensorType(.float32, fixed: [1 << 24])
    var budget = FoldingBudget()
    let first = count(&budget, .unary(.neg), [type], type)
    budget.add(weights: 1 << 25)
    let second = count(&budget, .unary(.neg), [type], type)
    #expect(first == 8 && second == 2)
  }

  /// 2³⁵ products: of matrices, and of convolutions and linear layers by the size of a window.
  @Test func allProducts() {
    let (image, kernel) = (TensorType(.float32, fixed: [1, 8, 512, 512]), TensorType(.float32, fixed: [8, 8, 8, 8]))
    let cases: [(op: Op, operands: [TensorType], result: TensorType)] = [
      (.matmul(Op.MatMul()), [square, square], square), (.linear(Op.Linear()), [square, square], square),
      (.conv(Op.Convolution()), [image, kernel], image),
    ]
    for (op, operands, result) in cases {
      var budget = FoldingBudget()
      let found = count(&budget, op, operands, result)
      #expect(found == 32, "\(op.kind)")
    }
  }
}
