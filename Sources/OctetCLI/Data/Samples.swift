import Foundation
import Octet

/// The inputs of run after run, from one `.npz` or from a folder of them. Only those of one run are in memory.
final class Samples {
  struct Run {
    /// The file of a folder that it is from.
    let file: String?
    /// For people: the file, and which run of it.
    let place: String
    let inputs: [String: Tensor]
  }

  /// How many runs there are.
  let runCount: Int
  /// How many samples they have together.
  let sampleCount: Int
  /// Whether arrays have an axis of samples in front of what the model takes, so that outputs get one too.
  let isStacked: Bool
  /// Whether they are from a folder.
  var isFolder: Bool { if case .folder = source { true } else { false } }
  /// For people: `1000 samples, 32 runs`.
  var counted: String {
    "\(sampleCount) \(sampleCount == 1 ? "sample" : "samples"), \(runCount) \(runCount == 1 ? "run" : "runs")"
  }
  /// Arrays of the data that are no inputs of the model.
  let unusedNames: [String]

  private enum Source {
    case archive([Feed])
    case folder(String, [String])
  }

  /// Where the values of one input come from.
  private struct Feed {
    enum Values {
      case same(Tensor)
      case next(NpzRows, count: Int)
    }

    let name: String
    let values: Values
    /// Whether the axis of samples is taken off.
    let isStacked: Bool
  }

  private let path: String
  private let isFinite: Bool
  private let graph: Graph
  private let source: Source
  private var done = 0

  /// - Parameters:
  ///   - interface: what each file of a folder has to fit, if that is more than `graph`.
  ///   - isFinite: whether NaN and infinity are errors, when they come.
  /// - Throws: `OctetError`: `fileAccess`, `invalidFile` and `unsupported` for the files; `unknownName` for an input
  ///   without data, `dtypeMismatch` and `shapeMismatch` for arrays that do not fit; `invalidArgument` for no samples.
  ///   `WrongUse` for a batch that cannot be.
  init(_ path: String, for graph: Graph, interface: Graph? = nil, batch: Int, isFinite: Bool = false) throws {
    var interface = interface ?? graph
    // Whoever reads data for a graph does not hold its weights.
    interface.parameters = [:]
    (self.path, self.graph, self.isFinite) = (path, interface, isFinite)
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
      let names = try namesInFolder(path).filter { $0.hasSuffix(".npz") }
      guard !names.isEmpty else {
        throw OctetError(.invalidArgument, path, expected: "files named *.npz", found: "none")
      }
      guard batch == 1 else {
        throw WrongUse("--batch takes 1 for a folder, of which every file is one run; not \(batch)")
      }
      (runCount, sampleCount, isStacked, unusedNames) = (names.count, names.count, false, [])
      source = .folder(path, names)
      return
    }
    let archive = try NpzArchive(contentsOf: path)
    (source, runCount, sampleCount, isStacked) = try naming(path) { try Self.feeds(archive, graph, batch) }
    unusedNames = archive.names.filter { name in !graph.inputs.contains { $0.name == name } }
  }

  /// The next run; `nil` after the last one.
  ///
  /// - Throws: `OctetError` for a file that is damaged, or of a folder and unfit.
  func next() throws -> Run? {
    guard let run = try readNext() else { return nil }
    if isFinite {
      for (name, tensor) in run.inputs.sorted(by: { $0.key < $1.key }) where tensor.dtype == .float32 {
        let others = try tensor.scalars(as: Float.self).count { !$0.isFinite }
        guard others == 0 else {
          throw OctetError(
            .invalidArgument, "\(run.place): input \(name)", expected: "finite numbers",
            found: "\(others) of \(try tensor.count) that are NaN or infinite")
        }
      }
    }
    return run
  }

  private func readNext() throws -> Run? {
    guard done < runCount else { return nil }
    defer { done += 1 }
    switch source {
    case .archive(let feeds):
      var inputs: [String: Tensor] = [:]
      for feed in feeds {
        switch feed.values {
        case .same(let tensor): inputs[feed.name] = tensor
        case .next(let rows, let count):
          guard let tensor = try rows.next(count) else { continue }
          inputs[feed.name] = feed.isStacked ? try tensor.reshape(Array(tensor.shape.dropFirst())) : tensor
        }
      }
      return Run(file: nil, place: runCount == 1 ? path : "\(path): run \(done + 1)", inputs: inputs)
    case .folder(let folder, let names):
      let path = "\(folder)/\(names[done])"
      let archive = try NpzArchive(contentsOf: path)
      return try naming(path) {
        let types = try graph.inputs.map { try Self.type(of: $0, in: archive) }
        try graph.checkInputs(types)
        return Run(
          file: names[done], place: path,
          inputs: try Dictionary(uniqueKeysWithValues: graph.inputs.map { ($0.name, try archive.tensor($0.name)) }))
      }
    }
  }

  // MARK: - One archive

  /// What is known of the array of one input.
  private struct Measure {
    let input: Graph.Input
    let samples: Int
    let form: InputForm
    let isStacked: Bool
  }

  private static func feeds(
    _ archive: NpzArchive, _ graph: Graph, _ batch: Int
  ) throws -> (Source, runs: Int, samples: Int, isStacked: Bool) {
    let measures = try zip(graph.inputs, graph.inputForms).map { input, form in
      try measure(input, form, try type(of: input, in: archive))
    }
    let isStacked = measures.contains(where: \.isStacked)
    let canBatch = !isStacked && measures.contains { $0.form == .batch }
    guard batch == 1 || canBatch else {
      throw WrongUse("--batch takes 1 for inputs that have no batch axis, not \(batch)")
    }
    func runs(_ measure: Measure) -> Int {
      measure.form == .batch && !measure.isStacked ? (measure.samples + batch - 1) / batch : measure.samples
    }
    // What is there once is for all runs, unless it counts samples itself.
    let all = measures.max { runs($0) < runs($1) }
    let runCount = all.map(runs) ?? 1
    for measure in measures {
      let count = runs(measure)
      let isOnce = count == 1 && (measure.form != .batch || measure.isStacked)
      let isSame = measure.form != .batch || all?.form != .batch || measure.samples == all!.samples
      guard count == runCount && isSame || isOnce else {
        throw OctetError(
          .shapeMismatch, "input \(measure.input.name)",
          expected: "\(all!.samples) samples, as input \(all!.input.name) has, for \(runCount) runs",
          found: "\(measure.samples)")
      }
    }
    let feeds = try measures.map { measure in
      let name = measure.input.name
      let isOnce = runs(measure) == 1 && measure.form != .batch
      if isOnce || runCount == 1 && !measure.isStacked {
        let tensor = try archive.tensor(name)
        return Feed(
          name: name, values: .same(measure.isStacked ? try tensor.reshape(Array(tensor.shape.dropFirst())) : tensor),
          isStacked: false)
      }
      let count =
        switch measure.form {
        case _ where measure.isStacked: 1
        case .batch: batch
        case .rows(let count): count
        case .whole: 1
        }
      return Feed(name: name, values: .next(try archive.rows(of: name), count: count), isStacked: measure.isStacked)
    }
    return (.archive(feeds), runCount, canBatch ? measures.first { $0.form == .batch }!.samples : runCount, isStacked)
  }

  private static func measure(_ input: Graph.Input, _ form: InputForm, _ type: TensorType) throws -> Measure {
    let wanted = input.type.shape
    func unfit(_ expected: String) -> OctetError {
      OctetError(.shapeMismatch, "input \(input.name)", expected: expected, found: "\(type.shape)")
    }
    // The type without its first axis.
    func rest(_ type: TensorType) -> TensorType { TensorType(type.dtype, Array(type.shape.dropFirst())) }
    let measure: Measure
    if type.rank > 0, input.type.accepts(rest(type)) {
      measure = Measure(input: input, samples: type.shape[0].size!, form: form, isStacked: true)
    } else if type.rank == wanted.count, rest(input.type).accepts(rest(type)) {
      let rows = type.shape.first?.size ?? 1
      switch form {
      case .batch: measure = Measure(input: input, samples: rows, form: form, isStacked: false)
      case .whole: measure = Measure(input: input, samples: min(rows, 1), form: form, isStacked: false)
      case .rows(let count):
        guard count > 0, rows.isMultiple(of: count) else {
          throw unfit("a multiple of \(count) along the first axis of \(wanted)")
        }
        measure = Measure(input: input, samples: rows / count, form: form, isStacked: false)
      }
    } else {
      throw unfit("shape \(wanted) with samples along the first axis, or with an axis for samples in front of it")
    }
    guard measure.samples > 0 else {
      throw OctetError(.invalidArgument, "input \(input.name)", expected: "one sample or more", found: "\(type.shape)")
    }
    // A few bytes can say that there is much of nothing.
    guard measure.samples <= 1 << 16 || !type.shape.contains(0) else {
      throw OctetError(
        .invalidArgument, "input \(input.name)", expected: "samples that have elements", found: "\(type.shape)")
    }
    return measure
  }

  /// The type of the array for an input, whose element type must be right.
  private static func type(of input: Graph.Input, in archive: NpzArchive) throws -> TensorType {
    guard archive.names.contains(input.name) else {
      throw OctetError(
        .unknownName, "arrays", expected: "one for each input, \(input.name) too",
        found: archive.names.isEmpty ? "none" : nearNames(to: input.name, in: archive.names))
    }
    let type = try archive.type(of: input.name)
    guard type.dtype == input.type.dtype else {
      throw OctetError(
        .dtypeMismatch, "input \(input.name)",
        expected: "\(input.type.dtype.rawValue) (in NumPy: .astype('\(input.type.dtype.rawValue)'))",
        found: type.dtype.rawValue)
    }
    return type
  }
}
