/// A small plot of numbers one after another, for a terminal.
struct Plot: CustomStringConvertible {
  private static let height = 5
  private static let width = 60
  private static let blocks = Array(" ▁▂▃▄▅▆▇█")

  private let title: String
  private let values: [Double]

  init(_ title: String, _ values: [Double]) {
    self.title = title
    // Means of neighbours, if there are more than fit.
    let perColumn = (values.count + Self.width - 1) / Self.width
    self.values = stride(from: 0, to: values.count, by: max(perColumn, 1)).map { start in
      let group = values[start..<min(start + perColumn, values.count)]
      return group.reduce(0, +) / Double(group.count)
    }
  }

  /// The title, and columns between the lowest number and the highest, which stand beside them.
  var description: String {
    guard let low = values.min(), let high = values.max() else { return title }
    let levels = Self.height * 8
    let heights = values.map {
      high > low ? 1 + Int((($0 - low) / (high - low) * Double(levels - 1)).rounded()) : levels / 2
    }
    let rows = (0..<Self.height).reversed().map { row -> String in
      let columns = heights.map { Self.blocks[min(max($0 - row * 8, 0), 8)] }
      let label = row == Self.height - 1 ? high.formatted(4) : row == 0 ? low.formatted(4) : ""
      return String(columns) + (label.isEmpty ? "" : "  \(label)")
    }
    return ([title] + rows).joined(separator: "\n")
  }
}
