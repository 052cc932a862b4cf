public import OctetCore

/// Modules that run one after another; their names are their numbers, `0`, `1` …
public final class Sequential: Module {
  public let modules: [Module]

  public init(_ modules: Module...) {
    self.modules = modules
    super.init()
  }

  public init(_ modules: [Module]) {
    self.modules = modules
    super.init()
  }

  public override var children: [(name: String, module: Module)] {
    modules.enumerated().map { ("\($0)", $1) }
  }

  public subscript(index: Int) -> Module { modules[index] }

  public override func forward(_ x: Tensor) throws -> Tensor {
    try modules.reduce(x) { try $1($0) }
  }
}

/// Axes `start` to `end` as one; by default all but the first, as PyTorch's layer.
public final class Flatten: Module {
  public let start: Int
  public let end: Int

  public init(from start: Int = 1, to end: Int = -1) {
    self.start = start
    self.end = end
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try x.flatten(from: start, to: end) }
}

/// Gives back what it is given.
public final class Identity: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { x }
}
