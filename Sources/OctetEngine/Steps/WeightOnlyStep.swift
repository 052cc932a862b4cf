import CKernels
import OctetCore

/// A linear layer on float activations whose weights stay as they were quantized. Each row of activations is quantized on
/// its way, in groups of 32.
struct WeightOnlyStep: SingleCallStep {
  let name: String
  let inputs: [Int]
  let output: Int
  let weights: WeightOnlyWeights
  let activation: Activation?

  var label: String { "linear by \(weights.dtype.rawValue)" + (activation.map { " + \($0)" } ?? "") }

  private func rows(_ shapes: Shapes) -> Int { elementCount(of: Array(shapes.shape(inputs[0]).dropLast())) }

  func scratchSize(_ shapes: Shapes) throws -> Int {
    var shape = weights.shape
    return octet_weights_scratch_size(InstructionSet.current.weights, &shape, rows(shapes))
  }

  func call(_ memory: Memory) throws -> Call {
    let (from, to) = (inputs[0], output)
    let family = InstructionSet.current.weights
    let (rows, threads) = (rows(memory.shapes), memory.shapes.threads)
    let range = activation?.range ?? -.infinity...(.infinity)
    let weights = self.weights
    var shape = weights.shape
    return Call(items: octet_weights_tasks(family, &shape, rows, threads)) { item, worker in
      var shape = weights.shape
      weights.withBias { bias in
        octet_weights_run(
          family, &shape, rows, memory.floats(from), weights.packed.base, bias, range.lowerBound, range.upperBound,
          memory.floats(to), threads, item, item + 1, memory.scratch(worker))
      }
    }
  }
}
