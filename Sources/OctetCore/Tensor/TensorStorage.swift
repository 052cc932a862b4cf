#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Bytes that a value may take, and those of one run together: half of what the machine has. Asking the system for more
/// would end the process.
package let largestByteCount: Int = {
  let (pages, size) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
  return pages > 0 && size > 0 ? pages / 2 * size : .max
}()

/// A block of memory, 64-byte aligned, that tensors share until one of them writes.
package final class TensorStorage: @unchecked Sendable {
  package static let alignment = 64
  /// Bytes from which on a block is the system's pages alone.
  private static let largeSize = 1 << 20
  /// What Linux calls a huge page. Blocks of several such are worth fewer faults.
  private static let hugePage = 1 << 21

  package let base: UnsafeMutableRawPointer
  package let byteCount: Int
  /// What keeps `base` alive if this storage does not own it (a mapped file).
  private let owner: AnyObject?
  /// What is to be freed.
  private let block: UnsafeMutableRawPointer?

  /// Memory of its own: zeros, or anything if whoever asks writes all of it.
  package init(byteCount: Int, zeroed: Bool = true) {
    self.byteCount = byteCount
    owner = nil
    // At least one byte, so that an empty tensor has an address too.
    let bytes = max(byteCount, 1)
    if zeroed, bytes >= Self.largeSize {
      // Zeros from the system cost no memory until they are written.
      block = calloc(1, bytes + Self.alignment)
    } else {
      var aligned: UnsafeMutableRawPointer?
      let isHuge = bytes >= 2 * Self.hugePage
      posix_memalign(&aligned, isHuge ? Self.hugePage : Self.alignment, bytes)
      #if os(Linux)
        // (Whole pages; that the rest has small ones saves memory.)
        if isHuge { madvise(aligned, bytes / Self.hugePage * Self.hugePage, MADV_HUGEPAGE) }
      #endif
      if zeroed { aligned?.initializeMemory(as: UInt8.self, repeating: 0, count: bytes) }
      block = aligned
    }
    guard let block else { fatalError("no memory for \(bytes) bytes") }
    base = block.alignedUp(toMultipleOf: Self.alignment)
  }

  /// Memory that belongs to `owner` and is only read.
  package init(borrowing bytes: UnsafeRawBufferPointer, from owner: AnyObject) {
    base = UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
    byteCount = bytes.count
    self.owner = owner
    block = nil
  }

  /// Whether this storage may be written by its only user.
  var isWritable: Bool { owner == nil }

  deinit { free(block) }
}
