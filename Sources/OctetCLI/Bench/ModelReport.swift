import Octet

/// How long models take as a whole and in each step of their plans.
struct ModelReport: Encodable {
  struct Step: Encodable {
    let name: String
    let runs: String
    let to: String
    let best_us: Double
    /// Of the sum of all steps.
    let share: Double
  }

  struct Model: Encodable {
    let file: String
    /// `int8`, `integer weights` or `float32`.
    let form: String
    let best_ms: Double
    let median_ms: Double
    let steps: [Step]
  }

  let cpu: String
  let isa: String
  let threads: Int
  let models: [Model]

  /// - Parameter data: what the first run is taken from; `nil`: drawn numbers.
  init(_ paths: [String], data: String?, dimensions: [String: Int], threads: Int) throws {
    models = try paths.map { path in
      let model = try LoadedModel(path, dimensions: dimensions, data: data)
      let graph = model.graph
      let given = try data.map { try Samples($0, for: graph, batch: 1).next()!.inputs }
      let inputs = try naming(path) {
        try given.map { given in graph.inputs.map { given[$0.name]! } } ?? Self.inputs(of: graph)
      }
      let session = try model.session(threads: threads)
      _ = try session.run(inputs)
      // The first run was the one that could fail.
      let times = measure { _ = try? session.run(inputs) }
      let steps = try session.stepTimes(inputs, rounds: max(3, min(100, Int(0.5 / times.best))))
      let total = steps.reduce(0) { $0 + $1.seconds }
      return Model(
        file: path,
        form: !session.plan.integerNodes.isEmpty
          ? "int8" : session.plan.weightOnlyNodes.isEmpty ? "float32" : "integer weights",
        best_ms: times.best * 1e3, median_ms: times.median * 1e3,
        steps: steps.map { step in
          Step(
            name: step.name, runs: step.label, to: Set(step.types.map(\.rawValue)).sorted().joined(separator: ", "),
            best_us: step.seconds * 1e6, share: total > 0 ? step.seconds / total : 0)
        })
    }
    (cpu, isa, self.threads) = (Machine.cpuName, try InstructionSet.chosen().name, threads)
  }

  /// One sample of drawn numbers from −1 to 1; zeros for integers and truth values, which every table has a row for.
  private static func inputs(of graph: Graph) throws -> [Tensor] {
    var generator = SplitMix64(seed: 7)
    return try zip(graph.inputs, graph.inputForms).map { input, form in
      let shape = try input.type.shape.enumerated().map { axis, dimension in
        if let size = dimension.size { return size }
        guard axis == 0, form == .batch else {
          throw OctetError(
            .invalidArgument, "input \(input.name)",
            expected: "a size for \(dimension): --dimension \(dimension)=…, or --inputs with data",
            found: "shape \(input.type.shape)")
        }
        return 1
      }
      guard input.type.dtype == .float32 else { return try Tensor(zeros: shape, dtype: input.type.dtype) }
      let numbers = (0..<shape.reduce(1, *)).map { _ in Float(generator.next() >> 40) * 0x1p-23 - 1 }
      return try Tensor(numbers, shape: shape)
    }
  }

  func show(json: Bool) throws {
    if json { return try printJSON(self) }
    print("\(cpu), \(isa), \(threads == 1 ? "one thread" : "\(threads) threads")\n")
    var table = Table(["model", "form", "best_ms", "median_ms", "speed-up"], trailing: [2, 3, 4])
    for model in models {
      table.append(
        model.file, model.form, model.best_ms.formatted(3), model.median_ms.formatted(3),
        "\((models[0].best_ms / model.best_ms).formatted(2)) ×")
    }
    print(table)
    for model in models {
      var steps = Table(["step", "runs", "to", "best_us", "share"], trailing: [3, 4])
      for step in model.steps {
        steps.append(step.name, step.runs, step.to, step.best_us.formatted(1), "\((100 * step.share).formatted(1)) %")
      }
      print("\n\(model.file)\n\(steps)")
    }
  }
}
