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
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @Option(help: ArgumentHelp("Threads of the timed columns.", valueName: "n"))
  var threads = 1

  @Flag(help: "Show the graph as a table after each stage.")
  var graph = false

  func validate() throws {
    guard (1...1024).contains(threads) else {
      throw ValidationError("--threads takes a number from 1 to 1024, not \(threads)")
    }
    guard !(json && graph) else { throw ValidationError("--graph and --json cannot be combined") }
  }

  private struct Report: Encodable {
    let cpu: String
    let isa: String
    let rows: [Measurement]
  }

  /// One form of the network, as it was read back from its file.
  private struct Candidate {
    let name: String
    let bytes: Int
    let session: Session
  }

  func run() throws {
    let isa = try InstructionSet.chosen().name
    let calibration = try DemoData("fashion-mnist-calibration-256")
    let test = try DemoData("fashion-mnist-test-1k")
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("octet-demo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }

    let network = FashionMNISTNet()
    try network.load(contentsOf: DemoData.path("fmnist_cnn", "safetensors"))
    let traced = try network.trace(
      TensorType(.float32, [.symbolic("n"), 1, 28, 28]), outputNames: ["logits"])
    show(traced.tabular(), "traced")
    let fused = try traced.fused()
    show(fused.tabular(), "fused")

    var minmax = QConfig.default
    minmax.activation = MinMaxObserver(dtype: .uint8)
    var candidates = [try candidate("float32", fused, folder)]
    for (name, config) in [("static-minmax", minmax), ("static-histogram", QConfig.default)] {
      let prepared = try fused.prepare(QConfigMap(config))
      try calibrate(prepared, on: calibration, name)
      show(prepared.tabular(), "\(name): calibrated")
      let (converted, report) = try prepared.convert()
      show(converted.tabular(), "\(name): converted")
      if graph { print("\(report)\n") }
      candidates.append(try candidate(name, converted, folder))
      if graph { print("\(name): plan\n\n\(candidates.last!.session.plan.tabular())\n") }
    }

    let rows = try measure(candidates, test)
    if json { return try printJSON(Report(cpu: Machine.cpuName, isa: isa, rows: rows)) }
    print("\(Machine.cpuName), \(isa), \(threads == 1 ? "one thread" : "\(threads) threads")\n")
    print(table(rows))
    print(
      """

      float32 is Octet's own float plan of the same network; SQNR and agreement are against it.
      Next: 'octet demo --graph' shows the graph after each stage; 'octet cpu' what this CPU can reach.
      """)
  }

  private func show(_ table: Table, _ title: String) {
    if graph { print("\(title)\n\n\(table)\n") }
  }

  private func calibrate(_ prepared: PreparedGraph, on data: DemoData, _ title: String) throws {
    let batches = try data.batches(of: 16)
    let progress = Progress("\(title): calibrating", total: batches.count)
    defer { progress.finish() }
    try prepared.calibrate(batches) { progress.show($0) }
  }

  private func candidate(_ name: String, _ graph: Graph, _ folder: URL) throws -> Candidate {
    let path = folder.appendingPathComponent("\(name).safetensors").path
    try graph.save(to: path)
    let bytes = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    return Candidate(name: name, bytes: bytes, session: Session(try Plan(Graph(contentsOf: path)), threads: threads))
  }

  private func measure(_ candidates: [Candidate], _ test: DemoData) throws -> [Measurement] {
    let evaluations = try candidates.map { try DemoEvaluation($0.session, test, progress: "\($0.name): evaluating") }
    let sessions = candidates.map(\.session)
    let single = try medianSeconds(sessions, test.images[0..<1])
    let many = try medianSeconds(sessions, test.images[0..<128])
    return candidates.indices.map { index in
      Measurement(
        name: candidates[index].name, accuracy: evaluations[index].accuracy(test.labels),
        agreement: evaluations[index].agreement(with: evaluations[0]),
        sqnr_db: index == 0 ? nil : evaluations[index].signalToNoise(against: evaluations[0]),
        bytes: candidates[index].bytes, ms_per_image_batch1: single[index] * 1000,
        images_per_second_batch128: 128 / many[index])
    }
  }

  private func table(_ rows: [Measurement]) -> Table {
    var table = Table(
      [
        "", "accuracy", "agreement", "SQNR dB", "bytes", "ms/image, batch 1", "images/s, batch 128", "speed-up 1",
        "128",
      ],
      trailing: [1, 2, 3, 4, 5, 6, 7, 8])
    let float = rows[0]
    for row in rows {
      table.append(
        row.name, (row.accuracy * 100).formatted(1) + " %", (row.agreement * 100).formatted(1) + " %",
        row.sqnr_db?.formatted(1) ?? "–", "\(row.bytes)", row.ms_per_image_batch1.formatted(4),
        row.images_per_second_batch128.formatted(0),
        (float.ms_per_image_batch1 / row.ms_per_image_batch1).formatted(2) + " ×",
        (row.images_per_second_batch128 / float.images_per_second_batch128).formatted(2) + " ×")
    }
    return table
  }
}
