import OctetCore
import OctetGraph

// The form of QConfigs in JSON, or whatever the coder writes. It holds configurations, not what observers have seen.

extension QConfig: Codable {
  private enum Key: String, CodingKey, CaseIterable {
    case activation, weight
  }

  /// Reads a name (`"octet"`, `"float"`), or an object with `activation` and `weight`, each an observer such as
  /// `{"type": "minMax", "dtype": "int8", "scheme": "symmetric"}`, or absent. The observers' types are those that the
  /// caller put in `userInfo[.configurableObservers]`, else the built-in ones.
  ///
  /// - Throws: `OctetError` whose subject is the place: `unknownName` for a name, type or key that does not exist, with
  ///   near names; `invalidArgument` for a value that a setting cannot have; `invalidFile` for another form.
  public init(from decoder: any Decoder) throws {
    self = try explainingDecoding("QConfig") {
      if let name = try? decoder.singleValueContainer().decode(String.self) {
        return try naming(decoder.place) { try QConfig(named: name) }
      }
      let values = try decoder.container(refusingKeysBut: Key.self)
      return QConfig(
        activation: try values.decodeIfPresent(DecodedObserver.self, forKey: .activation)?.observer,
        weight: try values.decodeIfPresent(DecodedObserver.self, forKey: .weight)?.observer)
    }
  }

  /// - Throws: `OctetError` (`unsupported`) for an observer whose type is not among the coder's ``ConfigurableObservers``.
  public func encode(to encoder: any Encoder) throws {
    if let name {
      var value = encoder.singleValueContainer()
      return try value.encode(name)
    }
    var values = encoder.container(keyedBy: Key.self)
    for (key, observer) in [(Key.activation, activation), (.weight, weight)] {
      guard let observer else { continue }
      let types = encoder.userInfo[.configurableObservers] as? ConfigurableObservers ?? .builtIn
      let (type, settings) = try naming(key.rawValue) { try types.configuration(of: observer) }
      var fields = values.nestedContainer(keyedBy: Name.self, forKey: key)
      try fields.encode(type, forKey: Name("type"))
      for (name, value) in settings.values.sorted(by: { $0.key < $1.key }) {
        try fields.encode(value, forKey: Name(name))
      }
    }
  }
}

/// An observer by its type and settings.
private struct DecodedObserver: Decodable {
  let observer: any Observer

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Name.self)
    let type = try values.decode(String.self, forKey: Name("type"))
    var settings = ObserverSettings()
    for key in values.allKeys where key.stringValue != "type" {
      settings.values[key.stringValue] = try values.decode(ObserverSettings.Value.self, forKey: key)
    }
    let types = decoder.userInfo[.configurableObservers] as? ConfigurableObservers ?? .builtIn
    observer = try naming(decoder.place) { try types.observer(type, settings) }
  }
}

extension QConfigMap: Codable {
  private static let formatVersion = 1

  private enum Key: String, CodingKey, CaseIterable {
    case version, `default`, rules
  }

  private enum RuleKey: String, CodingKey, CaseIterable {
    case node, path, kind, qconfig
  }

  /// Reads `{"version": 1, "default": …, "rules": […]}`, each rule a QConfig with the `node`, `path` or `kind` that gets
  /// it: `{"path": "head.*", "qconfig": "float"}`.
  ///
  /// - Throws: `OctetError` as ``QConfig/init(from:)``; also `unsupported` for another version, `invalidArgument` for two
  ///   rules for the same.
  public init(from decoder: any Decoder) throws {
    self = try explainingDecoding("QConfigMap") {
      let versions = try decoder.container(keyedBy: Key.self)
      let version = try versions.decode(Int.self, forKey: .version)
      guard version == Self.formatVersion else {
        throw OctetError(.unsupported, "version", expected: "\(Self.formatVersion)", found: "\(version)")
      }
      let values = try decoder.container(refusingKeysBut: Key.self)
      var map = QConfigMap(try values.decode(QConfig.self, forKey: .default))
      if values.contains(.rules) {
        for rule in try values.decode([DecodedRule].self, forKey: .rules) { try map.add(rule) }
      }
      return map
    }
  }

  private mutating func add(_ decoded: DecodedRule) throws {
    let isNew: Bool
    switch decoded.rule {
    case .node(let name): isNew = nodes.updateValue(decoded.config, forKey: name) == nil
    case .kind(let kind): isNew = kinds.updateValue(decoded.config, forKey: kind) == nil
    case .path(let glob):
      isNew = !paths.contains { $0.glob == glob }
      paths.append((glob, decoded.config))
    case .default: preconditionFailure("the default is no rule in a file")
    }
    guard isNew else {
      throw OctetError(.invalidArgument, decoded.place, expected: "one rule for \(decoded.rule)", found: "another one")
    }
  }

  private struct DecodedRule: Decodable {
    let rule: Rule
    let config: QConfig
    let place: String

    init(from decoder: any Decoder) throws {
      place = decoder.place
      let values = try decoder.container(refusingKeysBut: RuleKey.self)
      let subjects = [RuleKey.node, .path, .kind].filter { values.contains($0) }
      guard subjects.count == 1 else {
        throw OctetError(
          .invalidFile, place, expected: "one of node, path and kind",
          found: subjects.isEmpty ? "none" : subjects.map(\.rawValue).joined(separator: " and "))
      }
      let name = try values.decode(String.self, forKey: subjects[0])
      switch subjects[0] {
      case .node: rule = .node(name)
      case .path: rule = .path(name)
      case .kind, .qconfig:
        guard let kind = Op.Kind(rawValue: name) else {
          let names = Op.Kind.allCases.map(\.rawValue)
          throw OctetError(
            .unknownName, "\(place).kind", expected: "a kind of operation such as \(nearNames(to: name, in: names))",
            found: name)
        }
        rule = .kind(kind)
      }
      config = try values.decode(QConfig.self, forKey: .qconfig)
    }
  }

  /// Writes the least specific rules first, so that what stands farther down wins.
  ///
  /// - Throws: as ``QConfig/encode(to:)``; the subject is the rule.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(Self.formatVersion, forKey: .version)
    try naming("default") { try values.encode(`default`, forKey: .default) }
    if nodes.isEmpty && paths.isEmpty && kinds.isEmpty { return }
    var rules = values.nestedUnkeyedContainer(forKey: .rules)
    func encode(_ key: RuleKey, _ name: String, _ config: QConfig) throws {
      var rule = rules.nestedContainer(keyedBy: RuleKey.self)
      try rule.encode(name, forKey: key)
      try naming("\(key.rawValue) \(name)") { try rule.encode(config, forKey: .qconfig) }
    }
    for (kind, config) in kinds.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      try encode(.kind, kind.rawValue, config)
    }
    for (glob, config) in paths { try encode(.path, glob, config) }
    for (name, config) in nodes.sorted(by: { $0.key < $1.key }) { try encode(.node, name, config) }
  }
}

/// A key of any name.
private struct Name: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) { stringValue = name }
  init(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { nil }
}

extension Decoder {
  fileprivate var place: String { placeInDocument(codingPath) }

  /// - Throws: `OctetError` (`unknownName`) for a key that is none of `Key`, with near ones.
  fileprivate func container<Key: CodingKey & CaseIterable>(
    refusingKeysBut _: Key.Type
  ) throws -> KeyedDecodingContainer<Key> {
    let known = Key.allCases.map(\.stringValue)
    let found = try container(keyedBy: Name.self).allKeys.map(\.stringValue).sorted()
    if let surplus = found.first(where: { !known.contains($0) }) {
      throw OctetError(
        .unknownName, place.isEmpty ? "key" : "\(place): key",
        expected: "one of \(nearNames(to: surplus, in: known))", found: surplus)
    }
    return try container(keyedBy: Key.self)
  }
}
