/// Where in a document a path of keys leads: `nodes[3].op`.
package func placeInDocument(_ path: [any CodingKey]) -> String {
  path.reduce("") { place, key in
    if let index = key.intValue { return "\(place)[\(index)]" }
    return place.isEmpty ? key.stringValue : "\(place).\(key.stringValue)"
  }
}

/// Runs `body`, and makes a `DecodingError` that it throws an `OctetError` (`invalidFile`) whose subject is the place in the
/// document, or `whole` if that has no name.
package func explainingDecoding<Result>(_ whole: String, _ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch let error as DecodingError {
    let (expected, found, path): (String, String, [any CodingKey]) =
      switch error {
      case .keyNotFound(let key, let context): ("the key \(key.stringValue)", "none", context.codingPath)
      case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
        (plainName(of: type), context.debugDescription, context.codingPath)
      case .dataCorrupted(let context): ("well-formed data", context.debugDescription, context.codingPath)
      @unknown default: ("well-formed data", "\(error)", [])
      }
    let place = placeInDocument(path)
    throw OctetError(.invalidFile, place.isEmpty ? whole : place, expected: expected, found: found)
  }
}

/// What a type is called in JSON.
private func plainName(of type: any Any.Type) -> String {
  switch type {
  case is String.Type: "text"
  case is Bool.Type: "true or false"
  case is any BinaryInteger.Type: "an integer"
  case is any BinaryFloatingPoint.Type: "a number"
  case is [Any].Type: "an array"
  case is [String: Any].Type: "an object"
  default: "\(type)"
  }
}
