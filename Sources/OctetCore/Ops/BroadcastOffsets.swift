/// Where the elements of a tensor lie that is broadcast to a larger shape: element i of the result comes from
/// element `offsets[i]` of the operand.
package struct BroadcastOffsets {
  private let shape: [Int]
  private let strides: [Int]

  package init(of operand: [Int], to shape: [Int]) {
    self.shape = shape
    var strides = [Int](repeating: 0, count: shape.count)
    var step = 1
    for axis in operand.indices.reversed() {
      if operand[axis] != 1 { strides[axis + shape.count - operand.count] = step }
      step *= operand[axis]
    }
    self.strides = strides
  }

  package subscript(index: Int) -> Int {
    var rest = index
    var offset = 0
    for axis in shape.indices.reversed() {
      offset += rest % shape[axis] * strides[axis]
      rest /= shape[axis]
    }
    return offset
  }

  /// The longest run at the end of the shape whose elements come from neighbours (step 1) or all from one element (step 0).
  /// Runs follow one another: one begins at every multiple of `count`.
  package var run: (count: Int, step: Int) {
    var (count, step) = (1, Int?.none)
    for axis in shape.indices.reversed() where shape[axis] != 1 {
      let isOne = strides[axis] == 0
      guard isOne ? step != 1 : step != 0 && strides[axis] == count else { break }
      step = isOne ? 0 : 1
      count *= shape[axis]
    }
    return (count, step ?? 0)
  }
}
