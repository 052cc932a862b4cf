import Foundation
import OctetCore
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// QConfigs in JSON.
@Suite struct QConfigCodingTests {
  private func decode(_ json: String, _ observers: ConfigurableObservers? = nil) throws -> QConfigMap {
    let decoder = JSONDecoder()
    if let observers { decoder.userInfo[.configurableObservers] = observers }
    return try decoder.decode(QConfigMap.self, from: Data(json.utf8))
  }

  private func encode(_ map: QConfigMap, _ observers: ConfigurableObservers? = nil) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    if let observers { encoder.userInfo[.configurableObservers] = observers }
    return String(decoding: try encoder.encode(map), as: UTF8.self)
  }

  private func encode(_ config: QConfig, _ observers: ConfigurableObservers? = nil) throws -> String {
    try encode(QConfigMap(config), observers)
  }

  /// A map with one QConfig, and its text around that of the QConfig.
  private func text(_ config: String) -> String { "{\"default\":\(config),\"version\":1}" }

  @Test(arguments: [
    "\"float\"", "\"octet\"", "\"fbgemm\"", "\"qnnpack\"", "\"octet-qat\"", "\"fbgemm-qat\"", "\"qnnpack-qat\"",
    "{\"activation\":{\"type\":\"minMax\"}}",
    "{\"weight\":{\"dtype\":\"int8\",\"type\":\"minMax\"}}",
    "{\"activation\":{\"bins\":512,\"quantMax\":200,\"reduceRange\":true,\"type\":\"histogram\"},\"weight\":{\"axis\":1,\"dtype\":\"int4\",\"scheme\":\"symmetric\",\"type\":\"perChannelMinMax\"}}",
    "{\"activation\":{\"averagingConstant\":0.1,\"type\":\"movingAverageMinMax\"},\"weight\":{\"averagingConstant\":1,\"axis\":-1,\"quantMin\":-3,\"dtype\":\"int8\",\"type\":\"movingAveragePerChannelMinMax\"}}",
    "{\"activation\":{\"percentile\":99.5,\"type\":\"percentile\"},\"weight\":{\"groupSize\":64,\"type\":\"perGroupMinMax\"}}",
    "{\"activation\":{\"bins\":100,\"type\":\"entropy\"},\"weight\":{\"dtype\":\"int8\",\"type\":\"mse\"}}",
    "{\"activation\":{\"scale\":0.25,\"quantMax\":99,\"type\":\"fixedQParams\"},\"weight\":{\"isDynamic\":false,\"type\":\"placeholder\"}}",
  ])
  func whatIsReadIsWritten(_ config: String) throws {
    let map = try decode(text(config))
    let written = try encode(map)
    #expect(
      try JSONDecoder().decode(JSONValue.self, from: Data(written.utf8))
        == JSONDecoder().decode(JSONValue.self, from: Data(text(config).utf8)), "\(written)")
    #expect(try encode(decode(written)) == written)
  }

  @Test(arguments: [
    "{\"type\":\"percentile\",\"percentile\":101}", "{\"type\":\"percentile\",\"percentile\":0}",
    "{\"type\":\"perGroupMinMax\",\"groupSize\":0}", "{\"type\":\"fixedQParams\",\"scale\":-1}",
    "{\"type\":\"fixedQParams\",\"zeroPoint\":256}", "{\"type\":\"mse\",\"bins\":0}",
  ])
  func impossibleSettingsAreErrors(_ observer: String) {
    #expect(octetError { try decode(text("{\"weight\":\(observer)}")) }?.code == .invalidArgument)
  }

  @Test func whatIsDecodedIsUsed() throws {
    let map = try decode(
      text(
        "{\"activation\":{\"type\":\"histogram\",\"bins\":64,\"dtype\":\"int8\",\"scheme\":\"symmetric\",\"quantMin\":-100},\"weight\":null}"
      ))
    let observer = try #require(map.default.activation as? HistogramObserver)
    #expect(observer.bins == 64 && map.default.weight == nil)
    #expect(
      observer.scheme == QuantizationScheme(dtype: .int8, symmetry: .symmetric, quantMin: -100))
  }

  @Test func theMapKeepsItsRules() throws {
    var map = QConfigMap(.default(for: .fbgemm))
    map["b.*"] = .float
    map["a"] = .default
    map[.softmax] = .float
    map[.conv] = .default(for: .qnnpack)
    map[node: "b.0.conv"] = .default
    let json = try encode(map)
    #expect(
      json == """
        {"default":"fbgemm","rules":[{"kind":"conv","qconfig":"qnnpack"},{"kind":"softmax","qconfig":"float"},\
        {"path":"b.*","qconfig":"float"},{"path":"a","qconfig":"octet"},{"node":"b.0.conv","qconfig":"octet"}],"version":1}
        """)
    let read = try decode(json)
    #expect(try encode(read) == json)
    #expect(read[.conv].description == "qnnpack" && read["b.*"].description == "float")
    #expect(read[node: "b.0.conv"].description == "octet" && read.default.description == "fbgemm")
    // The order of paths is kept: the last one wins.
    let graph = try Network.named("plain CNN").graph()
    for (first, second, isFloat) in [("float", "octet", false), ("octet", "float", true)] {
      let map = try decode(
        """
        {"version": 1, "default": "octet", "rules": [
          {"path": "layers.0", "qconfig": "\(first)"}, {"path": "layers.*", "qconfig": "\(second)"}]}
        """)
      #expect((map.config(for: graph.nodes[0]).activation == nil) == isFloat)
    }
  }

  /// What people get wrong, and what they are told: place, code, a word of what was expected.
  static let mistakes: [(String, OctetError.Code, String, String)] = [
    ("{}", .invalidFile, "QConfigMap", "version"),
    ("[]", .invalidFile, "QConfigMap", "object"),
    ("3", .invalidFile, "QConfigMap", "object"),
    (#"{"version": 2, "default": "octet"}"#, .unsupported, "version", "1"),
    (#"{"version": "1", "default": "octet"}"#, .invalidFile, "version", "integer"),
    (#"{"version": 1}"#, .invalidFile, "QConfigMap", "default"),
    (#"{"version": 1, "default": null}"#, .invalidFile, "default", "object"),
    (#"{"version": 1, "default": "octet", "rule": []}"#, .unknownName, "key", "rules"),
    (#"{"version": 1, "default": "octett"}"#, .unknownName, "default: QConfig", "octet"),
    (#"{"version": 1, "default": 3}"#, .invalidFile, "default", "object"),
    (#"{"version": 1, "default": ["octet"]}"#, .invalidFile, "default", "object"),
    (#"{"version": 1, "default": {"activations": {}}}"#, .unknownName, "default: key", "activation"),
    (#"{"version": 1, "default": {"activation": {}}}"#, .invalidFile, "default.activation", "type"),
    (#"{"version": 1, "default": {"activation": "minMax"}}"#, .invalidFile, "default.activation", "object"),
    (
      #"{"version": 1, "default": {"weight": {"type": "histgram"}}}"#, .unknownName, "default.weight: type", "histogram"
    ),
    (#"{"version": 1, "default": {"weight": {"type": 3}}}"#, .invalidFile, "default.weight.type", "text"),
    (
      #"{"version": 1, "default": {"weight": {"type": "minMax", "bin": 3}}}"#, .unknownName, "default.weight: key",
      "quantMin"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "histogram", "binns": 3}}}"#, .unknownName,
      "default.weight: key", "bins"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "histogram", "bins": "many"}}}"#, .invalidArgument,
      "default.weight: bins", "integer"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "histogram", "bins": 0}}}"#, .invalidArgument,
      "default.weight: bins", "1 to"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "histogram", "bins": 1000000000000}}}"#, .invalidArgument,
      "default.weight: bins", "1 to"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "histogram", "bins": [1]}}}"#, .invalidFile,
      "default.weight.bins", "well-formed"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "minMax", "dtype": "uint7"}}}"#, .unknownName,
      "default.weight: dtype", "uint8"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "minMax", "dtype": "float32"}}}"#, .unknownName,
      "default.weight: dtype", "uint8"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "minMax", "scheme": "symetric"}}}"#, .unknownName,
      "default.weight: scheme", "symmetric"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "minMax", "quantMax": 256}}}"#, .invalidArgument,
      "default.weight: observer", "quantMax"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "minMax", "reduceRange": 1}}}"#, .invalidArgument,
      "default.weight: reduceRange", "true or false"
    ),
    (
      #"{"version": 1, "default": {"weight": {"type": "movingAverageMinMax", "averagingConstant": 0}}}"#,
      .invalidArgument, "default.weight: averagingConstant", "more than 0"
    ),
    (#"{"version": 1, "default": "octet", "rules": {}}"#, .invalidFile, "rules", "array"),
    (#"{"version": 1, "default": "octet", "rules": [3]}"#, .invalidFile, "rules[0]", "object"),
    (#"{"version": 1, "default": "octet", "rules": [{"qconfig": "float"}]}"#, .invalidFile, "rules[0]", "node, path"),
    (
      #"{"version": 1, "default": "octet", "rules": [{"path": "a", "kind": "conv", "qconfig": "float"}]}"#,
      .invalidFile, "rules[0]", "one of"
    ),
    (#"{"version": 1, "default": "octet", "rules": [{"path": "a"}]}"#, .invalidFile, "rules[0]", "qconfig"),
    (
      #"{"version": 1, "default": "octet", "rules": [{"glob": "a", "qconfig": "float"}]}"#, .unknownName,
      "rules[0]: key", "node"
    ),
    (
      #"{"version": 1, "default": "octet", "rules": [{"kind": "cnov", "qconfig": "float"}]}"#, .unknownName,
      "rules[0].kind", "conv"
    ),
    (
      #"{"version": 1, "default": "octet", "rules": [{"path": 3, "qconfig": "float"}]}"#, .invalidFile,
      "rules[0].path", "text"
    ),
    (
      #"{"version": 1, "default": "octet", "rules": [{"path": "a", "qconfig": {"activation": {"type": "x"}}}]}"#,
      .unknownName, "rules[0].qconfig.activation: type", "minMax"
    ),
    (
      #"{"version": 1, "default": "octet", "rules": [{"path": "a", "qconfig": "float"}, {"path": "a", "qconfig": "octet"}]}"#,
      .invalidArgument, "rules[1]", "one rule for path a"
    ),
    (
      #"{"version": 1, "default": "octet", "rules": [{"kind": "conv", "qconfig": "float"}, {"kind": "conv", "qconfig": "octet"}]}"#,
      .invalidArgument, "rules[1]", "one rule for kind conv"
    ),
    (
      #"{"version": 1, "default": "octet", "rules": [{"node": "a", "qconfig": "float"}, {"node": "a", "qconfig": "octet"}]}"#,
      .invalidArgument, "rules[1]", "one rule for node a"
    ),
  ]

  @Test(arguments: mistakes.indices)
  func mistakesAreExplained(_ index: Int) throws {
    let (json, code, subject, expected) = Self.mistakes[index]
    let error = try #require(octetError { try decode(json) }, "\(json)")
    #expect(error.code == code && error.subject == subject, "\(json): \(error.code), \(error)")
    #expect(error.expected.contains(expected), "\(error)")
  }

  @Test func damagedTextNeverCrashes() throws {
    let whole = Array(
      """
      {"version": 1, "default": {"activation": {"type": "histogram", "bins": 512, "quantMin": 0, "reduceRange": true},
      "weight": {"type": "movingAveragePerChannelMinMax", "axis": 0, "dtype": "int8", "averagingConstant": 0.01}},
      "rules": [{"kind": "conv", "qconfig": "fbgemm"}, {"path": "a.*", "qconfig": {"weight": {"type": "minMax"}}}]}
      """.utf8)
    #expect(throws: Never.self) { try decode(String(decoding: whole, as: UTF8.self)) }
    let pieces = [
      "{", "}", "[", "]", ",", ":", "\"", "null", "true", "-1", "1e999", "99999999999999999999", "0.5", "é",
    ]
    var generator = SeededGenerator(seed: 5)
    var refused = 0
    for _ in 0..<3000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] = .random(in: 0...255, using: &generator)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: Array(pieces.randomElement(using: &generator)!.utf8), at: place)
        default:
          let end = min(place + Int.random(in: 1...40, using: &generator), bytes.count)
          bytes.removeSubrange(place..<end)
        }
      }
      do {
        let map = try JSONDecoder().decode(QConfigMap.self, from: Data(bytes))
        _ = try encode(map)
        _ = try map.default.activation?.calculateQParams()
      } catch is OctetError { refused += 1 } catch is DecodingError { refused += 1 }
    }
    #expect(refused > 2000 && refused < 3000, "\(refused) of 3000 were refused")
  }

  @Test func deepNesting() throws {
    let deep = String(repeating: "[", count: 100_000)
    for json in [deep, text(deep), text("{\"weight\":{\"type\":\"minMax\",\"bins\":\(deep)}}")] {
      #expect(throws: (any Error).self) { try decode(json) }
    }
    let arrays = String(repeating: "[", count: 300) + String(repeating: "]", count: 300)
    #expect(
      octetError { try decode(text("{\"weight\":{\"type\":\"minMax\",\"bins\":\(arrays)}}")) }?.code == .invalidFile)
  }

  // MARK: - Observers of one's own

  private struct Trimmed: ConfigurableObserver {
    var share: Float

    init(share: Float) { self.share = share }
    init(settings: ObserverSettings) throws { share = try settings.real("share") ?? 0.001 }
    var settings: ObserverSettings { ["share": .real(share)] }

    mutating func observe(_ x: Tensor) throws {}
    func calculateQParams() throws -> QuantizationParameters {
      try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: .uint8)
    }
    mutating func merge(_ other: Trimmed) {}
    mutating func reset() {}
  }

  @Test func observersOfOnesOwn() throws {
    var observers = ConfigurableObservers.builtIn
    observers["trimmed"] = Trimmed.self
    let config = QConfig(activation: Trimmed(share: 0.25), weight: nil)
    let json = try encode(config, observers)
    #expect(json == text("{\"activation\":{\"share\":0.25,\"type\":\"trimmed\"}}"))
    let read = try decode(json, observers)
    #expect((read.default.activation as? Trimmed)?.share == 0.25)
    #expect(
      try (decode(text("{\"activation\":{\"type\":\"trimmed\"}}"), observers).default.activation as? Trimmed)?.share
        == 0.001)
    #expect("\(read.default)" == "activation Trimmed(share: 0.25), weight none")
    // Nobody else knows it.
    let unknown = octetError { try decode(json) }
    #expect(unknown?.code == .unknownName && unknown?.found == "trimmed")
    let unwritable = octetError { try encode(config) }
    #expect(unwritable?.code == .unsupported && unwritable?.found == "Trimmed")
    #expect(unwritable?.subject == "default: activation: observer", "\(String(describing: unwritable))")
    let surplus = octetError {
      try decode(text("{\"activation\":{\"type\":\"trimmed\",\"shares\":1}}"), observers)
    }
    #expect(surplus?.code == .unknownName && surplus?.expected.contains("share") == true)
    // One without settings cannot be written, but can be used and is described.
    let fixed = QConfig(
      activation: FixedObserver(parameters: try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: .uint8)),
      weight: nil)
    #expect(octetError { try encode(fixed, observers) }?.code == .unsupported)
    #expect("\(fixed)" == "activation FixedObserver, weight none")
  }

  /// A coder that is not JSON's.
  @Test func propertyLists() throws {
    let encoder = PropertyListEncoder()
    encoder.outputFormat = .xml
    var map = QConfigMap(.default(for: .qnnpack))
    map["a.*"] = QConfig(activation: MovingAverageMinMaxObserver(averagingConstant: 0.1), weight: nil)
    let read = try PropertyListDecoder().decode(QConfigMap.self, from: encoder.encode(map))
    #expect(try encode(read) == encode(map))
  }
}
