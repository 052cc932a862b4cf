import OctetCore

/// What the sites of a prepared graph have seen: a value that can be saved, merged with others, and gone on from.
///
///     try JSONEncoder().encode(prepared.calibration).write(to: file)
///     try prepared.resume(from: JSONDecoder().decode(Calibration.self, from: Data(contentsOf: file)))
///
/// To decode observers of your own, tell the decoder their types: `decoder.userInfo[.observerTypes] = [MyObserver.self]`.
public struct Calibration: Sendable {
  /// What one site has seen.
  public struct State: Sendable {
    public fileprivate(set) var observer: any Observer
    /// How many tensors with finite elements.
    public fileprivate(set) var observations: Int

    init(observer: any Observer, observations: Int) {
      self.observer = observer
      self.observations = observations
    }
  }

  /// By the name of the site.
  public private(set) var sites: [String: State]

  init(_ sites: Sites) {
    self.sites = Dictionary(
      uniqueKeysWithValues: sites.map { ($0.name, State(observer: $0.observer, observations: $0.observations)) })
  }

  /// Takes into account what the same sites have seen elsewhere, as if it came after what these have.
  ///
  /// - Throws: `OctetError`, and nothing is changed: `unknownName` if the other one has other sites, `invalidArgument` if
  ///   a site has another observer there or one that is configured otherwise.
  public mutating func merge(_ other: Calibration) throws {
    try other.check(against: sites.keys)
    var merged = sites
    for (name, state) in other.sites.sorted(by: { $0.key < $1.key }) {
      try naming("site \(name)") { try merged[name]!.observer.merge(any: state.observer) }
      merged[name]!.observations += state.observations
    }
    sites = merged
  }

  /// - Throws: `OctetError` (`unknownName`) unless it has exactly these sites.
  func check(against names: some Collection<String>) throws {
    if let missing = names.filter({ sites[$0] == nil }).min() {
      throw OctetError(
        .unknownName, "calibration", expected: "site \(missing)", found: nearNames(to: missing, in: sites.keys))
    }
    if let surplus = sites.keys.filter({ !names.contains($0) }).min() {
      throw OctetError(
        .unknownName, "calibration", expected: "one of the sites \(nearNames(to: surplus, in: names))", found: surplus)
    }
  }
}

extension CodingUserInfoKey {
  /// Types of observers of your own, `[any Observer.Type]`, that decoding a ``Calibration`` may meet.
  public static let observerTypes = CodingUserInfoKey(rawValue: "octet.observerTypes")!
}

extension Calibration: Codable {}

extension Calibration.State: Codable {
  private enum CodingKeys: CodingKey {
    case type, observer, observations
  }

  private static let types: [any Observer.Type] = [
    MinMaxObserver.self, MovingAverageMinMaxObserver.self, PerChannelMinMaxObserver.self,
    MovingAveragePerChannelMinMaxObserver.self, PerGroupMinMaxObserver.self, HistogramObserver.self,
    PercentileObserver.self, EntropyObserver.self, MSEObserver.self, FixedQParamsObserver.self,
    PlaceholderObserver.self,
  ]

  /// - Throws: `OctetError`: `unknownName` for the type of an observer that is not known, `invalidArgument` for a damaged
  ///   state.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let types = Self.types + (decoder.userInfo[.observerTypes] as? [any Observer.Type] ?? [])
    let name = try values.decode(String.self, forKey: .type)
    guard let type = types.first(where: { "\($0)" == name }) else {
      throw OctetError(
        .unknownName, "calibration", expected: "an observer of Octet's or of userInfo[.observerTypes]", found: name)
    }
    observer = try values.decode(type, forKey: .observer)
    observations = try values.decode(Int.self, forKey: .observations)
    guard observations >= 0 else {
      throw OctetError(.invalidArgument, "calibration", expected: "0 observations or more", found: "\(observations)")
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode("\(type(of: observer))", forKey: .type)
    try values.encode(observer, forKey: .observer)
    try values.encode(observations, forKey: .observations)
  }
}
