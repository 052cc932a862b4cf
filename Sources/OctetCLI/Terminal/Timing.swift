import Dispatch
import Octet

/// Seconds on a clock that only goes forward.
func now() -> Double {
  Double(DispatchTime.now().uptimeNanoseconds) * 1e-9
}

/// The best and the median time of `run` in seconds, after a warm-up: of at least 300 repetitions and 0.2 s, or of the
/// fewer that fit into 2 s. What takes less than 10 µs is repeated within a measurement.
///
/// The best of many short repetitions is what the machine can do, whatever else it does meanwhile.
func measure(_ run: () -> Void) -> (best: Double, median: Double) {
  var start = now()
  var runs = 0
  repeat {
    run()
    runs += 1
  } while now() - start < 0.02
  let repetitions = max(1, Int(1e-5 * Double(runs) / (now() - start)))

  var times: [Double] = []
  let first = now()
  while true {
    start = now()
    for _ in 0..<repetitions { run() }
    let end = now()
    times.append((end - start) / Double(repetitions))
    let elapsed = end - first
    if elapsed > 0.2 && times.count >= 300 || elapsed > 2 && times.count >= 3 { break }
  }
  times.sort()
  return (times[0], times[times.count / 2])
}

extension InstructionSet {
  /// What one thread reaches in registers, in 10⁹ multiply-accumulates a second.
  func peak(_ arithmetic: Arithmetic) -> Double {
    var macs = 0.0
    let time = measure { macs = multiplyInRegisters(arithmetic, iterations: 2000) }
    return macs / time.best * 1e-9
  }
}
