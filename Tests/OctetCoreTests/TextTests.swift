import OctetCore
import TestSupport
import Testing

@Suite("Tables, errors and names")
struct TextTests {
  @Test func tablesAlign() {
    var table = Table(["name", "count", "note"], trailing: [1])
    table.append("a", "1", "first")
    table.append("longer", "1000", "")
    table.append("größer", "20", "ß")
    #expect(
      table.description == """
        name    count  note
        ──────  ─────  ─────
        a           1  first
        longer   1000
        größer     20  ß
        """)
  }

  @Test func aTableWithoutRows() {
    #expect(Table(["a", "bc"]).description == "a  bc\n─  ──")
  }

  @Test func errorsReadAsSentences() {
    let error = OctetError(.shapeMismatch, "x", expected: "rank 4", found: "rank 3")
    #expect("\(error)" == "x: expected rank 4, found rank 3")
    #expect("\(error.within("conv1"))" == "conv1: x: expected rank 4, found rank 3")
    #expect(error.within("conv1").code == .shapeMismatch)
  }

  @Test func errorsNameEachPlaceOnce() {
    let error = OctetError(.shapeMismatch, "x", expected: "", found: "")
    #expect(error.within("").subject == "x")
    #expect(error.within("x").subject == "x")
    #expect(error.within("conv").within("conv").subject == "conv: x")
    #expect(error.within("conv").within("f.0").subject == "f.0: conv: x")
  }

  @Test func namingLeavesOtherErrorsAlone() {
    struct Other: Error {}
    #expect(throws: Other.self) { try naming("a") { throw Other() } }
    let error = octetError { try naming("a") { throw OctetError(.unsupported, "b", expected: "", found: "") } }
    #expect(error?.subject == "a: b")
  }

  @Test func nearNamesComeFirst() {
    let names = ["conv1.weight", "conv2.weight", "fc.weight", "fc.bias", "bn.running_mean", "bn.running_var"]
    #expect(nearNames(to: "conv1.wieght", in: names, limit: 2) == "conv1.weight, conv2.weight, … (6 in all)")
    #expect(nearNames(to: "fc.bais", in: names, limit: 1) == "fc.bias, … (6 in all)")
    #expect(nearNames(to: "b", in: ["c", "a"]) == "a, c", "equally near names come in order")
    #expect(nearNames(to: "x", in: []) == "")
    #expect(nearNames(to: "", in: ["a"]) == "a")
  }

  @Test func dimensionsAndTypesReadAsShapes() {
    #expect("\(TensorType(.uint8, [.symbolic("n"), 3]))" == "uint8 [n, 3]")
    #expect("\(Size2D(2))" == "2" && "\(Size2D(2, 3))" == "2×3")
    #expect("\(Padding2D(1))" == "1" && "\(Padding2D(top: 1, left: 2, bottom: 1, right: 2))" == "1×2")
    #expect("\(Padding2D(top: 1, left: 2, bottom: 3, right: 4))" == "1,2,3,4")
    #expect("\(Activation.relu) \(Activation.clip(minimum: 0, maximum: 6))" == "ReLU ReLU6")
    #expect("\(Activation.clip(minimum: -1, maximum: 1))" == "clip -1.0…1.0")
  }
}
