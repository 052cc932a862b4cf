import OctetCore

/// An observer that can be written down: by the name of its type and by settings, without what it has seen.
///
///     extension TrimmedObserver: ConfigurableObserver {
///       init(settings: ObserverSettings) throws { self.init(share: try settings.real("share") ?? 0.001) }
///       var settings: ObserverSettings { ["share": .real(share)] }
///     }
///
/// ``ConfigurableObservers`` gives the type a name, by which a QConfig in JSON has it.
public protocol ConfigurableObserver: Observer {
  /// An observer that has seen nothing. Settings that are not given have their defaults.
  init(settings: ObserverSettings) throws

  /// All settings, defaults too: their names are those that may be given.
  var settings: ObserverSettings { get }
}

extension ConfigurableObserver {
  /// The settings that are not the defaults.
  var changedSettings: ObserverSettings {
    let defaults = (try? Self(settings: ObserverSettings()))?.settings.values ?? [:]
    return ObserverSettings(values: settings.values.filter { $0.value != defaults[$0.key] })
  }
}

/// The settings of an observer by name.
public struct ObserverSettings: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  public enum Value: Hashable, Sendable {
    case flag(Bool)
    case integer(Int)
    case real(Float)
    case text(String)
    /// Not set; the same as one that is not given.
    case none
  }

  public var values: [String: Value]

  public init(values: [String: Value] = [:]) { self.values = values }

  public init(dictionaryLiteral elements: (String, Value)...) {
    values = Dictionary(elements) { $1 }
  }

  // MARK: - Reading

  /// - Throws: `OctetError` (`invalidArgument`) that names the setting if it is something else; the same below.
  public func flag(_ name: String) throws -> Bool? {
    switch values[name] ?? .none {
    case .none: return nil
    case .flag(let flag): return flag
    case .integer, .real, .text: throw mismatch(name, "true or false")
    }
  }

  public func integer(_ name: String) throws -> Int? {
    switch values[name] ?? .none {
    case .none: return nil
    case .integer(let integer): return integer
    case .flag, .real, .text: throw mismatch(name, "an integer")
    }
  }

  /// A number; integers are numbers too.
  public func real(_ name: String) throws -> Float? {
    switch values[name] ?? .none {
    case .none: return nil
    case .integer(let integer): return Float(integer)
    case .real(let real): return real
    case .flag, .text: throw mismatch(name, "a number")
    }
  }

  public func text(_ name: String) throws -> String? {
    switch values[name] ?? .none {
    case .none: return nil
    case .text(let text): return text
    case .flag, .integer, .real: throw mismatch(name, "text")
    }
  }

  /// One of several names.
  ///
  /// - Throws: also `unknownName`, with the names.
  public func choice<Choice: RawRepresentable<String>>(_ name: String, among choices: [Choice]) throws -> Choice? {
    guard let text = try text(name) else { return nil }
    guard let choice = choices.first(where: { $0.rawValue == text }) else {
      throw OctetError(
        .unknownName, name,
        expected: "one of \(nearNames(to: text, in: choices.map(\.rawValue), limit: choices.count))", found: text)
    }
    return choice
  }

  private func mismatch(_ name: String, _ expected: String) -> OctetError {
    OctetError(.invalidArgument, name, expected: expected, found: "\(values[name] ?? .none)")
  }
}

extension ObserverSettings: CustomStringConvertible {
  /// `dtype: int8, reduceRange: true`, in the order of the alphabet.
  public var description: String {
    values.sorted { $0.key < $1.key }
      .map { name, value in
        if case .text(let text) = value { return "\(name): \(text)" }
        return "\(name): \(value)"
      }
      .joined(separator: ", ")
  }
}

extension ObserverSettings.Value: CustomStringConvertible {
  public var description: String {
    switch self {
    case .flag(let flag): "\(flag)"
    case .integer(let integer): "\(integer)"
    case .real(let real): "\(real)"
    case .text(let text): "\"\(text)\""
    case .none: "null"
    }
  }
}

extension ObserverSettings.Value: Codable {
  public init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .none
    } else if let flag = try? value.decode(Bool.self) {
      self = .flag(flag)
    } else if let integer = try? value.decode(Int.self) {
      self = .integer(integer)
    } else if let real = try? value.decode(Float.self) {
      self = .real(real)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else {
      throw DecodingError.dataCorruptedError(
        in: value, debugDescription: "neither a number of 32 bits nor text nor true or false")
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var value = encoder.singleValueContainer()
    switch self {
    case .flag(let flag): try value.encode(flag)
    case .integer(let integer): try value.encode(integer)
    case .real(let real): try value.encode(real)
    case .text(let text): try value.encode(text)
    case .none: try value.encodeNil()
    }
  }
}
