#if os(Linux)
  import Foundation
  import Testing

  extension Octet {
    /// The two ends of a new terminal. (What Glibc's module lacks for this are two calls of the driver: TIOCSPTLCK unlocks
    /// the other end, TIOCGPTN says its number.)
    private static func terminal() throws -> (near: Int32, far: String) {
      let near = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
      var (locked, number) = (Int32(0), UInt32(0))
      try #require(near >= 0)
      try #require(ioctl(near, 0x4004_5431, &locked) == 0 && ioctl(near, 0x8004_5430, &number) == 0)
      return (near, "/dev/pts/\(number)")
    }

    enum Stream { case output, errors }

    /// What the command writes to one of its outputs, which is a terminal.
    static func onTerminal(_ arguments: [String], _ stream: Stream) throws -> (text: String, code: Int32) {
      let (near, path) = try terminal()
      defer { close(near) }
      let process = try Octet.process(arguments)
      do {
        let far = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(far >= 0)
        defer { close(far) }
        let handle = FileHandle(fileDescriptor: far, closeOnDealloc: false)
        switch stream {
        case .output: process.standardOutput = handle
        case .errors: process.standardError = handle
        }
        try process.run()
      }
      // Until nobody has the other end any more.
      var (bytes, part) = ([UInt8](), [UInt8](repeating: 0, count: 4096))
      while true {
        let count = read(near, &part, part.count)
        guard count > 0 else { break }
        bytes += part[..<count]
      }
      process.waitUntilExit()
      return (String(decoding: bytes, as: UTF8.self), process.terminationStatus)
    }
  }
#endif
