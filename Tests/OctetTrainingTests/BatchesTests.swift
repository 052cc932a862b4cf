import OctetCore
import OctetTraining
import TestSupport
import Testing

@Suite("Batches") struct BatchesTests {
  private func dataset(_ count: Int = 23, shape: [Int] = [1, 6, 5]) throws -> Dataset {
    let elements = elementCount(of: shape)
    return try Dataset(
      [
        "images": Tensor(
          (0..<count * elements).map { (i: Int) -> UInt8 in UInt8(truncatingIfNeeded: i % 255 + 1) },
          shape: [count] + shape),
        "masks": Tensor((0..<count * elements).map { (i: Int) -> Float in Float(1 + i % 255) }, shape: [count] + shape),
        "numbers": Tensor((0..<Int64(count)).map { $0 }, shape: [count]),
      ], scales: ["images": 1])
  }

  private func numbers(_ batches: Batches, _ epoch: Int) throws -> [Int64] {
    try batches.epoch(epoch).flatMap { try $0["numbers"].scalars(as: Int64.self) }
  }

  @Test func epochsHoldEverySampleOnceInTheirOwnOrder() throws {
    let plain = try Batches(dataset(), size: 5)
    #expect(plain.count == 5)
    #expect(plain.epoch(0).map(\.count) == [5, 5, 5, 5, 3])
    #expect(try numbers(plain, 3) == Array(0..<23))
    let shuffled = try Batches(dataset(), size: 5, shuffled: true, seed: 7)
    let orders = try (0..<4).map { try numbers(shuffled, $0) }
    #expect(Set(orders).count == 4)
    for order in orders { #expect(order.sorted() == Array(0..<23) && order != order.sorted()) }
    // Asked for again, in another order: the epoch's number decides.
    #expect(try numbers(shuffled, 2) == orders[2])
    #expect(try numbers(Batches(dataset(), size: 5, shuffled: true, seed: 8), 2) != orders[2])
    let dropping = try Batches(dataset(), size: 5, shuffled: true, seed: 7, dropsLast: true)
    #expect(dropping.count == 4)
    #expect(try numbers(dropping, 1) == Array(orders[1].prefix(20)))
  }

  @Test func anEpochCanBeginWithAnyBatch() throws {
    let batches = try Batches(dataset(), size: 5, shuffled: true, augmentations: ["images": [.shift(2)]])
    let (all, rest) = (Array(batches.epoch(1)), Array(batches.epoch(1, from: 3)))
    #expect(rest.count == 2)
    for (whole, late) in zip(all.dropFirst(3), rest) {
      #expect(whole.samples == late.samples)
      #expect(try whole["images"].floats == late["images"].floats)
    }
    #expect(Array(batches.epoch(1, from: 5)).isEmpty)
  }

  /// On another thread the same batches are made.
  @Test func prefetchingChangesNothing() throws {
    let augmentations: [String: [Augmentation]] = [
      "images": [.shift(2), .flip()], "masks": [.crop(height: 3, width: 4)],
    ]
    let with = try Batches(dataset(), size: 4, shuffled: true, seed: 3, augmentations: augmentations)
    let without = try Batches(
      dataset(), size: 4, shuffled: true, seed: 3, augmentations: augmentations, prefetches: false)
    for epoch in 0..<3 {
      let (a, b) = (Array(with.epoch(epoch)), Array(without.epoch(epoch)))
      #expect(a.count == 6 && a.map(\.samples) == b.map(\.samples))
      for (a, b) in zip(a, b) {
        for name in ["images", "masks"] { #expect(try a[name].floats == b[name].floats) }
      }
    }
    // One that is left early.
    for batch in with.epoch(0) {
      #expect(batch.count == 4)
      break
    }
  }

  // MARK: - Augmentation

  /// What a sample looks like with nothing or something done to it, in any order and in batches of any size.
  private func images(_ list: [Augmentation], epoch: Int, size: Int, shuffled: Bool) throws -> [[Float]] {
    let batches = try Batches(
      dataset(), size: size, shuffled: shuffled, seed: 5, augmentations: ["images": list, "masks": list])
    var found = [[Float]](repeating: [], count: 23)
    for batch in batches.epoch(epoch) {
      let (images, masks) = (try batch["images"].floats, try batch["masks"].floats)
      #expect(images == masks)
      let row = images.count / batch.count
      for (place, sample) in batch.samples.enumerated() {
        found[sample] = Array(images[place * row..<(place + 1) * row])
      }
    }
    return found
  }

  @Test(arguments: [[Augmentation.shift(2)], [.flip()], [.crop(height: 4, width: 3, padding: 1), .flip(), .shift(1)]])
  func aSampleChangesByItsEpochAndNumberAlone(_ list: [Augmentation]) throws {
    let first = try images(list, epoch: 1, size: 4, shuffled: true)
    #expect(try images(list, epoch: 1, size: 7, shuffled: false) == first)
    #expect(try images(list, epoch: 2, size: 4, shuffled: true) != first)
  }

  private func places(_ ys: ClosedRange<Int>, _ xs: ClosedRange<Int>) -> [[Int]] {
    ys.flatMap { y in xs.map { x in [y, x] } }
  }

  /// A part of an image of 6 × 5, zeros outside.
  private func part(of image: [Float], at place: [Int], height: Int, width: Int) -> [Float] {
    var part: [Float] = []
    for y in place[0]..<place[0] + height {
      for x in place[1]..<place[1] + width {
        part.append((0..<6).contains(y) && (0..<5).contains(x) ? image[y * 5 + x] : 0)
      }
    }
    return part
  }

  /// A shift is one of the 25 that there are, everything else is zeros; all of them come about.
  @Test func shiftsMoveAndFillWithZeros() throws {
    let originals = try images([], epoch: 0, size: 23, shuffled: false)
    var seen: Set<[Int]> = []
    for epoch in 0..<20 {
      for (image, original) in zip(try images([.shift(2)], epoch: epoch, size: 23, shuffled: false), originals) {
        let moves = places(-2...2, -2...2).filter { image == part(of: original, at: $0, height: 6, width: 5) }
        #expect(moves.count == 1)
        seen.formUnion(moves)
      }
    }
    #expect(seen.count == 25)
  }

  @Test func flipsExchangeLeftAndRight() throws {
    let originals = try images([], epoch: 0, size: 23, shuffled: false)
    let mirrored = originals.map { (image: [Float]) -> [Float] in
      (0..<6).flatMap { (row: Int) -> [Float] in image[row * 5..<row * 5 + 5].reversed() }
    }
    #expect(try images([.flip(probability: 1)], epoch: 0, size: 4, shuffled: false) == mirrored)
    #expect(try images([.flip(probability: 0)], epoch: 0, size: 4, shuffled: false) == originals)
    let some = try (0..<20).flatMap { try images([.flip()], epoch: $0, size: 23, shuffled: false) }
    let count = some.indices.count { (i: Int) -> Bool in some[i] == mirrored[i % 23] }
    #expect((180...280).contains(count), "\(count) of 460")
  }

  @Test func cropsAreParts() throws {
    let originals = try images([], epoch: 0, size: 23, shuffled: false)
    var seen: Set<[Int]> = []
    for epoch in 0..<20 {
      let cropped = try images([.crop(height: 4, width: 4, padding: 1)], epoch: epoch, size: 23, shuffled: false)
      for (image, original) in zip(cropped, originals) {
        #expect(image.count == 16)
        let found = places(-1...3, -1...2).filter { image == part(of: original, at: $0, height: 4, width: 4) }
        #expect(found.count == 1)
        seen.formUnion(found)
      }
    }
    #expect(seen.count == 20)
  }

  @Test func whatDoesNotFitIsAnError() throws {
    func code(_ name: String = "images", _ list: [Augmentation] = [], size: Int = 4, dropsLast: Bool = false)
      -> OctetError.Code?
    {
      octetError { try Batches(dataset(), size: size, augmentations: [name: list], dropsLast: dropsLast) }?.code
    }
    #expect(code(size: 0) == .invalidArgument)
    #expect(code(size: 24, dropsLast: true) == .invalidArgument)
    #expect(code("image") == .unknownName)
    #expect(code("numbers", [.flip()]) == .shapeMismatch)
    #expect(code(list: .shift(-1)) == .invalidArgument && code(list: .shift(1 << 62)) == .invalidArgument)
    #expect(code(list: .flip(probability: .nan)) == .invalidArgument)
    #expect(code(list: .crop(height: 7, width: 5)) == .shapeMismatch)
    #expect(code(list: .crop(height: 4, width: 4, padding: 1 << 62)) == .shapeMismatch)
    // The second of two is too large for what the first leaves.
    #expect(code("images", [.crop(height: 3, width: 3), .crop(height: 4, width: 3)]) == .shapeMismatch)

    func code(list: Augmentation) -> OctetError.Code? { code("images", [list]) }
  }
}
