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

extension HistogramObserver: ConfigurableObserver {
  /// - Throws: also `OctetError` (`invalidArgument`) unless there are 1 to 2²⁰ bins.
  public init(settings: ObserverSettings) throws {
    let bins = try settings.integer("bins") ?? 2048
    guard (1...1 << 20).contains(bins) else {
      throw OctetError(.invalidArgument, "bins", expected: "1 to \(1 << 20) bins", found: "\(bins)")
    }
    self.init(bins: bins)
    scheme = try QuantizationScheme(settings)
  }

  public var settings: ObserverSettings { scheme.settings.adding(["bins": .integer(bins)]) }
}

extension QuantizationScheme {
  /// - Throws: `OctetError`: as ``ObserverSettings``, and as ``range()``.
  fileprivate init(_ settings: ObserverSettings) throws {
    self.init(
      dtype: try settings.choice("dtype", among: DType.allCases.filter { $0.quantizedRange != nil }) ?? .uint8,
      symmetry: try settings.choice("scheme", among: [Symmetry.affine, .symmetric]) ?? .affine,
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
