import OctetCore
import TestSupport
import Testing

/// Tensors without elements and sums without terms.
@Suite("Empty tensors")
struct EmptyTensorTests {
  @Test func anEmptyBatchPassesThroughEveryOperation() throws {
    let image = try Tensor(zeros: [0, 4, 6, 6])
    let weight = try Tensor.random([2, 4, 3, 3], seed: 1)
    #expect(try conv2d(image, weight: weight).shape == [0, 2, 4, 4])
    #expect(try linear(Tensor(zeros: [0, 4]), weight: Tensor(zeros: [3, 4])).shape == [0, 3])
    #expect(try matmul(Tensor(zeros: [0, 2, 4]), Tensor(zeros: [4, 3])).shape == [0, 2, 3])
    #expect(try maxPool2d(image, kernelSize: 2).shape == [0, 4, 3, 3])
    #expect(try averagePool2d(image, kernelSize: 2).shape == [0, 4, 3, 3])
    #expect(try adaptiveAveragePool2d(image, outputSize: 1).shape == [0, 4, 1, 1])
    #expect(try softmax(image, axis: 1).shape == image.shape)
    #expect(try concat([image, image], axis: 1).shape == [0, 8, 6, 6])
    #expect(try image.flatten(from: 1).shape == [0, 144])
    #expect(try image.transpose([1, 0, 2, 3]).shape == [4, 0, 6, 6])
    #expect(try image.mean([2, 3]).shape == [0, 4])
    #expect(try pad(image, before: [0, 0, 1, 1], after: [0, 0, 0, 0]).shape == [0, 4, 7, 7])
    #expect(try (image + Tensor(zeros: [1])).shape == image.shape)
    let parameters = try QuantizationParameters(scales: [1, 1, 1, 1], zeroPoints: [0, 0, 0, 0], dtype: .int8, axis: 1)
    #expect(try dequantize(quantize(image, parameters), parameters).shape == image.shape)
    let statistics = try Tensor(zeros: [4])
    let normalized = try apply(
      .batchNormalization(.init()), [image, statistics, statistics, statistics, statistics])
    #expect(normalized[0].shape == image.shape)
  }

  @Test func aSumOfNothingIsZero() throws {
    #expect(
      try linear(Tensor(zeros: [2, 0]), weight: Tensor(zeros: [3, 0])).floats == [Float](repeating: 0, count: 6))
    #expect(try matmul(Tensor(zeros: [2, 0]), Tensor(zeros: [0, 2])).floats == [0, 0, 0, 0])
    #expect(try Tensor(zeros: [0, 2]).sum([0]).floats == [0, 0])
    #expect(try Tensor(zeros: [0, 2]).mean([0]).floats.allSatisfy(\.isNaN))
    let noChannels = try conv2d(
      Tensor(zeros: [1, 0, 4, 4]), weight: Tensor(zeros: [2, 0, 3, 3]), bias: Tensor([Float(1), 2], shape: [2]))
    #expect(try noChannels.floats == [1, 1, 1, 1, 2, 2, 2, 2])
  }

  @Test func partsOfAnEmptyShapeDoNotOverflow() throws {
    #expect(octetError { try Tensor(zeros: [0, 1 << 40, 1 << 40]) }?.code == .shapeMismatch)
    #expect(octetError { try Tensor(zeros: [1 << 40, 1 << 40, 0]) }?.code == .shapeMismatch)
    // Loops go over nothing too.
    #expect(octetError { try Tensor(zeros: [0, 1 << 40]) }?.code == .shapeMismatch)
    #expect(try Tensor(zeros: [0, 1 << 20]).flatten(from: 1).shape == [0, 1 << 20])
  }
}
