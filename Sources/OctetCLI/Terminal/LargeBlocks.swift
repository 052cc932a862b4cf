import Foundation

/// Lets the system have large blocks of memory back when they are freed. By default glibc keeps blocks of any size for itself
/// once one of that size has been freed, and larger ones that come later do not fit into the gaps.
///
/// For commands that allocate little once they run: fresh memory costs time.
func returnLargeBlocks() {
  #if os(Linux)
    // mallopt(M_MMAP_THRESHOLD, …), which Glibc's module does not have (nor Musl's library).
    typealias Function = @convention(c) (Int32, Int32) -> Int32
    guard let function = dlsym(nil, "mallopt") else { return }
    _ = unsafeBitCast(function, to: Function.self)(-3, 128 << 10)
  #endif
}
