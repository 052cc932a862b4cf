import CAllocationCount
import Foundation
import OctetCore
import OctetQuantization
import Synchronization
import TestNetworks
import TestSupport
import Testing

/// Calibration streams, on one thread or several.
@Suite(.timeLimit(.minutes(2))) struct ParallelCalibrationTests {
  private func state(_ prepared: PreparedGraph) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return String(decoding: try encoder.encode(prepared.calibration), as: UTF8.self)
  }

  private func batches(of network: Network, _ count: Int) throws -> [[String: Tensor]] {
    let names = try network.graph().inputs.map(\.name)
    return try (0..<count).map {
      Dictionary(uniqueKeysWithValues: zip(names, try network.inputs(batch: 1 + $0 % 3, seed: UInt64($0))))
    }
  }

  /// The same bits on any number of threads, for observers to which the order matters too.
  @Test(arguments: ["plain CNN", "residual", "concat of channels", "two inputs, two outputs"], [2, 3, 8])
  func theSameAsOnOneThread(_ name: String, _ threads: Int) throws {
    let network = Network.named(name)
    let batches = try batches(of: network, 20)
    for activation in [HistogramObserver(), MovingAverageMinMaxObserver(averagingConstant: 0.2)] as [any Observer] {
      let map = QConfigMap(QConfig(activation: activation, weight: QConfig.minMax.weight))
      let (one, several) = (try network.graph().prepare(map), try network.graph().prepare(map))
      try one.calibrate(batches)
      try several.calibrate(batches, threads: threads)
      #expect(try state(several) == state(one))
      #expect(several.sites.allSatisfy { $0.observations == 20 * $0.values.count })
    }
  }

  /// Errors end all threads, and it is the first batch's that counts.
  @Test(arguments: [1, 2, 5])
  func theFirstErrorIsThrown(_ threads: Int) throws {
    let network = Network.named("plain CNN")
    for _ in 0..<5 {
      let prepared = try network.graph().prepare(QConfigMap(.minMax))
      var batches = try (0..<30).map { try network.inputs(batch: 1, seed: UInt64($0))[0] }
      batches[12] = try Tensor(repeating: Float.nan, shape: [1, 3, 8, 8])
      batches[13] = try Tensor(zeros: [1, 2, 8, 8])
      batches[14] = try Tensor(zeros: [1, 3, 8, 8], dtype: .uint8)
      #expect(octetError { try prepared.calibrate(batches, threads: threads) }?.code == .notANumber)
      // The twelve before it have been seen; of those behind it, none.
      #expect(prepared.sites["x"]?.observations == 12)
      // Another calibration goes on.
      try prepared.calibrate(batches[..<12], threads: threads)
      #expect(prepared.sites["x"]?.observations == 24)
    }
  }

  @Test func wrongNumbersOfThreads() throws {
    let prepared = try Network.named("plain CNN").graph().prepare(QConfigMap(.minMax))
    for threads in [0, -1] {
      let error = octetError { try prepared.calibrate([Tensor(zeros: [1, 3, 8, 8])], threads: threads) }
      #expect(error?.code == .invalidArgument)
    }
    #expect(octetError { try prepared.calibrate([Tensor](), threads: 3) }?.code == .notObserved)
    try prepared.calibrate([Tensor(zeros: [1, 3, 8, 8])], threads: 9)
    #expect(prepared.sites["x"]?.observations == 1)
  }

  /// No more batches are drawn than threads can replay.
  @Test(arguments: [1, 4])
  func batchesAreDrawnWhenAThreadIsFree(_ threads: Int) throws {
    let network = Network.named("plain CNN")
    let prepared = try network.graph().prepare(QConfigMap(.minMax))
    let done = Mutex(0)
    var ahead = 0
    let batches = (0..<40).lazy.map { index -> Tensor in
      ahead = max(ahead, index + 1 - done.withLock { $0 })
      return try! network.inputs(batch: 1, seed: UInt64(index))[0]
    }
    try prepared.calibrate(batches, threads: threads) { count in done.withLock { $0 = count } }
    #expect((1...threads).contains(ahead))
  }

  /// Memory for 100 batches is memory for 10,000.
  @Test(.enabled(if: octet_can_count_allocations()), arguments: [false, true])
  func memoryDoesNotGrowWithBatches(_ isAveraging: Bool) throws {
    let network = Network.named("one channel, one pixel")
    let activation: any Observer = isAveraging ? MovingAverageMinMaxObserver() : HistogramObserver()
    func peak(_ batches: Int) throws -> Int {
      let prepared = try network.graph().prepare(
        QConfigMap(QConfig(activation: activation, weight: QConfig.minMax.weight)))
      try prepared.calibrate([network.inputs(batch: 4, seed: 0)[0]])
      octet_count_allocations(1)
      defer { _ = octet_counted_allocations() }
      try prepared.calibrate((0..<batches).lazy.map { try! network.inputs(batch: 4, seed: UInt64($0))[0] })
      return octet_counted_allocations().peak
    }
    let (few, many) = (try peak(100), try peak(10_000))
    #expect(few > 400 && few < 200_000, "\(few) bytes: one batch of 400, and what becomes of it")
    #expect(many <= few + 256, "\(many) bytes for 10,000 batches, \(few) for 100")
  }
}
