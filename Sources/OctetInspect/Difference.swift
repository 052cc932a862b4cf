import Foundation
public import OctetCore

/// How far values are from a reference, summed up tensor by tensor.
public struct Difference: Sendable {
  /// How many elements were compared.
  public private(set) var elements = 0
  /// `max |value − reference|`; NaN if one of the two, and not the other, was NaN.
  public private(set) var largest = 0.0
  private var signal = 0.0
  /// `Σ (value − reference)²`.
  public private(set) var noise = 0.0
  private var rows = 0
  private var agreeing = 0

  private let countsRows: Bool

  /// - Parameter agreement: whether to look for the largest elements of rows.
  public init(agreement: Bool = true) { countsRows = agreement }

  /// The ratio of signal to noise in dB, `10 · log₁₀(Σ reference² / Σ (value − reference)²)`; infinite if nothing differs.
  public var sqnr: Double { noise == 0 ? .infinity : 10 * log10(signal / noise) }

  /// Noise divided by signal, both as powers; at most 10⁴, which also stands for values that became NaN.
  public var noiseRatio: Double {
    let ratio = noise == 0 ? 0 : noise / signal
    return ratio < 1e4 ? ratio : 1e4
  }

  /// The share of rows along the last axis whose largest element is at the same place; `nil` if rows have one element.
  public var agreement: Double? { rows == 0 ? nil : Double(agreeing) / Double(rows) }

  /// Takes in one tensor of numbers and its reference, of the same type.
  ///
  /// - Throws: `OctetError`: `shapeMismatch` or `dtypeMismatch` if they differ, `unsupported` for elements that are no
  ///   numbers of whole bytes.
  public mutating func add(_ value: Tensor, reference: Tensor) throws {
    guard value.dtype == reference.dtype else {
      throw OctetError(
        .dtypeMismatch, "comparison", expected: reference.dtype.rawValue, found: value.dtype.rawValue)
    }
    guard value.shape == reference.shape else {
      throw OctetError(.shapeMismatch, "comparison", expected: "shape \(reference.shape)", found: "\(value.shape)")
    }
    let width = reference.shape.last ?? 1
    switch value.dtype {
    case .float32: try add(value, reference, width) { (x: Float) in Double(x) }
    case .int64: try add(value, reference, width) { (x: Int64) in Double(x) }
    case .int32: try add(value, reference, width) { (x: Int32) in Double(x) }
    case .int16: try add(value, reference, width) { (x: Int16) in Double(x) }
    case .uint16: try add(value, reference, width) { (x: UInt16) in Double(x) }
    case .int8: try add(value, reference, width) { (x: Int8) in Double(x) }
    case .uint8: try add(value, reference, width) { (x: UInt8) in Double(x) }
    case .bool: try add(value, reference, width) { (x: Bool) in x ? 1 : 0 }
    case .float16, .uint4, .int4:
      throw OctetError(.unsupported, "comparison", expected: "numbers of whole bytes", found: value.dtype.rawValue)
    }
  }

  private mutating func add<Element: TensorScalar>(
    _ value: Tensor, _ reference: Tensor, _ width: Int, _ number: (Element) -> Double
  ) throws {
    try value.withUnsafeScalars(as: Element.self) { a in
      try reference.withUnsafeScalars(as: Element.self) { b in
        for index in b.indices {
          let (x, y) = (number(a[index]), number(b[index]))
          // Equal infinities differ by nothing, and so do two NaN.
          guard x != y, !(x.isNaN && y.isNaN) else {
            if y.isFinite { signal += y * y }
            continue
          }
          let distance = abs(x - y)
          if y.isFinite { signal += y * y }
          noise += distance * distance
          largest = distance.isNaN || largest.isNaN ? .nan : max(largest, distance)
        }
        elements += b.count
        guard countsRows, width > 1 else { return }
        for start in stride(from: 0, to: b.count, by: width) {
          func place(_ row: UnsafeBufferPointer<Element>) -> Int {
            // The first of equal ones.
            (start + 1..<start + width).reduce(start) { number(row[$1]) > number(row[$0]) ? $1 : $0 }
          }
          rows += 1
          if place(a) == place(b) { agreeing += 1 }
        }
      }
    }
  }
}
