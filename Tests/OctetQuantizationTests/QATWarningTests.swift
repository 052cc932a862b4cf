import Foundation
import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

@Suite("Warnings of prepareQAT") struct QATWarningTests: QATSuite {
  /// The article has every fault by name and in the words that people get to see, and the errors beside them.
  @Test func theArticleSaysWhatIsSaid() throws {
    let article = try String(
      contentsOfFile: "\(packageRoot)/Docs/Octet.docc/QuantizationAwareTraining.md", encoding: .utf8)
    let section = try #require(article.components(separatedBy: "## When it does not converge").last)
    for fault in TrainingWarning.Fault.allCases {
      #expect(section.contains("| `\(fault.rawValue)`"))
      let isOfOne = fault != .notInTrainingMode
      let warning = TrainingWarning(fault: fault, subject: isOfOne ? "relu1" : nil, figure: isOfOne ? 0.071 : nil)
      #expect(section.contains("\n    \(warning)\n"), "\(warning)")
    }
    // A NaN in training is an error that names the value, or the weight.
    for name in ["x", "fc1.weight"] {
      let (net, prepared) = try small()
      try prepared.calibrate([batch(0)])
      prepared.isTraining = true
      var x = try batch(1)
      if name == "x" {
        x = try Tensor([.nan] + x.floats.dropFirst(), shape: x.shape)
      } else {
        net.fc1.weight.value = try Tensor(repeating: Float.nan, shape: [3, 16])
      }
      let error = try #require(octetError { try prepared(x) })
      #expect(error.code == .notANumber && error.subject.contains(name.prefix(3)), "\(error)")
      #expect(section.contains("`\(error.code)`"))
    }
    #expect(section.contains("`\(OctetError.Code.notObserved)`"))
  }

  @Test func warningsNameTheFault() throws {
    func faults(_ prepare: (PreparedGraph) throws -> Void) throws -> [TrainingWarning] {
      let (net, prepared) = try small()
      // (Statistics that have yet to settle make weights grow faster than their averages.)
      net.isTraining = true
      for seed in UInt64(100)..<140 { _ = try net(batch(seed)) }
      net.isTraining = false
      try prepare(prepared)
      return prepared.warnings()
    }
    let healthy = try faults { prepared in
      prepared.isTraining = true
      try train(prepared, optimizer(prepared, rate: 0.001), seeds: 0..<15)
      try prepared.disableObservers()
    }
    #expect(healthy.isEmpty, "\(healthy)")

    let evaluating = try faults { prepared in
      try prepared.calibrate([batch(0)])
      try train(prepared, optimizer(prepared), seeds: 0..<1)
    }
    #expect(evaluating.contains { $0.fault == .notInTrainingMode && $0.subject == nil })

    let wild = try faults { prepared in
      prepared.isTraining = true
      try train(prepared, optimizer(prepared, rate: 0.01), seeds: 0..<13)
      try train(prepared, optimizer(prepared, rate: 3000), seeds: 13..<15)
      try prepared.disableObservers()
    }
    #expect(wild.contains { $0.fault == .scaleJumps && $0.subject == "fc1.linear" }, "\(wild)")
    #expect(wild.contains { $0.fault == .frozenTooSoon && $0.subject == "fc1.linear" })

    let narrow = try faults { prepared in
      prepared.isTraining = true
      _ = try prepared(batch(0))
      try train(prepared, optimizer(prepared, rate: 0), seeds: 0..<1)
      try prepared.disableObservers()
      try prepared.freezeBatchNorm()
      try prepared.enableFakeQuantize(false, for: "x")
      // Inputs ten times as large as those that were seen.
      _ = try valueAndGradients(of: prepared.trainableParameters) {
        try crossEntropy(prepared(batch(0) * Tensor(Float(10))), Tensor([Int64](repeating: 0, count: 8), shape: [8]))
      }
    }
    let clipped = try #require(narrow.first { $0.fault == .clipsTooMuch && $0.subject == "relu" }, "\(narrow)")
    #expect(clipped.figure! > 0.05)
    #expect("\(clipped)".contains("% of its values are clipped"))
    #expect(
      Set(TrainingWarning.Fault.allCases.map { "\(TrainingWarning(fault: $0, subject: "a", figure: 0.5))" }).count == 4)
  }
}
