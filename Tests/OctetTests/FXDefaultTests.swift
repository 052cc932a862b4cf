import Foundation
import Octet
import TestSupport
import Testing

/// The default QConfig of each backend from end to end, next to what PyTorch's FX mode makes of the same network with the
/// same calibration batches: its quantized reference model, and its kernels where they cannot saturate on any CPU.
@Suite struct FXDefaultTests {
  struct Comparison: Sendable, CustomStringConvertible {
    let network: ComparedNetwork
    let backend: Backend
    let vector: VectorCase
    var description: String { "\(network.name), \(backend.rawValue)" }
  }

  /// `octet` has the observers of `onednn`, and so is held against its figures.
  static let comparisons: [Comparison] = try! {
    let vectors = try VectorCase.load("fx_defaults")
    return try [ComparedNetwork.fashion(), .digits(), .observerCNN()].flatMap { network in
      Backend.allCases.compactMap { backend in
        let name = "\(network.name)_\(backend == .octet ? "onednn" : backend.rawValue)"
        return vectors.first { $0.name == name }.map { Comparison(network: network, backend: backend, vector: $0) }
      }
    }
  }()

  @Test func allBackendsOnAllNetworks() {
    #expect(Self.comparisons.count == 3 * Backend.allCases.count)
    #expect("\(QConfig.default(for: .onednn))" == "\(QConfig.default(for: .octet))")
  }

  @Test(arguments: comparisons)
  func isAsGoodAsPyTorch(_ comparison: Comparison) throws {
    let (network, vector) = (comparison.network, comparison.vector)
    let prepared = try network.graph.prepare(QConfigMap(.default(for: comparison.backend)))
    try prepared.calibrate(network.batches)
    let bins = try compareSites(prepared, comparison)
    let (converted, report) = try prepared.convert()
    #expect(report.kept.isEmpty && report.boundaries.count == 2, "\(report)")
    try compareWeights(converted, comparison)

    let expected = try Session(Plan(network.graph))(network.images).floats
    let found = Figures(try Session(Plan(converted))(network.images).floats, expected, network.labels)
    #expect(try Figures(expected, expected, network.labels).correct == Figures(vector, "float")?.correct)
    // Without labels the parameters are random, and the classes lie so close together that many integers are tied.
    let tolerance = network.labels == nil ? 5 : 1
    var line = "\(comparison): ranges within \(String(format: "%.2f", bins)) bins of PyTorch's; Octet \(found)"
    for way in ["reference", "kernels"] {
      guard let theirs = try Figures(vector, way) else {
        #expect(way == "kernels", "\(comparison): no figures of PyTorch's reference")
        continue
      }
      line += "; PyTorch's \(way) \(theirs)"
      #expect(found.agree >= theirs.agree - tolerance, "\(comparison): \(found), PyTorch's \(way) \(theirs)")
      #expect(found.correct ?? 0 >= (theirs.correct ?? 0) - 1, "\(comparison): \(found), PyTorch's \(way) \(theirs)")
      #expect(found.sqnr >= theirs.sqnr - 0.1, "\(comparison): \(found), PyTorch's \(way) \(theirs)")
    }
    print(line)
  }

  /// Ranges end within one bin of PyTorch's histogram, the step of its search; zero points within one.
  ///
  /// - Returns: how far the most different range is from theirs, in bins.
  private func compareSites(_ prepared: PreparedGraph, _ comparison: Comparison) throws -> Double {
    guard case .object(let sites)? = comparison.vector.attributes["sites"] else {
      Issue.record("no sites")
      return .infinity
    }
    var worst = 0.0
    #expect(sites.count == comparison.network.siteCount)
    for (name, theirs) in sites {
      let site = try #require(prepared.sites[comparison.network.name(ofValue: name)], "\(name)")
      let found = try site.observer.calculateQParams()
      let scale = try #require(theirs["scale"]?.number)
      let zero = try #require(theirs["zero_point"]?.number)
      let (width, steps) = (try #require(theirs["bin_width"]?.number), try #require(theirs["steps"]?.number))
      #expect(Double(found.range.count - 1) == steps)
      let bins = abs(Double(found.scales[0]) - scale) * steps / width
      worst = max(worst, bins)
      #expect(bins <= 1.01, "\(name): \(found.scales[0]) instead of \(scale)")
      #expect(abs(Double(found.zeroPoints[0]) - zero) <= 1, "\(name): \(found.zeroPoints[0]) instead of \(zero)")
    }
    return worst
  }

  private func compareWeights(_ graph: Graph, _ comparison: Comparison) throws {
    let weights = comparison.vector.tensors(below: "weights/")
    let found = graph.nodes.compactMap { node -> (name: String, scales: [Float])? in
      guard case .dequantizeLinear(let payload) = node.op, payload.parameters.dtype == .int8 else { return nil }
      return (node.name, payload.parameters.scales)
    }
    #expect(found.count == weights.count)
    for (layer, scales) in weights {
      let expected = try scales.floats
      let match = found.first { $0.name.hasPrefix("\(layer).") }
      let ours = try #require(match, "\(layer) of \(found.map(\.name))").scales
      // Batch normalization is folded in another order of operations.
      let isClose = ours.count == expected.count && zip(ours, expected).allSatisfy { abs($0 - $1) <= 1e-5 * $1 }
      #expect(isClose, "\(layer): \(ours.prefix(4)) instead of \(expected.prefix(4))")
    }
  }
}

/// How good a quantized network is.
private struct Figures: CustomStringConvertible {
  /// Of how many images the class is right; `nil`: there are no labels.
  let correct: Int?
  /// Of how many images the class is that of the float network.
  let agree: Int
  /// 10 · log₁₀(Σ float² / Σ (float − quantized)²) of the logits.
  let sqnr: Double

  init(_ logits: [Float], _ float: [Float], _ labels: [Int]?) {
    func classes(_ logits: [Float]) -> [Int] {
      stride(from: 0, to: logits.count, by: 10).map { start in (0..<10).max { logits[start + $0] < logits[start + $1] }!
      }
    }
    let found = classes(logits)
    correct = labels.map { zip(found, $0).count { $0 == $1 } }
    agree = zip(found, classes(float)).count { $0 == $1 }
    let signal = float.reduce(0) { $0 + Double($1) * Double($1) }
    let noise = zip(float, logits).reduce(0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
    sqnr = 10 * log10(signal / noise)
  }

  init?(_ vector: VectorCase, _ way: String) throws {
    guard let figures = vector.attributes[way] else { return nil }
    correct = figures["correct"]?.number.map { Int($0) }
    agree = Int(try #require(figures["agree"]?.number))
    sqnr = figures["sqnr"]?.number ?? .infinity
  }

  var description: String {
    (correct.map { "\($0) right, " } ?? "") + "\(agree) agree, \(String(format: "%.2f", sqnr)) dB"
  }
}
