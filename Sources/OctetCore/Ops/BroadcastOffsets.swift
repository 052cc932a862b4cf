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
}
