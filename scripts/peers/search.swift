// What the comparison calls of Octet's Swift: the search for the parameters of a histogram, timed here.

/// The seconds of `count` searches; the range that was found goes to `result`.
@_cdecl("bench_search")
public func benchSearch(
  _ counts: UnsafePointer<Float>, _ bins: Int, _ minimum: Float, _ maximum: Float,
  _ result: UnsafeMutablePointer<Float>,
  _ count: Int
) -> Double {
  let histogram = Array(UnsafeBufferPointer(start: counts, count: bins))
  let time = ContinuousClock().measure {
    for _ in 0..<count {
      let range = NormMinimization(counts: histogram, minimum: minimum, maximum: maximum, destinationBins: 256).range()
      (result[0], result[1]) = range
    }
  }
  return time / .seconds(1)
}
