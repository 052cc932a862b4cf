import Octet

/// The float model and quantized ones on the same data.
struct Comparison {
  /// How near one output is.
  struct Output: Encodable {
    let name: String
    /// `inf` if nothing differs.
    let sqnr_db: Double
    let argmax_agreement: Double?
    /// Noise divided by signal, powers.
    let noise_ratio: Double
  }

  /// How near a quantized model is.
  struct Result {
    let outputs: [Output]
    /// Of each run, `Σ (value − reference)² / Σ reference²`, the divisor being that of all runs, over all outputs.
    let noiseOfRuns: [Double]
    let samples: Int
  }

  let float: Graph
  private let session: Session
  private let path: String
  private let batch: Int
  private let threads: Int?

  /// - Parameter float: fused.
  init(_ float: Graph, on path: String, batch: Int, threads: Int?) throws {
    self.float = float
    (self.path, self.batch, self.threads) = (path, batch, threads)
    session = Session(try Plan(float), threads: threads)
  }

  func samples() throws -> Samples { try Samples(path, for: float, batch: batch) }

  /// Runs both models on all samples.
  func result(of quantized: Graph) throws -> Result {
    let other = Session(try Plan(quantized), threads: threads)
    let samples = try samples()
    let names = float.outputs.map(\.name)
    var differences = [Difference](repeating: Difference(), count: names.count)
    var noise: [[Double]] = []
    let progress = Progress("compare", total: samples.runCount)
    defer { progress.finish() }
    while let run = try samples.next() {
      let (expected, found) = (try session.run(run.inputs), try other.run(run.inputs))
      let before = differences.map(\.noise)
      for (index, name) in names.enumerated() { try differences[index].add(found[name]!, reference: expected[name]!) }
      noise.append(zip(differences, before).map { $0.noise - $1 })
      progress.show(noise.count)
    }
    let outputs = zip(names, differences).map {
      Output(name: $0, sqnr_db: $1.sqnr, argmax_agreement: $1.agreement, noise_ratio: $1.noiseRatio)
    }
    let weights = differences.map { $0.noise > 0 ? $0.noiseRatio / $0.noise : 0 }
    return Result(
      outputs: outputs, noiseOfRuns: noise.map { zip($0, weights).reduce(0) { $0 + $1.0 * $1.1 } },
      samples: samples.sampleCount)
  }

  /// Milliseconds of a run, as `octet run` does it: medians, one after the other.
  func milliseconds(of quantized: Graph) throws -> (float: Double, quantized: Double) {
    guard let run = try samples().next() else { return (0, 0) }
    func median(_ graph: Graph) throws -> Double {
      let session = Session(try Plan(graph.fused()), threads: threads)
      return measure { _ = try? session.run(run.inputs) }.median * 1e3
    }
    return (try median(float), try median(quantized))
  }
}
