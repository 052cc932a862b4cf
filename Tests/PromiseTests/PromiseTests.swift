import OctetCore
import OctetEngine
import OctetFormats
import OctetGraph
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// The promises of ARCHITECTURE.md, one test of each name. (Same bits on every instruction set: GoldenDigestTests. One
/// requantization: RequantizationTests. Files and layering have suites of their own.)
@Suite struct PromiseTests {
  /// For the same integers in, at most one step between the fake-quantized float operation and the compiled integers.
  @Test(arguments: Network.all)
  func whatYouTrainedIsWhatYouRun(_ network: Network) throws {
    let (graph, report) = try network.converted()
    let values = try values(of: graph, network.inputs(batch: 5, seed: 31))
    let quantized = Set(report.quantized.map(\.node))
    for node in graph.nodes where quantized.contains(node.name) {
      let operation = try #require(try SingleOperation(node, in: graph), "\(node.name) is not between pairs")
      let (differing, count, most) = try operation.compare(values)
      #expect(most <= 1, "\(node.name): \(most) steps")
      // Averages of small integers are often ties, which float rounding decides.
      let isAverage = [.averagePool, .adaptiveAveragePool, .mean, .resize].contains(node.op.kind)
      #expect(
        differing * 100 <= count * (isAverage ? 10 : 1) + 100, "\(node.name): \(differing) of \(count) integers differ")
    }
  }

  /// The same for a network that has been trained with fake quantization: its values against the integers.
  @Test(arguments: Network.all)
  func whatYouTrainedIsWhatYouRunAfterTraining(_ network: Network) throws {
    let prepared = try network.traced().prepareQAT(network.map)
    try prepared.train(on: (0..<4).map { try network.inputs(batch: 4, seed: 200 + $0) })
    for operation in try TrainedOperation.all(of: prepared, network.inputs(batch: 5, seed: 31)) {
      #expect(operation.isAsTrained, "\(operation)")
    }
  }

  /// Every node is in the report; what it calls quantized runs in integers, what it does not has a reason.
  @Test(arguments: Network.all)
  func noSilentSkip(_ network: Network) throws {
    let graph = try network.graph()
    let (converted, report) = try network.converted()
    #expect(report.entries.map(\.node) == graph.nodes.map(\.name))
    #expect(report.kept.allSatisfy { $0.reason?.isEmpty == false })
    #expect(try Plan(converted).integerNodes == report.quantized.map(\.node))
  }

  /// No batch, and nothing computed from one, outlives its step.
  @Test func boundedCalibration() throws {
    let network = Network.named("residual")
    let ledger = Ledger()
    let prepared = try network.graph().prepare(
      QConfigMap(QConfig(activation: LedgerObserver(ledger: ledger), weight: QConfig.minMax.weight)))
    var alive: [Int] = []
    let batches = (0..<40).lazy.map { batch -> Tensor in
      alive.append(ledger.alive)
      let x = try! network.inputs(batch: 2, seed: UInt64(batch))[0]
      ledger.add(x)
      return x
    }
    try prepared.calibrate(batches)
    #expect(ledger.count >= 40 * 4, "all batches and values were seen")
    // At most the batch before, which the loop's variable may still hold.
    #expect(alive.max()! <= 1, "\(alive)")
    #expect(ledger.alive <= 1)
  }

  /// A sample of every way in; the suites of each module hold many more.
  @Test func badInputIsAnErrorNeverACrash() throws {
    let network = Network.named("plain CNN")
    let graph = try network.graph()
    let prepared = try graph.prepare(network.map)
    let x = try network.inputs(batch: 1, seed: 1)[0]
    let nan = try Tensor(repeating: Float.nan, shape: x.shape)
    let wrong = try Tensor(zeros: [1, 2, 3])
    #expect(octetError { try prepared.convert() }?.code == .notObserved)
    #expect(octetError { try prepared.calibrate([Tensor]()) }?.code == .notObserved)
    #expect(octetError { try prepared.calibrate([nan]) }?.code == .notANumber)
    #expect(octetError { try prepared.calibrate([wrong]) }?.code == .shapeMismatch)
    #expect(octetError { try graph.replay([wrong]) }?.code == .shapeMismatch)
    try prepared.calibrate([x])
    let session = Session(try Plan(prepared.convert().graph))
    #expect(octetError { try session(nan) }?.code == .notANumber)
    #expect(octetError { try session(wrong) }?.code == .shapeMismatch)
    #expect(octetError { try session.run(["y": x]) }?.code == .unknownName)
    #expect(octetError { try Graph(contentsOf: "/no/such/file") }?.code == .fileAccess)
    #expect(octetError { try Graph(contentsOf: "/etc/hostname") }?.code == .invalidFile)
    var broken = graph
    broken.nodes[0].inputs[0] = "nothing"
    #expect(octetError { try Plan(broken) }?.code == .invalidGraph)
    #expect(octetError { try broken.prepare(network.map) } != nil)
  }
}

/// Which of the tensors that were seen still have memory.
private final class Ledger: @unchecked Sendable, Codable {
  private struct Entry {
    weak var storage: TensorStorage?
  }

  private var entries: [Entry] = []

  init() {}
  init(from decoder: any Decoder) {}
  func encode(to encoder: any Encoder) {}

  func add(_ tensor: Tensor) {
    if case .concrete(let storage, _, _) = tensor.representation { entries.append(Entry(storage: storage)) }
  }

  var count: Int { entries.count }
  var alive: Int { Set(entries.compactMap { $0.storage.map(ObjectIdentifier.init) }).count }
}

private struct LedgerObserver: Observer {
  let ledger: Ledger
  func observe(_ x: Tensor) { ledger.add(x) }
  func calculateQParams() throws -> QuantizationParameters {
    try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: .uint8)
  }
  func merge(_ other: LedgerObserver) {}
  func reset() {}
}
