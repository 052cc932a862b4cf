/// A block of memory, 64-byte aligned, that tensors share until one of them writes.
package final class TensorStorage: @unchecked Sendable {
  package static let alignment = 64

  package let base: UnsafeMutableRawPointer
  package let byteCount: Int
  /// What keeps `base` alive if this storage does not own it (a mapped file).
  private let owner: AnyObject?

  /// Memory of its own: zeros, or anything if whoever asks writes all of it.
  package init(byteCount: Int, zeroed: Bool = true) {
    self.byteCount = byteCount
    owner = nil
    // At least one line, so that an empty tensor has an address too.
    let bytes = max(byteCount, 1)
    base = .allocate(byteCount: bytes, alignment: Self.alignment)
    if zeroed { base.initializeMemory(as: UInt8.self, repeating: 0, count: bytes) }
  }

  /// Memory that belongs to `owner` and is only read.
  package init(borrowing bytes: UnsafeRawBufferPointer, from owner: AnyObject) {
    base = UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
    byteCount = bytes.count
    self.owner = owner
  }

  /// Whether this storage may be written by its only user.
  var isWritable: Bool { owner == nil }

  deinit {
    if owner == nil { base.deallocate() }
  }
}
