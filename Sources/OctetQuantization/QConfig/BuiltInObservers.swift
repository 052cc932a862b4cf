import OctetCore

// The settings of the built-in observers.

extension MinMaxObserver: ConfigurableObserver {
  public init(settings: ObserverSettings) throws {
    self.init()
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings }
}

extension PerChannelMinMaxObserver: ConfigurableObserver {
  public init(settings: ObserverSettings) throws {
    self.init(axis: try settings.integer("axis") ?? 0)
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings.adding(["axis": .integer(axis)]) }
}

extension MovingAverageMinMaxObserver: ConfigurableObserver {
  public init(settings: ObserverSettings) throws {
    self.init(averagingConstant: try settings.averagingConstant())
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings.adding(["averagingConstant": .real(averagingConstant)]) }
}

extension MovingAveragePerChannelMinMaxObserver: ConfigurableObserver {
  public init(settings: ObserverSettings) throws {
    self.init(
      axis: try settings.integer("axis") ?? 0, averagingConstant: try settings.averagingConstant())
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings {
    scheme.settings.adding(["axis": .integer(axis), "averagingConstant": .real(averagingConstant)])
  }
}

extension PerGroupMinMaxObserver: ConfigurableObserver {
  /// - Throws: also `OctetError` (`invalidArgument`) for groups of less than 1.
  public init(settings: ObserverSettings) throws {
    let groupSize = try settings.integer("groupSize") ?? 32
    guard groupSize > 0 else {
      throw OctetError(.invalidArgument, "groupSize", expected: "1 or more", found: "\(groupSize)")
    }
    self.init(axis: try settings.integer("axis") ?? 1, groupSize: groupSize)
    scheme = try QuantizationScheme(settings, default: scheme)
  }

  public var settings: ObserverSettings {
    scheme.settings.adding(["axis": .integer(axis), "groupSize": .integer(groupSize)])
  }
}

extension HistogramObserver: ConfigurableObserver {
  /// - Throws: also `OctetError` (`invalidArgument`) unless there are 1 to 2²⁰ bins.
  public init(settings: ObserverSettings) throws {
    self.init(bins: try settings.bins())
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings.adding(["bins": .integer(bins)]) }
}

extension PercentileObserver: ConfigurableObserver {
  /// - Throws: also `OctetError` (`invalidArgument`) unless there are 1 to 2²⁰ bins and the percentile is one.
  public init(settings: ObserverSettings) throws {
    // The shortest decimal that is this Float: 99.99 is 99.99.
    let percentile = try settings.real("percentile").flatMap { Double("\($0)") } ?? 99.99
    guard percentile > 0, percentile <= 100 else {
      throw OctetError(
        .invalidArgument, "percentile", expected: "above 0 and at most 100", found: "\(percentile)")
    }
    self.init(percentile: percentile, bins: try settings.bins())
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings {
    scheme.settings.adding(["percentile": .real(Float(percentile)), "bins": .integer(bins)])
  }
}

extension EntropyObserver: ConfigurableObserver {
  /// - Throws: also `OctetError` (`invalidArgument`) unless there are 1 to 2²⁰ bins.
  public init(settings: ObserverSettings) throws {
    self.init(bins: try settings.bins())
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings.adding(["bins": .integer(bins)]) }
}

extension MSEObserver: ConfigurableObserver {
  /// - Throws: also `OctetError` (`invalidArgument`) unless there are 1 to 2²⁰ bins.
  public init(settings: ObserverSettings) throws {
    self.init(bins: try settings.bins())
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings.adding(["bins": .integer(bins)]) }
}

extension FixedQParamsObserver: ConfigurableObserver {
  /// - Throws: also `OctetError` (`invalidArgument`) for parameters that make no sense.
  public init(settings: ObserverSettings) throws {
    let dtype = try settings.choice("dtype", among: DType.allCases.filter { $0.quantizedRange != nil }) ?? .uint8
    try self.init(
      scale: try settings.real("scale") ?? 1, zeroPoint: try settings.integer("zeroPoint") ?? 0, dtype: dtype,
      quantMin: try settings.integer("quantMin"), quantMax: try settings.integer("quantMax"))
  }

  public var settings: ObserverSettings {
    let whole = parameters.dtype.quantizedRange!
    func bound(_ value: Int, _ usual: Int) -> ObserverSettings.Value { value == usual ? .none : .integer(value) }
    return [
      "dtype": .text(parameters.dtype.rawValue), "scale": .real(parameters.scales[0]),
      "zeroPoint": .integer(parameters.zeroPoints[0]),
      "quantMin": bound(parameters.range.lowerBound, whole.lowerBound),
      "quantMax": bound(parameters.range.upperBound, whole.upperBound),
    ]
  }
}

extension PlaceholderObserver: ConfigurableObserver {
  public init(settings: ObserverSettings) throws {
    self.init(isDynamic: try settings.flag("isDynamic") ?? true)
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings.adding(["isDynamic": .flag(isDynamic)]) }
}

extension QuantizationScheme {
  /// - Throws: `OctetError`: as ``ObserverSettings``, and as ``range()``.
  fileprivate init(
    _ settings: ObserverSettings, default usual: QuantizationScheme = QuantizationScheme(dtype: .uint8)
  ) throws {
    self.init(
      dtype: try settings.choice("dtype", among: DType.allCases.filter { $0.quantizedRange != nil }) ?? usual.dtype,
      symmetry: try settings.choice("scheme", among: [Symmetry.affine, .symmetric]) ?? usual.symmetry,
      quantMin: try settings.integer("quantMin"), quantMax: try settings.integer("quantMax"),
      reduceRange: try settings.flag("reduceRange") ?? false)
    _ = try range()
  }

  fileprivate var settings: ObserverSettings {
    [
      "dtype": .text(dtype.rawValue), "scheme": .text(symmetry.rawValue),
      "quantMin": quantMin.map { .integer($0) } ?? .none, "quantMax": quantMax.map { .integer($0) } ?? .none,
      "reduceRange": .flag(reduceRange),
    ]
  }
}

extension ObserverSettings {
  fileprivate func bins() throws -> Int {
    let bins = try integer("bins") ?? 2048
    guard (1...1 << 20).contains(bins) else {
      throw OctetError(.invalidArgument, "bins", expected: "1 to \(1 << 20) bins", found: "\(bins)")
    }
    return bins
  }

  fileprivate func adding(_ others: ObserverSettings) -> ObserverSettings {
    ObserverSettings(values: values.merging(others.values) { $1 })
  }

  /// How far one batch moves the average: more than 0, at most 1.
  fileprivate func averagingConstant() throws -> Float {
    let constant = try real("averagingConstant") ?? 0.01
    guard constant > 0, constant <= 1 else {
      throw OctetError(
        .invalidArgument, "averagingConstant", expected: "more than 0, at most 1", found: "\(constant)")
    }
    return constant
  }
}
