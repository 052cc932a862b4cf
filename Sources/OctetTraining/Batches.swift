import Dispatch
import OctetCore
import OctetNN
import Synchronization

/// How a ``Dataset`` is handed out: epoch by epoch in batches, in an order and with augmentations that depend on the seed and
/// the number of the epoch alone.
///
///     let batches = try Batches(digits, size: 64, shuffled: true, seed: 1, augmentations: ["images": [.shift(1)]])
///     for epoch in 0..<10 {
///       for batch in batches.epoch(epoch) { … try batch["images"] … }
///     }
public struct Batches: Sendable {
  public let dataset: Dataset
  /// Samples of a batch; the last one of an epoch may have fewer.
  public let size: Int
  /// Whether every epoch has an order of its own.
  public let isShuffled: Bool
  public let seed: UInt64
  /// What is done to arrays of images, by name, one after another.
  public let augmentations: [String: [Augmentation]]
  /// Whether samples that do not fill a batch are left out, of each epoch others.
  public let dropsLast: Bool
  /// Whether the next batch is made on another thread while one is used. The batches are the same.
  public let prefetches: Bool

  /// How many batches an epoch has.
  public var count: Int { dropsLast ? dataset.count / size : (dataset.count - 1) / size + 1 }

  /// - Throws: `OctetError`: `invalidArgument` for a size below 1, or a larger one than there are samples where the last batch
  ///   is dropped; `unknownName` for augmentations of no array; `shapeMismatch` and `invalidArgument` for those that do not fit.
  public init(
    _ dataset: Dataset, size: Int, shuffled: Bool = false, seed: UInt64 = 0,
    augmentations: [String: [Augmentation]] = [:], dropsLast: Bool = false, prefetches: Bool = true
  ) throws {
    guard size > 0, !dropsLast || size <= dataset.count else {
      throw OctetError(
        .invalidArgument, "size of batches", expected: dropsLast ? "1 to \(dataset.count)" : "1 or more",
        found: "\(size)")
    }
    for (name, list) in augmentations.sorted(by: { $0.key < $1.key }) {
      try naming("augmentations of \(name)") {
        _ = try list.reduce(Array(dataset.array(name).shape.dropFirst())) { try $1.rowShape($0) }
      }
    }
    (self.dataset, self.size, self.seed, self.augmentations) = (dataset, size, seed, augmentations)
    (isShuffled, self.dropsLast, self.prefetches) = (shuffled, dropsLast, prefetches)
  }

  /// The batches of an epoch, counted from 0.
  ///
  /// - Parameter first: the batch to begin with, to go on where one stopped.
  public func epoch(_ epoch: Int, from first: Int = 0) -> Epoch { Epoch(self, epoch, from: first) }

  /// The samples of an epoch in their order.
  func order(_ epoch: Int) -> [Int] {
    guard isShuffled else { return Array(0..<dataset.count) }
    var generator = SplitMix64(seed: seed, UInt64(bitPattern: Int64(epoch)))
    return (0..<dataset.count).shuffled(using: &generator)
  }

  func batch(_ samples: [Int], epoch: Int) -> Batch {
    let tensors = dataset.arrays.keys.map { name in
      let list = augmentations[name] ?? []
      return (name, list.isEmpty ? dataset.rows(name, samples) : images(name, list, samples, epoch: epoch))
    }
    return Batch(samples: samples, tensors: Dictionary(uniqueKeysWithValues: tensors))
  }

  private func images(_ name: String, _ list: [Augmentation], _ samples: [Int], epoch: Int) -> Tensor {
    let array = dataset.arrays[name]!
    let old = Array(array.shape.dropFirst())
    // (That they fit was checked.)
    let shape = list.reduce(old) { (try? $1.rowShape($0)) ?? $0 }
    var result = Tensor(uninitialized: [samples.count] + shape, dtype: array.dtype)
    let (row, newRow) = (
      array.dtype.byteCount(of: elementCount(of: old)), array.dtype.byteCount(of: elementCount(of: shape))
    )
    array.withUnsafeBytes { source in
      result.withUnsafeMutableBytes { target in
        for (place, sample) in samples.enumerated() {
          var generator = SplitMix64(seed: seed, UInt64(bitPattern: Int64(epoch)), UInt64(sample))
          let image = StoredImage(
            bytes: Array(source[sample * row..<(sample + 1) * row]), height: old[old.count - 2],
            width: old[old.count - 1],
            element: array.dtype.bitWidth / 8)
          let changed = list.reduce(image) { $1($0, using: &generator) }
          UnsafeMutableRawBufferPointer(rebasing: target[place * newRow..<(place + 1) * newRow])
            .copyBytes(from: changed.bytes)
        }
      }
    }
    return dataset.computed(result, name)
  }

  /// The batches of one epoch, from one on.
  public struct Epoch: Sequence, Sendable {
    private let batches: Batches
    private let number: Int
    private let first: Int

    init(_ batches: Batches, _ number: Int, from first: Int) {
      (self.batches, self.number, self.first) = (batches, number, first)
    }

    public func makeIterator() -> Iterator { Iterator(batches, number, from: first) }

    public struct Iterator: IteratorProtocol {
      private let batches: Batches
      private let epoch: Int
      private let order: [Int]
      /// The number of the next batch.
      private var place: Int
      private var ahead: Ahead?

      fileprivate init(_ batches: Batches, _ epoch: Int, from first: Int) {
        (self.batches, self.epoch, place) = (batches, epoch, Swift.max(first, 0))
        order = batches.order(epoch)
        prefetch()
      }

      public mutating func next() -> Batch? {
        guard place < batches.count else { return nil }
        let batch = ahead?.batch() ?? batches.batch(samples, epoch: epoch)
        place += 1
        prefetch()
        return batch
      }

      private var samples: [Int] {
        Array(order[place * batches.size..<Swift.min((place + 1) * batches.size, order.count)])
      }

      private mutating func prefetch() {
        let (batches, epoch) = (batches, epoch)
        guard batches.prefetches, place < batches.count else { return ahead = nil }
        let samples = samples
        ahead = Ahead { batches.batch(samples, epoch: epoch) }
      }
    }
  }
}

/// A batch that is being made on another thread.
private final class Ahead: Sendable {
  private let made = Mutex<Batch?>(nil)
  private let isMade = DispatchSemaphore(value: 0)

  init(_ make: @escaping @Sendable () -> Batch) {
    DispatchQueue.global().async {
      let batch = make()
      self.made.withLock { $0 = batch }
      self.isMade.signal()
    }
  }

  /// Waits for it; to be called once.
  func batch() -> Batch? {
    isMade.wait()
    return made.withLock { $0 }
  }
}
