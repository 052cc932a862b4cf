// Sizes made of sizes that are known only when the graph runs. They have names that say how they come about, written in one
// way, so that sizes that come about in the same way are the same: `h + 1`, `((h + 1) / 2)`, `(batch * heads * 4)`. What such a
// name says is never computed: before a graph runs, all types are inferred anew from the sizes of its inputs.

extension Dimension {
  /// The sum with a number, which may be negative.
  package func adding(_ number: Int) -> Dimension {
    guard case .symbolic(let name) = self else { return .fixed(size! + number) }
    let (base, addend) = Self.parts(of: name)
    let sum = addend + number
    return .symbolic(sum == 0 ? base : "\(base) \(sum < 0 ? "-" : "+") \(abs(sum))")
  }

  package func adding(_ other: Dimension) -> Dimension {
    switch (self, other) {
    case (_, .fixed(let number)): adding(number)
    case (.fixed(let number), _): other.adding(number)
    default: .symbolic("(\(self) + \(other))")
    }
  }

  /// The product with a number.
  package func multiplied(by number: Int) -> Dimension { .product(of: [self, .fixed(number)]) }

  /// The quotient by a number above 0, rounded down.
  package func divided(by number: Int) -> Dimension {
    guard case .symbolic(let name) = self else { return .fixed(size! / number) }
    if number == 1 { return self }
    // A quotient of a quotient is one too: ⌊(⌊x / a⌋ + b) / c⌋ = ⌊(x + a·b) / (a·c)⌋.
    let (base, addend) = Self.parts(of: name)
    guard let terms = Self.terms(inside: base), terms.count == 3, terms[1] == "/", let inner = Int(terms[2]),
      (1..<1 << 31).contains(inner), number < 1 << 31, abs(addend) < 1 << 31
    else { return .product(of: [self], over: number) }
    let isEnclosed = terms[0].hasPrefix("(") && (Self.terms(inside: terms[0]) ?? []).contains { $0 == "+" || $0 == "-" }
    let numerator = isEnclosed ? String(terms[0].dropFirst().dropLast()) : terms[0]
    return Dimension.product(of: [Dimension.symbolic(numerator).adding(inner * addend)], over: inner * number)
  }

  /// The product of sizes, divided by a number above 0 and rounded down.
  package static func product(of sizes: [Dimension], over denominator: Int = 1) -> Dimension {
    let factors = sizes.map(\.factors)
    let names = factors.flatMap(\.names).sorted()
    var number = 1
    for factor in factors.map(\.number) {
      let (product, overflow) = number.multipliedReportingOverflow(by: factor)
      // No size is that large: whoever takes it for one refuses it.
      guard !overflow else {
        return names.isEmpty
          ? .fixed(.max) : .symbolic("(\(sizes.map(\.description).joined(separator: " * "))) / \(denominator)")
      }
      number = product
    }
    guard !names.isEmpty else { return .fixed(number / denominator) }
    if number == 0 { return 0 }
    let isWhole = number.isMultiple(of: denominator)
    let multiple = isWhole ? number / denominator : number
    let all = names + (multiple == 1 ? [] : ["\(multiple)"])
    let product = all.count == 1 ? all[0] : "(\(all.joined(separator: " * ")))"
    return .symbolic(isWhole ? product : "(\(enclosed(product)) / \(denominator))")
  }

  /// What is left of a product when sizes are taken out of it; `nil` if they are not all in it.
  package static func quotient(of sizes: [Dimension], by divisors: [Dimension]) -> Dimension? {
    let (above, below) = (sizes.map(\.factors), divisors.map(\.factors))
    var names = above.flatMap(\.names)
    for name in below.flatMap(\.names) {
      guard let index = names.firstIndex(of: name) else { return nil }
      names.remove(at: index)
    }
    guard let dividend = checkedElementCount(of: above.map(\.number)),
      let divisor = checkedElementCount(of: below.map(\.number)), divisor > 0, dividend.isMultiple(of: divisor)
    else { return nil }
    // A size that is left alone keeps its name.
    let alone = sizes.first { $0.factors == (names, dividend / divisor) }
    return alone ?? product(of: names.map(Dimension.symbolic) + [.fixed(dividend / divisor)])
  }

  /// The sizes that this one is a product of; itself alone if it is none.
  package var parts: [Dimension] {
    let (names, number) = factors
    return names.map(Dimension.symbolic) + (number == 1 ? [] : [.fixed(number)])
  }

  /// The parts of a product: those that have names, and the number.
  private var factors: (names: [String], number: Int) {
    guard case .symbolic(let name) = self else { return ([], size!) }
    guard let terms = Self.terms(inside: name), terms.count % 2 == 1,
      stride(from: 1, to: terms.count, by: 2).allSatisfy({ terms[$0] == "*" })
    else { return ([Self.enclosed(name)], 1) }
    let all = stride(from: 0, to: terms.count, by: 2).map { terms[$0] }
    let numbers = all.compactMap { Int($0) }.filter { (1..<1 << 31).contains($0) }
    return numbers.count > 1
      ? ([name], 1) : (all.filter { numbers.isEmpty || $0 != "\(numbers[0])" }, numbers.first ?? 1)
  }

  /// A name as an operand of others.
  package static func enclosed(_ name: String) -> String {
    name.contains(" ") && terms(inside: name) == nil ? "(\(name))" : name
  }

  /// What stands between the outermost parentheses, split at spaces that no other parentheses enclose; `nil` if the name is
  /// not enclosed.
  private static func terms(inside name: String) -> [String]? {
    guard name.first == "(", name.last == ")" else { return nil }
    var (depth, terms) = (0, [""])
    for character in name.dropFirst().dropLast() {
      depth += character == "(" ? 1 : (character == ")" ? -1 : 0)
      if depth < 0 { return nil }
      if depth == 0, character == " " { terms.append("") } else { terms[terms.count - 1].append(character) }
    }
    return depth == 0 ? terms : nil
  }

  /// A name without the number that is added at its end, and that number.
  private static func parts(of name: String) -> (base: String, addend: Int) {
    let words = name.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count >= 3, let number = Int(words[words.count - 1]), (0..<1 << 48).contains(number),
      words[words.count - 2] == "+" || words[words.count - 2] == "-"
    else { return (name, 0) }
    return (words.dropLast(2).joined(separator: " "), words[words.count - 2] == "-" ? -number : number)
  }
}
