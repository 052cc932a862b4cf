/// A float that any encoder takes: infinities, which JSON lacks, are written as strings.
@propertyWrapper
struct ExtendedReal: Hashable, Sendable, Codable {
  var wrappedValue: Float

  init(wrappedValue: Float) { self.wrappedValue = wrappedValue }

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let number = try? value.decode(Float.self) {
      wrappedValue = number
      return
    }
    switch try value.decode(String.self) {
    case "inf": wrappedValue = .infinity
    case "-inf": wrappedValue = -.infinity
    case let text:
      throw DecodingError.dataCorruptedError(
        in: value, debugDescription: "expected a number, inf or -inf, found \(text)")
    }
  }

  func encode(to encoder: any Encoder) throws {
    var value = encoder.singleValueContainer()
    if wrappedValue.isInfinite {
      try value.encode(wrappedValue < 0 ? "-inf" : "inf")
    } else {
      try value.encode(wrappedValue)
    }
  }
}

/// The same for a list.
@propertyWrapper
struct ExtendedReals: Hashable, Sendable, Codable {
  var wrappedValue: [Float]

  init(wrappedValue: [Float]) { self.wrappedValue = wrappedValue }

  init(from decoder: any Decoder) throws {
    wrappedValue = try decoder.singleValueContainer().decode([ExtendedReal].self).map(\.wrappedValue)
  }

  func encode(to encoder: any Encoder) throws {
    var value = encoder.singleValueContainer()
    try value.encode(wrappedValue.map(ExtendedReal.init))
  }
}
