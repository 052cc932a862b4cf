import ArgumentParser
import CKernelProblems
import Octet

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Time models, or kernels beside what the CPU can reach.",
    usage: "octet bench <what> [<name=value> ...] [--m <m>] [--n <n>] [--k <k>] [<options>]",
    discussion: """
      Without parameters a committed list of problems runs. With parameters one problem of each kind that has them; what \
      is not named has its usual value, and what is said of heights (in_h, kernel_h, pad_top …) counts for widths too. \
      A name that does not exist is answered with a list of those that do.

      Times are the best and the median of several hundred short repetitions; gmacs (10⁹ multiply-accumulates a second), \
      gbs (10⁹ bytes a second, read and written once each) and fraction (gmacs / peak_gmacs) are of the best.

      'octet bench MODEL [MODEL ...]' times models instead (.onnx, or saved by Octet; a float one and an int8 one, say): \
      milliseconds a run and microseconds of each step of the plan, for one sample of drawn numbers or the first of \
      --inputs, on --threads.

      'octet bench call' times the smallest int8 product (1 × 1 × 1 to uint8) instead: called from C, called from Swift as \
      the engine does, and as a session of one layer, which quantizes before and dequantizes after; and two threads that \
      get an item each with nothing to do. Nanoseconds a call.

      'octet bench networks [<name> ...]' times layers of networks as sessions, in float and with dynamic quantization. \
      Milliseconds.

      'octet bench calibrate' calibrates the demo's network with each observer: how long that takes, over a replay that is not \
      watched, and how long it takes to find the parameters afterwards.

      'octet bench training [<name> ...]' trains: milliseconds of a step of the CNN of PyTorch's MNIST example, 128 images at a \
      time (sgd, adam), of a small residual network (residual) and of inverted residuals (mobile), with the memory that 20 steps \
      take; steps of quantization-aware training, in turn with steps in float (qat cnn, qat residual); and fake-quantization of \
      10 million floats, without and with the mask of gradients.
      """)

  @Argument(
    help: ArgumentHelp(
      "\(Suite.all.map(\.name).joined(separator: ", ")), call, calibrate, networks, training, a model file, or any kind of kernel (softmax, add …).",
      valueName: "what"))
  var what: String

  @Argument(help: ArgumentHelp("Parameters of the problem.", valueName: "name=value"))
  var parameters: [String] = []

  @Option(help: "Rows, of gemm.")
  var m: Int?

  @Option(help: "Columns, of gemm and gemv.")
  var n: Int?

  @Option(help: "Depth, of gemm and gemv.")
  var k: Int?

  @Flag(help: "Run the committed list, as without parameters.")
  var suite = false

  @Option(help: ArgumentHelp("How weights are drawn: normal, uniform ….", valueName: "pattern"))
  var weights: String?

  @Option(help: ArgumentHelp("The instruction set; 'octet cpu' lists them.", valueName: "name"))
  var isa: String?

  @Option(help: ArgumentHelp("Threads.", valueName: "n"))
  var threads = 1

  @Option(help: ArgumentHelp("Data for a model: as for 'octet run'.", valueName: "data"))
  var inputs: String?

  @OptionGroup var options: ModelOptions

  @Flag(help: "Print JSON.")
  var json = false

  /// One problem and its times.
  private struct Row: Encodable {
    let kind: String
    let parameters: String
    let isa: String
    let threads: Int
    let gmacs: Double?
    let gbs: Double?
    let peak_gmacs: Double?
    let fraction: Double?
    let best_us: Double
    let median_us: Double
  }

  private struct Report: Encodable {
    let cpu: String
    let rows: [Row]
  }

  /// Whether the first argument is a file rather than something to measure.
  private var isModel: Bool {
    what.contains("/") || what.hasSuffix(".onnx") || what.hasSuffix(".safetensors")
  }

  func validate() throws {
    if isModel {
      guard [m, n, k] == [nil, nil, nil], weights == nil, isa == nil, !suite else {
        throw ValidationError("models take --inputs, --dimension and --threads; OCTET_ISA chooses the instruction set")
      }
      return try validateThreads()
    }
    guard inputs == nil, options.sizes.isEmpty else {
      throw ValidationError("--inputs and --dimension are for model files, not for \(what)")
    }
    if what == "call" {
      guard parameters.isEmpty, [m, n, k] == [nil, nil, nil], weights == nil, isa == nil, threads == 1, !suite else {
        throw ValidationError("call takes no parameters; OCTET_ISA chooses the instruction set")
      }
      return
    }
    if what == "networks" {
      guard [m, n, k] == [nil, nil, nil], weights == nil, isa == nil, !suite else {
        throw ValidationError("networks takes names and --threads; OCTET_ISA chooses the instruction set")
      }
      let names = NetworksReport.names
      if let stranger = parameters.first(where: { name in !names.contains { $0.hasPrefix(name) } }) {
        throw ValidationError("there is no network \(stranger), but \(names.joined(separator: "; "))")
      }
    }
    if what == "training" {
      guard [m, n, k] == [nil, nil, nil], weights == nil, isa == nil, !suite else {
        throw ValidationError("training takes names and --threads; OCTET_ISA chooses the instruction set")
      }
      let names = TrainingReport.names
      if let stranger = parameters.first(where: { name in !names.contains { $0.hasPrefix(name) } }) {
        throw ValidationError("there is no row \(stranger), but \(names.joined(separator: ", "))")
      }
    }
    if what == "calibrate" {
      guard parameters.isEmpty, [m, n, k] == [nil, nil, nil], weights == nil, isa == nil, !suite else {
        throw ValidationError("calibrate takes --threads alone; OCTET_ISA chooses the instruction set")
      }
    }
    try validateThreads()
    if let isa, !InstructionSet.all.contains(where: { $0.name == isa && $0.isSupported }) {
      let names = InstructionSet.all.filter(\.isSupported).map(\.name).joined(separator: ", ")
      throw ValidationError("--isa takes what this CPU has (\(names)), not \(isa)")
    }
    if !["networks", "calibrate", "training"].contains(what) { _ = try problems() }
  }

  private func validateThreads() throws {
    guard (1...1024).contains(threads) else {
      throw ValidationError("--threads takes a number from 1 to 1024, not \(threads)")
    }
  }

  func run() throws {
    if isModel {
      let report = try ModelReport(
        [what] + parameters, data: inputs, dimensions: options.dimensions, threads: threads)
      return try report.show(json: json)
    }
    if what == "call" { return try CallReport().show(json: json) }
    if what == "networks" { return try NetworksReport(parameters, threads: threads).show(json: json) }
    if what == "training" { return try TrainingReport(parameters, threads: threads).show(json: json) }
    if what == "calibrate" { return try CalibrationReport(threads: threads).show(json: json) }
    let set = try InstructionSet.all.first { $0.name == isa } ?? InstructionSet.chosen()
    let problems = try problems()
    let pool = threads > 1 ? octet_pool_create(threads) : nil
    defer { octet_pool_destroy(pool) }
    let threads = pool.map { octet_pool_threads($0) } ?? 1

    var peaks: [InstructionSet.Arithmetic: Double] = [:]
    var rows: [Row] = []
    let progress = Progress("bench", total: problems.count)
    for problem in problems {
      let arithmetic: InstructionSet.Arithmetic = problem.kind.isInteger ? .int8 : .float32
      if problem.work.macs > 0, peaks[arithmetic] == nil { peaks[arithmetic] = set.peak(arithmetic) * Double(threads) }
      let times = try problem.withRun(on: octet_isa_named(set.name), pool: pool, measure)
      let gmacs = problem.work.macs > 0 ? problem.work.macs / times.best * 1e-9 : nil
      rows.append(
        Row(
          kind: problem.kind.name, parameters: problem.parameters, isa: set.name, threads: threads, gmacs: gmacs,
          gbs: gmacs == nil ? problem.work.bytes / times.best * 1e-9 : nil,
          peak_gmacs: gmacs == nil ? nil : peaks[arithmetic], fraction: gmacs.map { $0 / peaks[arithmetic]! },
          best_us: times.best * 1e6, median_us: times.median * 1e6))
      progress.show(rows.count)
    }
    progress.finish()

    if json { return try printJSON(Report(cpu: Machine.cpuName, rows: rows)) }
    print("\(Machine.cpuName), \(set.name), \(threads == 1 ? "one thread" : "\(threads) threads")\n")
    print(table(rows))
  }

  // MARK: - What to run

  private func problems() throws -> [KernelProblem] {
    let suite = Suite.all.first { $0.name == what } ?? Suite(name: what, kinds: [what], problems: [what])
    let kinds = suite.kinds.compactMap(KernelKind.init)
    guard !kinds.isEmpty else {
      let others = KernelKind.all.map(\.name).filter { kind in !Suite.all.contains { $0.name == kind } }
      throw ValidationError(
        """
        there is nothing called \(what) to measure, but \(Suite.all.map(\.name).joined(separator: ", ")), call, calibrate, networks, training; and the \
        kinds \(others.joined(separator: ", "))
        """)
    }
    let sizes = [("m", m), ("n", n), ("k", k)].compactMap { name, value in value.map { "\(name)=\($0)" } }
    let given = sizes + parameters
    let everywhere = weights.map { ["weights=\($0)"] } ?? []
    guard given.isEmpty || !self.suite else { throw ValidationError("--suite and parameters cannot be combined") }

    func name(_ item: String) -> Substring { item.prefix { $0 != "=" } }
    if let item = given.first(where: { item in suite.fixed.contains { name($0) == name(item) } }) {
      throw ValidationError("\(item): \(what) has \(suite.fixed.joined(separator: " "))")
    }
    do throws(KernelProblem.Refusal) {
      var problems: [KernelProblem] = []
      if given.isEmpty {
        for text in suite.problems {
          let items = text.split(separator: " ").map(String.init)
          problems.append(try KernelProblem(KernelKind(items[0])!, items.dropFirst() + everywhere))
        }
        return problems
      }
      // Those that have every parameter; if none has, the first one says what is wrong.
      let items = suite.fixed + given + everywhere
      let fitting = kinds.filter { kind in items.allSatisfy { kind.takes(name($0)) } }
      for kind in fitting.isEmpty ? [kinds[0]] : fitting { problems.append(try KernelProblem(kind, items)) }
      return problems
    } catch {
      throw ValidationError(error.reason)
    }
  }

  // MARK: - Output

  private func table(_ rows: [Row]) -> Table {
    typealias Column = (name: String, cell: (Row) -> String?)
    let all: [Column] = [
      ("kind", { $0.kind }), ("parameters", { $0.parameters }),
      ("gmacs", { $0.gmacs?.formatted(1) }), ("peak_gmacs", { $0.peak_gmacs?.formatted(1) }),
      ("fraction", { $0.fraction?.formatted(2) }), ("gbs", { $0.gbs?.formatted(1) }),
      ("best_us", { $0.best_us.formatted(2) }), ("median_us", { $0.median_us.formatted(2) }),
    ]
    let columns = all.filter { column in rows.contains { column.cell($0) != nil } }
    var table = Table(columns.map(\.name), trailing: Set(2..<columns.count))
    for row in rows { table.rows.append(columns.map { $0.cell(row) ?? "–" }) }
    return table
  }
}
