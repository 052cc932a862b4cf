import Foundation
import OctetQuantization
import TestSupport
import Testing

/// What is decoded is checked: a damaged observer must not count beyond its bins.
@Suite struct DecodingTests {
  @Test(arguments: ["\"bins\":4096", "\"bins\":0", "\"bins\":-1"])
  func aHistogramWithOtherBinsIsRefused(_ bins: String) throws {
    var observer = HistogramObserver(bins: 16)
    try observer.observe(.random([64], seed: 1))
    let json = String(decoding: try JSONEncoder().encode(observer), as: UTF8.self)
    #expect(json.contains("\"bins\":16"))
    let damaged = Data(json.replacingOccurrences(of: "\"bins\":16", with: bins).utf8)
    let error = octetError { try JSONDecoder().decode(HistogramObserver.self, from: damaged) }
    #expect(error?.code == .invalidArgument && error?.subject == "histogram")
    #expect(throws: Never.self) { try JSONDecoder().decode(HistogramObserver.self, from: Data(json.utf8)) }
  }
}
