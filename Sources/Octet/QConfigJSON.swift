import Foundation

extension QConfigMap {
  /// A map from its form in JSON, as <doc:QConfigs> describes it.
  ///
  /// - Parameter observers: the types of observers that it may name.
  /// - Throws: `OctetError` whose subject is the place in the text: as ``QConfigMap/init(from:)``, and `invalidFile` for
  ///   what is not JSON.
  public init(json: String, observers: ConfigurableObservers = .builtIn) throws {
    let data = Data(json.utf8)
    let decoder = JSONDecoder()
    decoder.userInfo[.configurableObservers] = observers
    self = try explainingDecoding("JSON") {
      do {
        return try decoder.decode(QConfigMap.self, from: data)
      } catch DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty {
        throw DecodingError.dataCorrupted(
          DecodingError.Context(codingPath: [], debugDescription: syntaxError(data) ?? context.debugDescription))
      }
    }
  }

  /// The map in JSON, indented, its rules in the order in which later ones beat earlier ones.
  ///
  /// - Throws: `OctetError` (`unsupported`) for an observer whose type is not among `observers`.
  public func json(observers: ConfigurableObservers = .builtIn) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.userInfo[.configurableObservers] = observers
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// Reads a map from a file of JSON.
  ///
  /// - Throws: as ``init(json:observers:)``, and `fileAccess`; the subject begins with the path.
  public init(contentsOf path: String, observers: ConfigurableObservers = .builtIn) throws {
    let file = try MappedFile(path)
    self = try naming(path) {
      let text = try file.withUnsafeBytes { bytes in
        guard let text = String(validating: bytes, as: UTF8.self) else {
          throw OctetError(.invalidFile, "JSON", expected: "UTF-8", found: "other bytes")
        }
        return text
      }
      return try QConfigMap(json: text, observers: observers)
    }
  }

  /// Writes the map to a file of JSON, whole or not at all.
  ///
  /// - Throws: as ``json(observers:)``, and `fileAccess`.
  public func save(to path: String, observers: ConfigurableObservers = .builtIn) throws {
    let text = try json(observers: observers) + "\n"
    try writeWhole(to: path) { try $0.write(Array(text.utf8)) }
  }
}

/// What is wrong with the syntax, and near which character: the decoder does not say.
private func syntaxError(_ json: Data) -> String? {
  do {
    _ = try JSONSerialization.jsonObject(with: json, options: .fragmentsAllowed)
    return nil
  } catch {
    return (error as NSError).userInfo[NSDebugDescriptionErrorKey] as? String
  }
}
