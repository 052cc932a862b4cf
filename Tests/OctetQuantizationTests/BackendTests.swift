import OctetCore
import OctetQuantization
import TestSupport
import Testing

@Suite struct BackendTests {
  static let cases = try! VectorCase.load("qconfigs")

  /// The default QConfigs are those of PyTorch.
  @Test(arguments: cases)
  func defaultsOfPyTorch(_ vector: VectorCase) throws {
    let backend = try Backend(named: vector.string("backend"))
    let config = try vector.string("kind") == "qat" ? QConfig.defaultQAT(for: backend) : .default(for: backend)
    let observer = try #require(try vector.string("part") == "weight" ? config.weight : config.activation)
    #expect(try "\(type(of: observer))" == vector.string("observer"))
    // The range is there before anything has been observed.
    let parameters = try observer.calculateQParams()
    #expect(try parameters.dtype.rawValue == vector.string("dtype"))
    #expect(try parameters.range == vector.int("quant_min")...vector.int("quant_max"))
    #expect(parameters.axis == (try? vector.int("axis")))
    let settings = try #require(observer as? any ConfigurableObserver).settings
    #expect(try settings.text("scheme") == vector.string("scheme"))
    #expect(try settings.integer("bins") == (try? vector.int("bins")))
    #expect(try settings.real("averagingConstant") == (try? vector.float("averaging_constant")))
  }

  @Test func theCasesCoverAllBackendsOfPyTorch() throws {
    #expect(Self.cases.count == 4 * (Backend.allCases.count - 1))
  }

  @Test func octetUsesTheFullRange() throws {
    for config in [QConfig.default, .default(for: .octet), .defaultQAT(for: .octet)] {
      #expect(try config.activation?.calculateQParams().range == 0...255)
      #expect(try config.weight?.calculateQParams().range == -128...127)
      #expect(try config.weight?.calculateQParams().axis == 0)
    }
  }

  /// The first batch as it is, then a hundredth of the way to each further one.
  @Test func movingAverages() throws {
    let batches = try [Tensor([0, 1] as [Float], shape: [1, 2]), Tensor([-1, 3] as [Float], shape: [1, 2])]
    let config = QConfig.defaultQAT(for: .qnnpack)
    var whole = try #require(config.activation as? MovingAverageMinMaxObserver)
    var channels = try #require(QConfig.defaultQAT(for: .octet).weight as? MovingAveragePerChannelMinMaxObserver)
    for batch in batches {
      try whole.observe(batch)
      try channels.observe(batch)
    }
    #expect(abs(whole.minVal + 0.01) < 1e-6 && abs(whole.maxVal - 1.02) < 1e-6)
    #expect(channels.minVal == [whole.minVal] && channels.maxVal == [whole.maxVal])
  }

  @Test func names() throws {
    #expect(try Backend.allCases.map { try Backend(named: $0.rawValue) } == Backend.allCases)
    let error = octetError { try Backend(named: "fbgem") }
    #expect(error?.code == .unknownName && error?.found == "fbgem")
    for backend in Backend.allCases { #expect(error?.expected.contains(backend.rawValue) == true) }
    #expect(error?.expected.hasPrefix("one of fbgemm") == true)

    #expect(try QConfig(named: "float").activation == nil)
    #expect(try QConfig(named: "qnnpack").weight is MinMaxObserver)
    #expect(try QConfig(named: "qnnpack-qat").weight is MovingAverageMinMaxObserver)
    let unknown = octetError { try QConfig(named: "Octet") }
    #expect(unknown?.code == .unknownName && unknown?.expected.contains("octet-qat") == true)
    for name in ["", "octet ", "qat", "-qat"] { #expect(octetError { try QConfig(named: name) } != nil) }
  }

  /// A QConfig is described by a name if it is configured like that one, whatever it has seen.
  @Test func descriptions() throws {
    for name in ["float", "octet", "fbgemm", "qnnpack", "octet-qat", "fbgemm-qat", "qnnpack-qat"] {
      #expect(try QConfig(named: name).description == name)
    }
    #expect("\(QConfig.default(for: .x86))" == "fbgemm", "they are the same")
    var config = QConfig.default
    try config.activation?.observe(.random([8], seed: 1))
    #expect("\(config)" == "octet")
    config.activation = HistogramObserver(bins: 512)
    #expect(
      "\(config)"
        == "activation HistogramObserver(bins: 512), weight PerChannelMinMaxObserver(dtype: int8, scheme: symmetric)")
  }
}
