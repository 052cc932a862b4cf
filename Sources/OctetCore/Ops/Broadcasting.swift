/// A function of two tensors' elements, with broadcasting, concurrently.
@inline(__always)
func combine<Element: TensorScalar, Result: TensorScalar>(
  _ a: Tensor, _ b: Tensor, _ function: (Element, Element) -> Result
) throws -> Tensor {
  let shape = try broadcast(a.type.shape, b.type.shape).map { $0.size! }
  let (offsetsA, offsetsB) = (BroadcastOffsets(of: a.shape, to: shape), BroadcastOffsets(of: b.shape, to: shape))
  let (runA, runB) = (offsetsA.run, offsetsB.run)
  let count = min(runA.count, runB.count)
  var result = Tensor(uninitialized: shape, dtype: Result.dtype)
  try result.withUnsafeMutableScalars(as: Result.self) { out in
    try a.withUnsafeScalars(as: Element.self) { x in
      try b.withUnsafeScalars(as: Element.self) { y in
        guard let out = out.baseAddress, let x = x.baseAddress, let y = y.baseAddress else { return }
        concurrently(elements: elementCount(of: shape)) { range in
          forEachRun(of: count, in: range) { start, first, count in
            let (x, y) = (x + offsetsA[start] + first * runA.step, y + offsetsB[start] + first * runB.step)
            let out = out + start + first
            // (Loops of their own, so that each is one of vectors.)
            switch (runA.step, runB.step) {
            case (1, 1): for k in 0..<count { out[k] = function(x[k], y[k]) }
            case (1, _): for k in 0..<count { out[k] = function(x[k], y[0]) }
            case (_, 1): for k in 0..<count { out[k] = function(x[0], y[k]) }
            default: for k in 0..<count { out[k] = function(x[0], y[0]) }
            }
          }
        }
      }
    }
  }
  return result
}

/// The parts of runs of `length` elements, one after another, that lie in a range: (where the run begins, what comes before
/// the part in it, elements).
@inline(__always)
func forEachRun(of length: Int, in range: Range<Int>, _ body: (_ start: Int, _ first: Int, _ count: Int) -> Void) {
  var element = range.lowerBound
  while element < range.upperBound {
    let first = element % length
    let count = min(length - first, range.upperBound - element)
    body(element - first, first, count)
    element += count
  }
}
