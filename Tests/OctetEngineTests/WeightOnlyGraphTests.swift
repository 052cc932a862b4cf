import Foundation
import OctetCore
import OctetEngine
import OctetFormats
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// Graphs with integer weights and float activations, in files and in plans.
@Suite struct WeightOnlyGraphTests {
  private func mlp(_ width: Int, _ hidden: Int) throws -> Graph {
    let module = Sequential(Linear(width, hidden), ReLU(), Linear(hidden, width))
    try module.initialize(seed: 5)
    return try module.trace(TensorType(.float32, [.symbolic("n"), .fixed(width)]))
  }

  private func integers(_ graph: Graph) -> [String: [UInt8]] {
    graph.parameters.mapValues { $0.value.withUnsafeBytes { Array($0) } }
  }

  @Test(arguments: [
    (WeightQuantization.int4, 0.16), (WeightQuantization(dtype: .uint4, groupSize: 128, scheme: .affine), 0.16),
    (.int8, 0.27), (WeightQuantization(dtype: .int4, groupSize: 32), 0.26),
  ])
  func filesKeepTheBitsAndAreSmall(_ quantization: WeightQuantization, _ ratio: Double) throws {
    let graph = try mlp(384, 1536)
    let quantized = try graph.quantizeWeights(quantization).graph
    try inTemporaryFile { path in
      func size(of graph: Graph) throws -> Double {
        try graph.save(to: path)
        return Double(try Data(contentsOf: URL(filePath: path)).count)
      }
      let found = try size(of: quantized) / size(of: graph)
      #expect(found <= ratio, "\(found)")
      try quantized.save(to: path)
      let loaded = try Graph(contentsOf: path)
      #expect("\(loaded)" == "\(quantized)")
      #expect(integers(loaded) == integers(quantized))
      let weight = loaded.parameters["0.weight.quantized"]!.value
      #expect(weight.dtype == quantization.dtype && weight.shape == [1536, 384])
      for (a, b) in zip(loaded.nodes, quantized.nodes) {
        if case .dequantizeLinear(let x) = a.op, case .dequantizeLinear(let y) = b.op {
          #expect(x.parameters == y.parameters)
        }
      }
      let x = try Tensor.random([2, 384], seed: 1)
      #expect(try discrepancy(loaded.replay([x])[0], quantized.replay([x])[0], absolute: 0, relative: 0) == nil)
    }
  }

  /// An odd number of inputs: rows of 4-bit weights begin within a byte.
  @Test(arguments: [
    WeightQuantization.int4, .int8, WeightQuantization(dtype: .uint4, groupSize: 32, scheme: .affine),
    WeightQuantization(dtype: .int4),
  ])
  func plansComputeWhatTheGraphMeans(_ quantization: WeightQuantization) throws {
    let graph = try mlp(71, 43)
    let prepared = try graph.prepareGPTQ(quantization)
    try prepared.calibrate((0..<4).map { try Tensor.random([50, 71], seed: $0) })
    let (quantized, _) = try prepared.convert()
    let x = try Tensor.random([5, 71], seed: 9)
    let result = try Session(Plan(quantized), threads: 1)(x)
    // The kernels quantize activations in groups of 32: two layers of steps of 1/254.
    #expect(try discrepancy(result, quantized.replay([x])[0], absolute: 0.02) == nil)
    try inTemporaryFile { path in
      try quantized.save(to: path)
      let loaded = try Graph(contentsOf: path)
      #expect(integers(loaded) == integers(quantized))
      #expect(try discrepancy(Session(Plan(loaded), threads: 1)(x), result, absolute: 0, relative: 0) == nil)
    }
  }
}
