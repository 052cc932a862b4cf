import Foundation
import OctetCore
import OctetGraph
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// Calibrations that are saved, merged and gone on from.
@Suite struct CalibrationStateTests {
  static let averaging = QConfigMap(
    QConfig(activation: MovingAverageMinMaxObserver(averagingConstant: 0.1), weight: QConfig.minMax.weight))

  private func prepared(_ map: QConfigMap, _ name: String = "plain CNN") throws -> PreparedGraph {
    try Network.named(name).graph().prepare(map)
  }

  private func encodedState(_ calibration: Calibration) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return String(decoding: try encoder.encode(calibration), as: UTF8.self)
  }

  @Test(arguments: [QConfigMap(.default), QConfigMap(.minMax), averaging].indices)
  func savedAndGoneOnFrom(_ index: Int) throws {
    let map = [QConfigMap(.default), QConfigMap(.minMax), Self.averaging][index]
    let whole = try prepared(map)
    try whole.calibrate(CalibrationTests.batches(9))

    let first = try prepared(map)
    try first.calibrate(CalibrationTests.batches(4))
    let data = try JSONEncoder().encode(first.calibration)
    let second = try prepared(map)
    // What it has seen is replaced.
    try second.calibrate(CalibrationTests.batches(2, from: 70))
    try second.resume(from: JSONDecoder().decode(Calibration.self, from: data))
    #expect(try encodedState(second.calibration) == encodedState(first.calibration))
    try second.calibrate(CalibrationTests.batches(5, from: 4))
    #expect(try encodedState(second.calibration) == encodedState(whole.calibration))
    #expect(try "\(second.convert().graph)" == "\(whole.convert().graph)")
  }

  @Test func merging() throws {
    func calibrated(_ map: QConfigMap, _ count: Int, from first: Int = 0) throws -> PreparedGraph {
      let prepared = try prepared(map)
      try prepared.calibrate(CalibrationTests.batches(count, from: first))
      return prepared
    }
    for (map, bound) in [(QConfigMap(.minMax), Float(0)), (Self.averaging, 1e-5), (QConfigMap(.default), 0.01)] {
      let whole = try calibrated(map, 12)
      var calibration = try calibrated(map, 5).calibration
      try calibration.merge(calibrated(map, 7, from: 5).calibration)
      let merged = try prepared(map)
      try merged.resume(from: calibration)
      for (a, b) in zip(merged.sites, whole.sites) {
        #expect(a.observations == b.observations)
        let (a, b) = (try a.observer.calculateQParams(), try b.observer.calculateQParams())
        #expect(abs(a.scales[0] - b.scales[0]) <= bound * b.scales[0], "\(a) and \(b)")
      }
    }
  }

  @Test func whatDoesNotFitTheGraph() throws {
    let prepared = try prepared(QConfigMap(.default))
    try prepared.calibrate(CalibrationTests.batches(1))
    let before = try encodedState(prepared.calibration)
    func refusal(_ other: PreparedGraph) throws -> OctetError? {
      var calibration = prepared.calibration
      let error = octetError { try prepared.resume(from: other.calibration) }
      #expect(octetError { try calibration.merge(other.calibration) }?.code == error?.code)
      #expect(try encodedState(prepared.calibration) == before && encodedState(calibration) == before)
      return error
    }
    let residual = try refusal(self.prepared(QConfigMap(.default), "residual"))
    #expect(residual?.code == .unknownName && residual?.subject == "calibration")
    let type = try refusal(self.prepared(QConfigMap(.minMax)))
    #expect(
      type?.code == .invalidArgument && type?.subject.hasPrefix("site ") == true && type?.found == "MinMaxObserver")
    let reduced = try refusal(self.prepared(QConfigMap(.default(for: .fbgemm))))
    #expect(reduced?.code == .invalidArgument && reduced?.subject.hasPrefix("site ") == true)
    #expect(reduced?.expected.contains("0…255") == true && reduced?.found.contains("0…127") == true)

    // The same sites that have seen nothing do fit.
    var calibration = prepared.calibration
    try calibration.merge(self.prepared(QConfigMap(.default)).calibration)
    #expect(try encodedState(calibration) == before)
    try prepared.resume(from: self.prepared(QConfigMap(.default)).calibration)
    #expect(octetError { try prepared.convert() }?.code == .notObserved)
  }

  @Test func observersOfTheUsersAreDecoded() throws {
    let parameters = try QuantizationParameters(scale: 0.5, zeroPoint: 3, dtype: .uint8)
    let map = QConfigMap(QConfig(activation: FixedObserver(parameters: parameters), weight: QConfig.minMax.weight))
    let prepared = try prepared(map)
    try prepared.calibrate(CalibrationTests.batches(3))
    let data = try JSONEncoder().encode(prepared.calibration)
    let error = octetError { try JSONDecoder().decode(Calibration.self, from: data) }
    #expect(error?.code == .unknownName && error?.found == "FixedObserver")
    let decoder = JSONDecoder()
    decoder.userInfo[.observerTypes] = [FixedObserver.self] as [any Observer.Type]
    let decoded = try decoder.decode(Calibration.self, from: data)
    let resumed = try self.prepared(map)
    try resumed.resume(from: decoded)
    #expect((resumed.sites["x"]?.observer as? FixedObserver)?.count == 3 && resumed.sites["x"]?.observations == 3)
  }

  @Test(arguments: [
    ("\"observations\":3", "\"observations\":-3"), ("\"bins\":2048", "\"bins\":7"),
    ("\"type\":\"HistogramObserver\"", "\"type\":\"Histogram\""),
    ("\"type\":\"HistogramObserver\"", "\"type\":\"MinMaxObserver\""),
  ])
  func damagedStates(_ text: String, _ damage: String) throws {
    let prepared = try prepared(QConfigMap(.default))
    try prepared.calibrate(CalibrationTests.batches(3))
    let json = try encodedState(prepared.calibration)
    let damaged = json.replacingOccurrences(of: text, with: damage)
    try #require(damaged != json)
    #expect(throws: (any Error).self) { try JSONDecoder().decode(Calibration.self, from: Data(damaged.utf8)) }
    #expect(throws: Never.self) { try JSONDecoder().decode(Calibration.self, from: Data(json.utf8)) }
  }

  @Test func calibrationPrintsItself() throws {
    let prepared = try prepared(QConfigMap(.minMax))
    #expect(prepared.sites[0].observer.description == "MinMaxObserver(uint8 affine 0…255): nothing observed")
    try prepared.calibrate([Tensor([Float](repeating: 0.5, count: 192), shape: [1, 3, 8, 8])])
    #expect(
      prepared.sites[0].observer.description
        == "MinMaxObserver(uint8 affine 0…255): 0.5…0.5, scale 0.0019607844, zero point 0, uint8 0…255")
  }
}
