package import OctetCore

/// Why `actual` is not `expected`, or `nil` if it is: types must be equal, integers too; float32 elements may differ by
/// `absolute + relative · |expected|`; NaN equals NaN.
package func discrepancy(
  _ actual: Tensor, _ expected: Tensor, absolute: Float = 1e-5, relative: Float = 1e-5
) throws -> String? {
  guard actual.type == expected.type else { return "type \(actual.type) instead of \(expected.type)" }
  guard expected.dtype == .float32 else {
    let (a, b) = (actual.withUnsafeBytes { Array($0) }, expected.withUnsafeBytes { Array($0) })
    guard let first = a.indices.first(where: { a[$0] != b[$0] }) else { return nil }
    return "byte \(first) of \(a.count) is \(a[first]) instead of \(b[first])"
  }
  let (a, b) = (try actual.scalars(as: Float.self), try expected.scalars(as: Float.self))
  let wrong = a.indices.filter { i in
    if a[i] == b[i] || a[i].isNaN && b[i].isNaN { return false }
    return !(abs(a[i] - b[i]) <= absolute + relative * abs(b[i]))
  }
  guard let first = wrong.first else { return nil }
  let worst = wrong.max { abs(a[$0] - b[$0]) < abs(a[$1] - b[$1]) }!
  return "\(wrong.count) of \(a.count) elements differ; element \(first) is \(a[first]) instead of \(b[first]), "
    + "the worst one, \(worst), is \(a[worst]) instead of \(b[worst])"
}

/// The `OctetError` that `body` throws; `nil` if it throws nothing or something else.
package func octetError<Result>(_ body: () throws -> Result) -> OctetError? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? OctetError
  }
}
