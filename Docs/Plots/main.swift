// Draws the pictures of the articles into a folder: `Plots FOLDER`. scripts/test-snippets runs it and compares.

import Foundation
import Octet

/// A picture as SVG, whose text and lines follow the reader's theme. Coordinates are points from the upper left.
struct Picture {
  private static let style = """
    text{font:12px system-ui,sans-serif;fill:#212529}.small{font-size:10px}.middle{text-anchor:middle}.end{text-anchor:end}
    line{stroke:#868e96;stroke-opacity:0.5}.used{fill:#1c7ed6}.unused{fill:#a5d8ff}.other{fill:#e8590c}
    @media(prefers-color-scheme:dark){text{fill:#e9ecef}}
    """

  let width: Double
  let height: Double
  private var parts: [String] = []

  init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }

  private func number(_ x: Double) -> String { String(format: "%.1f", x) }

  mutating func text(_ text: String, _ x: Double, _ y: Double, _ style: String = "") {
    parts.append("<text x=\"\(number(x))\" y=\"\(number(y))\" class=\"\(style)\">\(text)</text>")
  }

  mutating func bar(_ x: ClosedRange<Double>, _ y: ClosedRange<Double>, _ style: String) {
    let (width, height) = (number(x.upperBound - x.lowerBound), number(y.upperBound - y.lowerBound))
    parts.append(
      "<rect x=\"\(number(x.lowerBound))\" y=\"\(number(y.lowerBound))\" width=\"\(width)\" height=\"\(height)\" "
        + "class=\"\(style)\"/>")
  }

  mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) {
    parts.append(
      "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\"/>")
  }

  func write(to path: String) throws {
    let size = "width=\"\(Int(width))\" height=\"\(Int(height))\""
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" \(size)>\n<style>\(Self.style)</style>\n"
    try Data((svg + parts.joined(separator: "\n") + "\n</svg>\n").utf8).write(to: URL(fileURLWithPath: path))
  }
}

extension QuantizationParameters {
  /// The real numbers of the smallest and the largest integer.
  var covered: ClosedRange<Double> {
    func real(_ q: Int) -> Double { Double(scales[0]) * Double(q - zeroPoints[0]) }
    return real(range.lowerBound)...real(range.upperBound)
  }
}

/// Which real numbers the integers of three schemes stand for, if the values are −1…3.
func mapping() throws -> Picture {
  var picture = Picture(width: 700, height: 212)
  func x(_ real: Double) -> Double { 390 + real * 92 }
  let schemes: [(String, MinMaxObserver)] = [
    ("uint8 affine", MinMaxObserver(dtype: .uint8)), ("int8 affine", MinMaxObserver(dtype: .int8)),
    ("int8 symmetric", MinMaxObserver(dtype: .int8, scheme: .symmetric)),
  ]
  for real in -3...3 {
    picture.line(x(Double(real)), 24, x(Double(real)), 200)
    picture.text("\(real)", x(Double(real)), 16, "middle")
  }
  picture.text("real numbers", 8, 16)
  for (row, scheme) in schemes.enumerated() {
    var observer = scheme.1
    try observer.observe(Tensor([-1, 3] as [Float], shape: [2]))
    let parameters = try observer.calculateQParams()
    let (covered, top) = (parameters.covered, Double(row) * 58 + 36)
    picture.text(scheme.0, 8, top + 12)
    picture.bar(x(covered.lowerBound)...x(covered.upperBound), top...top + 16, "unused")
    picture.bar(x(-1)...x(min(3, covered.upperBound)), top...top + 16, "used")
    picture.text("\(parameters.range.lowerBound)", x(covered.lowerBound), top + 30, "small middle")
    picture.text("\(parameters.zeroPoints[0])", x(0), top + 30, "small middle")
    picture.text("\(parameters.range.upperBound)", x(covered.upperBound), top + 30, "small middle")
  }
  return picture
}

/// Sums of twelve numbers spread evenly over ±½ are bell-shaped, of variance 1.
func bellShaped(_ count: Int) -> [Float] {
  var state: UInt32 = 1
  return (0..<count).map { _ in
    (0..<12).reduce(0) { sum, _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return sum + Float(state >> 8) / Float(1 << 24) - 0.5
    }
  }
}

/// Bell-shaped values with one of 12, as the article on observers has them, and the ranges that observers choose.
func histogram() throws -> Picture {
  let values = try Tensor(bellShaped(10_000) + [12], shape: [10_001])

  var picture = Picture(width: 700, height: 262)
  func x(_ real: Double) -> Double { 255 + real * 34 }
  var counts = HistogramObserver(bins: 128)
  try counts.observe(values)
  let width = Double(counts.maxVal - counts.minVal) / 128
  let highest = Double(counts.histogram.max()!)
  for (bin, count) in counts.histogram.enumerated() where count > 0 {
    let left = Double(counts.minVal) + Double(bin) * width
    let height = max(Double(count) / highest * 110, 1)
    picture.bar(x(left)...x(left + width), 130 - height...130, "used")
  }
  picture.line(x(-5), 130.5, x(12.5), 130.5)
  for real in stride(from: -4, through: 12, by: 4) { picture.text("\(real)", x(Double(real)), 146, "small middle") }
  picture.text("one value", x(12), 120, "small end")
  let observers: [(String, any Observer)] = [
    ("min–max", MinMaxObserver()), ("histogram, uint8", HistogramObserver()),
    ("histogram, uint4", HistogramObserver(dtype: .uint4)), ("99.9 of 100", PercentileObserver(percentile: 99.9)),
  ]
  for (row, (name, template)) in observers.enumerated() {
    var observer = template
    try observer.observe(values)
    let (covered, top) = (try observer.calculateQParams().covered, Double(row) * 24 + 164)
    picture.text(name, 8, top + 10)
    picture.bar(x(covered.lowerBound)...x(covered.upperBound), top...top + 12, "other")
  }
  return picture
}

let folder = CommandLine.arguments.dropFirst().first ?? "."
try mapping().write(to: "\(folder)/mapping.svg")
try histogram().write(to: "\(folder)/histogram.svg")
