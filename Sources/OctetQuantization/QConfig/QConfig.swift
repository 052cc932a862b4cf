import OctetCore

/// How a node is quantized: the observers of its activations and of its weight.
public struct QConfig: Sendable {
  /// The template for activations; `nil`: stay in float.
  public var activation: (any Observer)?
  /// The template for weights; `nil`: stay in float.
  public var weight: (any Observer)?

  public init(activation: (any Observer)?, weight: (any Observer)?) {
    self.activation = activation
    self.weight = weight
  }

  /// Not quantized.
  public static let float = QConfig(activation: nil, weight: nil)

  /// Octet's own: histogram, uint8 affine over the full range; weights int8 symmetric per output channel.
  public static let `default` = QConfig.default(for: .octet)

  /// The QConfigs that have a name: `float`, every ``Backend``, and every backend followed by `-qat`.
  static let named: [(name: String, config: QConfig)] =
    [("float", .float)] + Backend.allCases.map { ($0.rawValue, .default(for: $0)) }
    + Backend.allCases.map { ("\($0.rawValue)-qat", .defaultQAT(for: $0)) }

  /// The QConfig of a name, as JSON and the command line spell it: `float`, `octet`, `fbgemm`, `octet-qat` …
  ///
  /// - Throws: `OctetError` (`unknownName`) that lists the names.
  public init(named name: String) throws {
    guard let found = Self.named.first(where: { $0.name == name }) else {
      throw OctetError(
        .unknownName, "QConfig",
        expected: "one of \(nearNames(to: name, in: Self.named.map(\.name), limit: Self.named.count))", found: name)
    }
    self = found.config
  }

  var isFloat: Bool { activation == nil && weight == nil }

  /// The first name whose QConfig is configured like this one, whatever its observers have seen.
  var name: String? {
    Self.named.first {
      isConfigured(activation, like: $0.config.activation) && isConfigured(weight, like: $0.config.weight)
    }?.name
  }
}

extension QConfig: CustomStringConvertible {
  /// A name if it has one, else both observers with the settings that are not their defaults.
  public var description: String {
    func text(_ observer: (any Observer)?) -> String { observer.map(describe) ?? "none" }
    return name ?? "activation \(text(activation)), weight \(text(weight))"
  }
}

private func isConfigured(_ a: (any Observer)?, like b: (any Observer)?) -> Bool {
  guard let a, let b else { return a == nil && b == nil }
  guard let a = a as? any ConfigurableObserver, let b = b as? any ConfigurableObserver else { return false }
  return type(of: a) == type(of: b) && a.settings == b.settings
}

private func describe(_ observer: any Observer) -> String {
  let settings = (observer as? any ConfigurableObserver)?.changedSettings ?? ObserverSettings()
  return "\(type(of: observer))" + (settings.values.isEmpty ? "" : "(\(settings))")
}
