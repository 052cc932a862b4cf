/// Rows of text under a header, printed in aligned columns.
public struct Table: CustomStringConvertible {
  public enum Alignment: Sendable {
    case leading, trailing
  }

  public var header: [String]
  public var alignments: [Alignment]
  public var rows: [[String]] = []

  /// A table with one column for every title; columns listed in `trailing` are set flush right.
  public init(_ header: [String], trailing: Set<Int> = []) {
    self.header = header
    alignments = header.indices.map { trailing.contains($0) ? .trailing : .leading }
  }

  public mutating func append(_ row: String...) { rows.append(row) }

  public var description: String {
    let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max()! }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (column, cell) in cells.enumerated() {
        let space = String(repeating: " ", count: widths[column] - cell.count)
        text += (column == 0 ? "" : "  ") + (alignments[column] == .leading ? cell + space : space + cell)
      }
      return String(text.reversed().drop { $0 == " " }.reversed())
    }
    let rule = widths.map { String(repeating: "─", count: $0) }
    return ([header, rule] + rows).map(line).joined(separator: "\n")
  }
}
