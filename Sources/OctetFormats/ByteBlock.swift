import OctetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Memory that is written once and that tensors then borrow.
///
/// Unlike `TensorStorage`'s own it is not zeroed: of a block as large as a lying file claims, only the part that is
/// really written ever takes memory. And where the system has no memory, the answer is `nil`.
final class ByteBlock: @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer

  init?(byteCount: Int) {
    var base: UnsafeMutableRawPointer?
    guard posix_memalign(&base, TensorStorage.alignment, max(byteCount, 1)) == 0, let base else { return nil }
    bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
  }

  deinit { free(bytes.baseAddress) }
}
