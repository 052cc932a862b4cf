import Foundation
import OctetCore
import OctetGraph

/// Batches on their way through a graph, on one thread or several.
///
/// Every site sees the batches in their order, whichever thread replays them: a thread waits at a site until the one
/// before has passed it. So the result is that of one thread to the last bit.
final class CalibrationRun: @unchecked Sendable {
  private final class Watched {
    var site: Site
    /// How many tensors have been shown in this run: one of each value from every batch before the current one.
    var count = 0

    init(_ site: Site) { self.site = site }
  }

  private struct Stopped: Error {}

  private let graph: Graph
  private let watched: [Watched]
  private let indexOfValue: (String) -> Int?

  /// Guards what follows.
  private let drawing = NSLock()
  private let next: () throws -> [Tensor]?
  private let progress: ((Int) -> Void)?
  private(set) var drawn = 0
  private var finished = 0

  /// Guards `failure` and the counts of sites. A site's observer is guarded by its turn.
  private let turn = NSCondition()
  private var failure: (batch: Int, error: any Error)?

  init(
    _ graph: Graph, _ sites: Sites, progress: ((Int) -> Void)?, next: @escaping () throws -> [Tensor]?
  ) {
    self.graph = graph
    self.next = next
    self.progress = progress
    watched = sites.map(Watched.init)
    indexOfValue = { sites.index(ofValue: $0) }
  }

  var sites: [Site] { watched.map(\.site) }

  /// Replays all batches. What has been seen before an error stays.
  func run(threads: Int) throws {
    // (Each replay stays on its thread, wherever calibration was called.)
    withThreads(1) { ThreadPool(threads: threads).run(Call(items: threads) { [unowned self] _, _ in work() }) }
    if let failure { throw failure.error }
  }

  private func work() {
    while let (batch, inputs) = draw() {
      do {
        _ = try graph.replay(inputs) { value, tensor in
          try self.observe(value, tensor, batch)
          return tensor
        }
      } catch {
        return fail(batch, error)
      }
      drawing.withLock {
        finished += 1
        progress?(finished)
      }
    }
  }

  /// The next batch and its number; `nil` if there is none or the run has failed.
  private func draw() -> (Int, [Tensor])? {
    drawing.withLock {
      guard turn.withLock({ failure == nil }) else { return nil }
      do {
        guard let inputs = try next() else { return nil }
        drawn += 1
        return (drawn - 1, inputs)
      } catch {
        fail(drawn, error)
        return nil
      }
    }
  }

  private func observe(_ value: String, _ tensor: Tensor, _ batch: Int) throws {
    guard let index = indexOfValue(value) else { return }
    let watched = watched[index]
    try turn.withLock {
      while watched.count < batch * watched.site.values.count {
        // Nothing before the batch that failed waits for one behind it.
        if let failure, failure.batch < batch { throw Stopped() }
        turn.wait()
      }
    }
    try watched.site.observe(tensor)
    turn.withLock {
      watched.count += 1
      turn.broadcast()
    }
  }

  /// The error of the earliest batch is the one that one thread would have met.
  private func fail(_ batch: Int, _ error: any Error) {
    turn.withLock {
      if failure == nil || batch < failure!.batch { failure = (batch, error) }
      turn.broadcast()
    }
  }
}
