import OctetCore
import OctetGraph

// Calibration is a replay of one batch after another, with a tap that looks at the values; no batch is kept.
extension Graph {
  /// - Throws: `OctetError`: `notObserved` if there is no batch; whatever a replay or the tap throws.
  func calibrate(_ batches: some Sequence<Tensor>, tap: @escaping Tap) throws {
    try calibrate(batches, inputs: { [$0] }, tap)
  }

  /// The same for graphs with several inputs: batches by the name of the input.
  ///
  /// - Throws: also `unknownName` if a batch lacks an input or has one too many.
  func calibrate(_ batches: some Sequence<[String: Tensor]>, tap: @escaping Tap) throws {
    let names = inputs.map(\.name)
    let inputs = inputs
    try calibrate(
      batches,
      inputs: { batch in
        if let surplus = batch.keys.sorted().first(where: { !names.contains($0) }) {
          throw OctetError(
            .unknownName, "calibration", expected: "one of the inputs \(names.joined(separator: ", "))", found: surplus)
        }
        return try inputs.map { input in
          guard let tensor = batch[input.name] else {
            throw OctetError(
              .unknownName, "calibration", expected: "an input named \(input.name)",
              found: batch.keys.sorted().joined(separator: ", "))
          }
          return tensor
        }
      }, tap)
  }

  private func calibrate<Batch>(
    _ batches: some Sequence<Batch>, inputs: (Batch) throws -> [Tensor], _ tap: @escaping Tap
  ) throws {
    var isEmpty = true
    for batch in batches {
      isEmpty = false
      _ = try replay(inputs(batch), tap: tap)
    }
    guard !isEmpty else {
      throw OctetError(.notObserved, "calibration", expected: "at least one batch", found: "none")
    }
  }
}
