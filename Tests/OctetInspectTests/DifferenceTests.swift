import OctetCore
import OctetInspect
import TestSupport
import Testing

@Suite struct DifferenceTests {
  @Test func figuresAreThoseOfTheirDefinitions() throws {
    var difference = Difference()
    #expect(difference.sqnr == .infinity && difference.agreement == nil && difference.elements == 0)
    // Noise 0.25 + 1, signal 4 + 1 + 9 + 16; the first row agrees on its largest element, the second does not.
    try difference.add(
      Tensor([Float(2), 1.5, 3, 3], shape: [2, 2]), reference: Tensor([Float(2), 1, 3, 4], shape: [2, 2]))
    #expect(abs(difference.sqnr - 13.8021) < 1e-3)
    #expect(difference.largest == 1 && difference.elements == 4)
    #expect(difference.agreement == 0.5)
    // Another batch goes on from there: signal 30 + 100, noise 1.25 + 4.
    try difference.add(Tensor([Float(8), 0], shape: [1, 2]), reference: Tensor([Float(10), 0], shape: [1, 2]))
    #expect(abs(difference.sqnr - 13.9377) < 1e-3)
    #expect(difference.largest == 2 && difference.elements == 6)
    #expect(difference.agreement == 2.0 / 3)
  }

  @Test func whatIsEqualDoesNotDiffer() throws {
    var difference = Difference()
    let values = try Tensor([Float.infinity, .nan, -.infinity, 1], shape: [4])
    try difference.add(values, reference: values)
    #expect(difference.sqnr == .infinity && difference.largest == 0 && difference.agreement == 1)
    try difference.add(Tensor([Float.nan], shape: [1]), reference: Tensor([Float(1)], shape: [1]))
    #expect(difference.largest.isNaN && difference.sqnr.isNaN)
  }

  @Test func integersAndTruthValuesAreNumbers() throws {
    var integers = Difference()
    try integers.add(Tensor([Int64(3), -1], shape: [2]), reference: Tensor([Int64(1), -1], shape: [2]))
    #expect(integers.largest == 2)
    var truths = Difference()
    try truths.add(Tensor([true, false], shape: [2]), reference: Tensor([true, true], shape: [2]))
    #expect(truths.largest == 1 && truths.agreement == 1)
  }

  @Test func unlikeTensorsAreErrors() throws {
    var difference = Difference()
    let two = try Tensor([Float(1), 2], shape: [2])
    #expect(octetError { try difference.add(two, reference: Tensor([Float(1)], shape: [1])) }?.code == .shapeMismatch)
    #expect(
      octetError { try difference.add(two, reference: Tensor([Int8(1), 2], shape: [2])) }?.code == .dtypeMismatch)
    #expect(difference.elements == 0)
  }
}
