import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// The largest size, of a user's own.
private struct OwnObserver: Observer {
  var largest: Float = 0

  mutating func observe(_ x: Tensor) throws { largest = try x.floats.reduce(largest) { Swift.max($0, Swift.abs($1)) } }
  func calculateQParams() throws -> QuantizationParameters {
    try QuantizationParameters(scale: Swift.max(largest, 1e-3) / 127, zeroPoint: 128, dtype: .uint8)
  }
  mutating func merge(_ other: OwnObserver) { largest = Swift.max(largest, other.largest) }
  mutating func reset() { largest = 0 }
}

@Suite("States of prepareQAT") struct QATStateTests: QATSuite {
  /// What was saved goes on to the same bits.
  @Test(arguments: [FakeQuantize.Learning.observed, .learned]) func savedStatesGoOn(_ learning: FakeQuantize.Learning)
    throws
  {
    let (_, prepared) = try small(learning: learning)
    try prepared.calibrate([batch(0)])
    prepared.isTraining = true
    let optimizer = try optimizer(prepared, rate: 0.01)
    try train(prepared, optimizer, seeds: 0..<3)
    if learning == .learned { try prepared.disableObservers() } else { try prepared.freezeBatchNorm() }
    try train(prepared, optimizer, seeds: 3..<6)
    let (state, moments) = (try prepared.state, try optimizer.stateDict)
    let losses = try train(prepared, optimizer, seeds: 6..<9)

    let (_, another) = try small(learning: learning)
    try another.load(state)
    another.isTraining = true
    let second = try self.optimizer(another, rate: 0.01)
    try second.load(moments)
    #expect(try train(another, second, seeds: 6..<9) == losses)
    let (a, b) = (try prepared.state, try another.state)
    #expect(Set(a.keys) == Set(b.keys))
    for (name, value) in a { #expect(try discrepancy(b[name]!, value, absolute: 0, relative: 0) == nil, "\(name)") }
  }

  /// Observers of a user's own are saved and loaded like others.
  @Test func statesOfOwnObserversGoOn() throws {
    let config = QConfig(activation: OwnObserver(), weight: QConfig.defaultQAT(for: .octet).weight)
    let net = SmallNet()
    try net.initialize(seed: 3)
    let graph = try net.trace(TensorType(.float32, [.symbolic("n"), 1, 6, 6]))
    let prepared = try graph.prepareQAT(QConfigMap(config))
    try prepared.calibrate([batch(0)])
    let another = try graph.prepareQAT(QConfigMap(config))
    try another.load(prepared.state)
    #expect(try another(batch(1)).floats == prepared(batch(1)).floats)
    // What has no finite element is nothing that was seen.
    let empty = try graph.prepareQAT(QConfigMap(config))
    try empty.calibrate([Tensor(zeros: [0, 1, 6, 6])])
    #expect(octetError { try empty.convert() }?.code == .notObserved)
  }

  @Test func damagedStatesAreErrors() throws {
    let (net, prepared) = try small()
    try prepared.calibrate([batch(0)])
    let state = try prepared.state
    let weights = try net.fc1.weight.value.floats
    func error(_ change: (inout [String: Tensor]) throws -> Void) throws -> OctetError? {
      var damaged = state
      try change(&damaged)
      return octetError { try prepared.load(damaged) }
    }
    #expect(try error { $0["conv1.weight"] = nil }?.code == .unknownName)
    #expect(try error { $0["more"] = try Tensor(Float(1)) }?.code == .unknownName)
    #expect(try error { $0["conv1.weight"] = try Tensor(Float(1)) }?.code == .shapeMismatch)
    #expect(
      try error { $0["fake_quantize"] = try Tensor([UInt8](repeating: 65, count: 9), shape: [9]) }?.code == .invalidFile
    )
    #expect(try error { $0["fake_quantize"] = try Tensor(Float(1)) }?.code == .dtypeMismatch)
    let text = String(decoding: try state["fake_quantize"]!.scalars(as: UInt8.self), as: UTF8.self)
    func replaced(_ old: String, _ new: String) throws -> Tensor {
      let bytes = Array(text.replacing(old, with: new).utf8)
      return try Tensor(bytes, shape: [bytes.count])
    }
    #expect(text.contains("\"frozen\":[]"))
    #expect(
      try error { $0["fake_quantize"] = try replaced("\"frozen\":[]", "\"frozen\":[\"a\"]") }?.code == .invalidArgument)
    #expect(try error { $0["fake_quantize"] = try replaced("MovingAverageMinMaxObserver", "MinMaxObserver") } != nil)
    #expect(try net.fc1.weight.value.floats == weights)
    try prepared.load(state)
  }
}
