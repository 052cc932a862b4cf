import ArgumentParser
import Foundation
import Octet

struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Quantize a small network and compare it with its float original.",
    discussion: """
      A convolutional network for Fashion-MNIST is traced, fused, calibrated on 256 images, converted to int8, saved, \
      read again, and evaluated on 1,000 images: once with min-max observers, once with histograms.

      With --train the network of PyTorch's MNIST example is trained from its first random parameters, then quantized \
      three times: dynamically, statically, and with training that goes on as if in integers (quantization-aware). Handwritten \
      digits of 8 × 8 pixels come with the command: it learns from 1,297 and is tested on 500 others. Full Fashion-MNIST \
      (60,000 and 10,000 images) is taken from the folder that --data names; 'scripts/get-data' puts it there.
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Train a network first.")
  var train = false

  @Flag(help: "With --train: digits and few epochs, whatever else there is.")
  var quick = false

  @Option(help: ArgumentHelp("With --train: bits of the weights, 8 or 4. Activations have 8.", valueName: "n"))
  var bits: Int?

  @Option(help: ArgumentHelp("With --train: where Fashion-MNIST is, four IDX files.", valueName: "folder"))
  var data: String?

  @Option(
    help: ArgumentHelp(
      "With --train: epochs in float (10; for digits 40, with --quick 30). A part of them follows in integers.",
      valueName: "n"))
  var epochs: Int?

  @Option(
    help: ArgumentHelp(
      "With --train: where random numbers start. The same seed gives the same network.", valueName: "n"))
  var seed: UInt64?

  @Option(
    help: ArgumentHelp(
      "Threads of the timed columns (1); with --train: of training (as many as cores), timed columns have one.",
      valueName: "n"))
  var threads: Int?

  @Flag(help: "Show the graph as a table after each stage.")
  var graph = false

  func validate() throws {
    guard (1...1024).contains(threads ?? 1) else {
      throw ValidationError("--threads takes a number from 1 to 1024, not \(threads!)")
    }
    guard !(json && graph) else { throw ValidationError("--graph and --json cannot be combined") }
    guard !(train && graph) else { throw ValidationError("--graph and --train cannot be combined") }
    let others =
      [("--quick", quick), ("--bits", bits != nil), ("--data", data != nil), ("--epochs", epochs != nil)]
      + [("--seed", seed != nil)]
    if !train, let (name, _) = others.first(where: \.1) { throw ValidationError("\(name) goes with --train only") }
    guard [8, 4].contains(bits ?? 8) else { throw ValidationError("--bits takes 8 or 4, not \(bits!)") }
    guard (1...10_000).contains(epochs ?? 1) else {
      throw ValidationError("--epochs takes a number from 1 to 10000, not \(epochs!)")
    }
    guard !(quick && data != nil) else {
      throw ValidationError("--quick takes the digits: leave out --data or --quick")
    }
  }

  private struct Report: Encodable {
    let cpu: String
    let isa: String
    let rows: [Measurement]
  }

  func run() throws {
    let isa = try InstructionSet.chosen().name
    var notes: [String] = []
    let rows: [Measurement]
    if train {
      let trained = try TrainedDemo(self)
      rows = try trained.rows()
      notes = trained.notes
    } else {
      rows = try ready()
    }
    if json { return try printJSON(Report(cpu: Machine.cpuName, isa: isa, rows: rows)) }
    let threads = train ? 1 : threads ?? 1
    print("\(Machine.cpuName), \(isa), \(threads == 1 ? "one thread" : "\(threads) threads")\n")
    print(rows.tabular())
    print(
      """

      \(rows[0].name) is Octet's own float plan of the same network; SQNR and agreement are against it.
      """)
    for note in notes { print(note) }
    print(
      train
        ? "Next: 'octet demo --train --bits 4' has weights of 4 bits, which only training makes good."
        : "Next: 'octet demo --graph' shows the graph after each stage; 'octet demo --train' trains one.")
  }

  /// The network that comes with the command.
  private func ready() throws -> [Measurement] {
    let calibration = try DemoData("fashion-mnist-calibration-256")
    let test = try DemoData("fashion-mnist-test-1k")
    let network = FashionMNISTNet()
    try network.load(contentsOf: DemoData.path("fmnist_cnn", "safetensors"))
    let traced = try network.trace(
      TensorType(.float32, [.symbolic("n"), 1, 28, 28]), outputNames: ["logits"])
    show(traced.tabular(), "traced")
    let fused = try traced.fused()
    show(fused.tabular(), "fused")

    var minmax = QConfig.default
    minmax.activation = MinMaxObserver(dtype: .uint8)
    let candidates = try Candidates(threads: threads ?? 1)
    try candidates.add("float32", fused)
    for (name, config) in [("static-minmax", minmax), ("static-histogram", QConfig.default)] {
      let prepared = try fused.prepare(QConfigMap(config))
      try calibrate(prepared, on: calibration, name)
      show(prepared.tabular(), "\(name): calibrated")
      let (converted, report) = try prepared.convert()
      show(converted.tabular(), "\(name): converted")
      if graph { print("\(report)\n") }
      let plan = try candidates.add(name, converted)
      if graph { print("\(name): plan\n\n\(plan.tabular())\n") }
    }
    return try candidates.measure(test)
  }

  private func show(_ table: Table, _ title: String) {
    if graph { print("\(title)\n\n\(table)\n") }
  }
}

/// Shows a prepared graph representative images.
func calibrate(_ prepared: PreparedGraph, on data: DemoData, _ title: String) throws {
  let batches = try data.batches(of: 16)
  let progress = Progress("\(title): calibrating", total: batches.count)
  defer { progress.finish() }
  try prepared.calibrate(batches) { progress.show($0) }
}
