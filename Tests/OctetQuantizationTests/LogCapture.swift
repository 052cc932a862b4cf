import Logging
import Synchronization

/// What is logged while a closure runs, in whatever other tests run beside it.
enum LogCapture {
  @TaskLocal private static var current: Box?

  static func messages(_ body: () throws -> Void) rethrows -> [String] {
    _ = isInstalled
    let box = Box()
    try $current.withValue(box) { try body() }
    return box.messages.withLock { $0 }
  }

  private static let isInstalled: Bool = {
    LoggingSystem.bootstrap { _ in Handler() }
    return true
  }()

  private final class Box: Sendable {
    let messages = Mutex<[String]>([])
  }

  private struct Handler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      LogCapture.current?.messages.withLock { $0.append("\(event.level): \(event.message)") }
    }
  }
}
