import Foundation

/// A bar on the error output while something long runs; nothing unless that is a terminal.
struct Progress {
  private let title: String
  let total: Int
  let isShown = isatty(STDERR_FILENO) == 1

  init(_ title: String, total: Int) {
    self.title = title
    self.total = max(total, 1)
    show(0)
  }

  func show(_ done: Int) {
    guard isShown else { return }
    let width = 30
    let filled = width * done / total
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    FileHandle.standardError.write(Data("\r\(title)  \(bar)  \(done)/\(total)".utf8))
  }

  /// Takes the bar off the screen.
  func finish() {
    guard isShown else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
  }
}
