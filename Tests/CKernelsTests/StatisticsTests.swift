import CKernels
import Testing

@Suite struct StatisticsTests {
  private struct Extremes: Equatable {
    var minimum = Float.infinity
    var maximum = -Float.infinity
    var infinities = 0
    var nans = 0
  }

  @Test(arguments: InstructionSet.supported)
  func `extremes leave out infinities and NaN, and count them`(set: InstructionSet) {
    for count in [0, 1, 5, 31, 64, 65, 1000, 5000, 20000] {
      for dirt in [0, 1, 7] {
        var random = SeededGenerator(seed: count + dirt)
        var values = random.floats(count, in: -50...70)
        for _ in 0..<dirt where count > 0 {
          let strange: [Float] = [.nan, .infinity, -.infinity, 3e38, -0.0]
          values[Int.random(in: 0..<count, using: &random)] = strange.randomElement(using: &random)!
        }
        var expected = Extremes()
        for value in values {
          if value.isNaN {
            expected.nans += 1
          } else if value.isInfinite {
            expected.infinities += 1
          } else {
            expected.minimum = min(expected.minimum, value)
            expected.maximum = max(expected.maximum, value)
          }
        }
        var found = Extremes()
        let x = GuardedMemory(values)
        for part in [0..<count / 3, count / 3..<count] {
          set.isa.min_max(
            x.pointer + part.lowerBound, part.count, &found.minimum, &found.maximum, &found.infinities,
            &found.nans)
        }
        withExtendedLifetime(x) {}
        #expect(found == expected, "\(count) values, \(dirt) strange")
      }
    }
  }

  @Test func `histogram as torch.histc`() {
    for (count, bins) in [(1, 1), (7, 3), (100, 10), (5000, 2048), (5000, 100), (1000, 3000), (4096, 7)] {
      var random = SeededGenerator(seed: count + bins)
      var values = random.floats(count, in: -3...5)
      let minimum: Float = -1.7
      let maximum: Float = 3.3
      let strange: [Float] = [.nan, .infinity, -.infinity, minimum, maximum, maximum.nextUp, minimum.nextDown]
      for i in stride(from: 0, to: count, by: 5) { values[i] = strange[i / 5 % strange.count] }
      var expected = [Float](repeating: 2, count: bins)
      for value in values where value >= minimum && value <= maximum {
        expected[min(bins - 1, Int((value - minimum) * Float(bins) / (maximum - minimum)))] += 1
      }
      for set in InstructionSet.supported {
        let counts = GuardedMemory([Float](repeating: 2, count: bins))
        let x = GuardedMemory(values)
        set.isa.histogram(x.pointer, count, minimum, maximum, counts.pointer, bins)
        withExtendedLifetime(x) {}
        #expect(counts.values == expected, "\(set), \(count) values, \(bins) bins")
      }
    }
  }
}
