import Foundation
import OctetQuantization
import TestSupport
import Testing

/// What is decoded is checked: a damaged observer must not count beyond its bins, or be anything that none could become.
@Suite struct DecodingTests {
  /// Decodes an observer that has seen a little, with one text of its JSON replaced.
  private func decodeDamaged<O: Observer>(_ template: O, _ text: String, _ damage: String) throws {
    var observer = template
    try observer.observe(.random([4, 16], seed: 1))
    let json = try encoded(observer)
    let damaged = json.replacing(try Regex(text), with: { _ in damage })
    try #require(damaged != json, "\(text) in \(json.prefix(400))")
    #expect(throws: Never.self) { try JSONDecoder().decode(O.self, from: Data(json.utf8)) }
    _ = try JSONDecoder().decode(O.self, from: Data(damaged.utf8))
  }

  @Test(arguments: [
    ("\"bins\":16", "\"bins\":4096"), ("\"bins\":16", "\"bins\":0"), ("\"bins\":16", "\"bins\":-1"),
    ("\"counts\":\\[[^\\]]*\\]", "\"counts\":[1,2,3]"), ("\"counts\":\\[[^\\]]*\\]", "\"counts\":[]"),
    ("\"counts\":\\[[0-9.]*,", "\"counts\":[-1,"), ("\"minimum\":[-0-9.e]*", "\"minimum\":5"),
    ("\"minimum\":[-0-9.e]*", "\"minimum\":\"-inf\""), ("\"minimum\":[-0-9.e]*", "\"minimum\":\"inf\""),
    ("\"maximum\":[-0-9.e]*,\"minimum\":[-0-9.e]*", "\"maximum\":3e38,\"minimum\":-3e38"),
    ("\"infinityCount\":0", "\"infinityCount\":-1"),
  ])
  func histograms(_ text: String, _ damage: String) throws {
    let code = octetError { try decodeDamaged(HistogramObserver(bins: 16), text, damage) }?.code
    #expect(code == .invalidArgument)
    #expect(octetError { try decodeDamaged(MSEObserver(bins: 16), text, damage) }?.subject == "histogram")
  }

  @Test(arguments: [
    ("\"minimum\":\\[", "\"minimum\":[0,"), ("\"minimum\":\\[[-0-9.e]*", "\"minimum\":[7"),
    ("\"minimum\":\\[[-0-9.e]*", "\"minimum\":[\"inf\""), ("\"maximum\":\\[[-0-9.e]*", "\"maximum\":[\"-inf\""),
    ("\"infinityCount\":0", "\"infinityCount\":-5"),
  ])
  func extremes(_ text: String, _ damage: String) throws {
    #expect(octetError { try decodeDamaged(MinMaxObserver(), text, damage) }?.code == .invalidArgument)
    #expect(octetError { try decodeDamaged(PerChannelMinMaxObserver(), text, damage) }?.code == .invalidArgument)
    #expect(
      octetError { try decodeDamaged(PerGroupMinMaxObserver(groupSize: 4), text, damage) }?.code == .invalidArgument)
    #expect(octetError { try decodeDamaged(MovingAverageMinMaxObserver(), text, damage) }?.code == .invalidArgument)
  }

  @Test(arguments: [
    ("\"weights\":\\[[0-9.]*\\]", "\"weights\":[]"), ("\"weights\":\\[[0-9.]*\\]", "\"weights\":[1.5]"),
    ("\"weights\":\\[[0-9.]*\\]", "\"weights\":[0.5,0.5]"),
  ])
  func movingAverages(_ text: String, _ damage: String) throws {
    #expect(octetError { try decodeDamaged(MovingAverageMinMaxObserver(), text, damage) }?.subject == "moving average")
  }

  /// Several ranges where there can be one: no crash, an error as soon as it is used.
  @Test func aTensorWithTwoRanges() throws {
    var channels = PerChannelMinMaxObserver()
    try channels.observe(.random([2, 3], seed: 1))
    let json = try encoded(channels).replacingOccurrences(of: ",\"axis\":0", with: "")
    var observer = try JSONDecoder().decode(MinMaxObserver.self, from: Data(json.utf8))
    #expect(octetError { try observer.calculateQParams() }?.code == .invalidArgument)
    #expect(octetError { try observer.observe(.random([2, 3], seed: 1)) }?.code == .shapeMismatch)
  }
}
