#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Elements that end right before a page nobody may touch: reading or writing one byte too many crashes the test.
final class GuardedMemory<Element> {
  let elements: UnsafeMutableBufferPointer<Element>
  private let mapping: UnsafeMutableRawPointer
  private let mappedBytes: Int

  /// `alignment` moves the start down, and so leaves a gap before the guard unless the size is a multiple of it.
  init(count: Int, alignment: Int = 1) {
    let page = Int(getpagesize())
    let bytes = (count * MemoryLayout<Element>.stride + alignment - 1) / alignment * alignment
    let usable = max(page, (bytes + page - 1) / page * page)
    mappedBytes = usable + page
    #if canImport(Glibc)
      let flags = MAP_PRIVATE | Int32(MAP_ANONYMOUS)
    #else
      let flags = MAP_PRIVATE | MAP_ANON
    #endif
    mapping = mmap(nil, mappedBytes, PROT_READ | PROT_WRITE, flags, -1, 0)!
    precondition(mapping != MAP_FAILED && mprotect(mapping + usable, page, PROT_NONE) == 0)
    let start = (mapping + usable - bytes).bindMemory(to: Element.self, capacity: count)
    elements = UnsafeMutableBufferPointer(start: start, count: count)
  }

  convenience init(_ values: [Element], alignment: Int = 1) {
    self.init(count: values.count, alignment: alignment)
    _ = elements.update(fromContentsOf: values)
  }

  var pointer: UnsafeMutablePointer<Element> { elements.baseAddress! }
  var values: [Element] { Array(elements) }

  deinit { munmap(mapping, mappedBytes) }
}
