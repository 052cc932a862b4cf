import OctetCore
import TestSupport
import Testing

/// `quantize` and `dequantize` against ONNX's QuantizeLinear and DequantizeLinear, and against torch.
@Suite struct QuantizeVectorTests {
  static let cases = try! VectorCase.load("quantize")

  @Test(arguments: cases)
  func sameAsONNX(_ vector: VectorCase) throws {
    let axis = try vector.attributes["axis"] == .null ? nil : vector.int("axis")
    let dtype = DType(rawValue: try vector.string("dtype"))!
    let parameters = try QuantizationParameters(
      scales: vector.tensor("scale").floats,
      zeroPoints: vector.tensor("zero_point").scalars(as: Int32.self).map(Int.init),
      dtype: dtype, range: vector.int("quant_min")...vector.int("quant_max"), axis: axis)
    let q = try quantize(vector.tensor("x"), parameters)
    #expect(try discrepancy(q, vector.tensor("q")) == nil)
    #expect(try discrepancy(dequantize(q, parameters), vector.tensor("dequantized"), absolute: 0, relative: 0) == nil)
    #expect(
      try discrepancy(quantize(vector.tensor("dequantized"), parameters), q) == nil, "quantizing twice changes nothing")

    // torch multiplies by the reciprocal: one step at ties.
    let (ours, torch) = (Self.integers(q), Self.integers(try vector.tensor("torch_q")))
    let steps = zip(ours, torch).map { abs($0 - $1) }
    #expect(steps.max()! <= 1)
    #expect(try steps.count { $0 != 0 } == vector.int("differing_from_torch"))
  }

  private static func integers(_ tensor: Tensor) -> [Int] {
    tensor.withUnsafeBytes { bytes in
      (0..<tensor.shape.reduce(1, *)).map { loadInteger(at: $0, tensor.dtype, from: bytes) }
    }
  }
}
