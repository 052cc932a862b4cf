import OctetCore

/// The observers that a QConfig in JSON may name. Whoever reads or writes one hands them over:
///
///     var types = ConfigurableObservers.builtIn
///     types["trimmed"] = TrimmedObserver.self
///     decoder.userInfo[.configurableObservers] = types
///
/// Without that the built-in ones are used.
public struct ConfigurableObservers: Sendable {
  private var types: [String: any ConfigurableObserver.Type]

  /// `minMax`, `perChannelMinMax`, `perGroupMinMax`, `movingAverageMinMax`, `movingAveragePerChannelMinMax`, `histogram`,
  /// `percentile`, `entropy`, `mse`, `fixedQParams` and `placeholder`.
  public static let builtIn = ConfigurableObservers(types: [
    "minMax": MinMaxObserver.self, "perChannelMinMax": PerChannelMinMaxObserver.self,
    "perGroupMinMax": PerGroupMinMaxObserver.self,
    "movingAverageMinMax": MovingAverageMinMaxObserver.self,
    "movingAveragePerChannelMinMax": MovingAveragePerChannelMinMaxObserver.self, "histogram": HistogramObserver.self,
    "percentile": PercentileObserver.self, "entropy": EntropyObserver.self, "mse": MSEObserver.self,
    "fixedQParams": FixedQParamsObserver.self, "placeholder": PlaceholderObserver.self,
  ])

  /// The type of a name; set it to add one of your own.
  public subscript(name: String) -> (any ConfigurableObserver.Type)? {
    get { types[name] }
    set { types[name] = newValue }
  }

  /// An observer of the named type that has seen nothing.
  ///
  /// - Throws: `OctetError`: `unknownName` for a type or a setting that does not exist, with near names; what the
  ///   observer says of the values of its settings.
  func observer(_ name: String, _ settings: ObserverSettings) throws -> any Observer {
    guard let type = types[name] else {
      throw OctetError(
        .unknownName, "type", expected: "an observer such as \(nearNames(to: name, in: types.keys))", found: name)
    }
    let observer = try type.init(settings: settings)
    let known = observer.settings.values.keys
    if let surplus = settings.values.keys.sorted().first(where: { !known.contains($0) }) {
      throw OctetError(
        .unknownName, "key", expected: "a setting of \(name) such as \(nearNames(to: surplus, in: known))",
        found: surplus)
    }
    return observer
  }

  /// The name of an observer's type, and the settings that are not its defaults.
  ///
  /// - Throws: `OctetError` (`unsupported`) if the type has no name here.
  func configuration(of observer: any Observer) throws -> (name: String, settings: ObserverSettings) {
    guard let observer = observer as? any ConfigurableObserver,
      let name = types.filter({ $0.value == type(of: observer) }).keys.min()
    else {
      throw OctetError(
        .unsupported, "observer", expected: "a ConfigurableObserver whose type is among the ConfigurableObservers",
        found: "\(type(of: observer))")
    }
    return (name, observer.changedSettings)
  }
}

extension CodingUserInfoKey {
  /// Where a decoder or encoder of a ``QConfig`` or ``QConfigMap`` finds its ``ConfigurableObservers``.
  public static let configurableObservers = CodingUserInfoKey(rawValue: "octet.configurableObservers")!
}
