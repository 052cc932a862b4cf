import Foundation
import Synchronization

private let interruption = Atomic<Int32>(0)

/// Runs `body`, which puts a file in its place, to its end even if Ctrl-C is pressed meanwhile: then the process ends
/// afterwards.
func withoutInterruption<Result>(_ body: () throws -> Result) rethrows -> Result {
  let handlers = [SIGINT, SIGTERM].map { number in
    (number, signal(number) { interruption.store($0, ordering: .relaxed) })
  }
  defer {
    for (number, handler) in handlers { signal(number, handler) }
    let number = interruption.exchange(0, ordering: .relaxed)
    if number != 0 { raise(number) }
  }
  return try body()
}
