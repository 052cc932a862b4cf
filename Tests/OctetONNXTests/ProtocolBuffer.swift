import Foundation

/// Writes protocol buffers field by field, so that tests can make any model, wrong ones above all.
struct ProtocolBuffer {
  private(set) var bytes: [UInt8] = []

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 128 {
      bytes.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  func adding(_ field: Int, _ value: Int) -> ProtocolBuffer {
    var copy = self
    copy.varint(UInt64(field << 3))
    copy.varint(UInt64(bitPattern: Int64(value)))
    return copy
  }

  func adding(_ field: Int, _ value: [UInt8]) -> ProtocolBuffer {
    var copy = self
    copy.varint(UInt64(field << 3 | 2))
    copy.varint(UInt64(value.count))
    copy.bytes += value
    return copy
  }

  func adding(_ field: Int, _ value: String) -> ProtocolBuffer { adding(field, Array(value.utf8)) }
  func adding(_ field: Int, _ value: ProtocolBuffer) -> ProtocolBuffer { adding(field, value.bytes) }
  func adding(_ field: Int, _ value: Float) -> ProtocolBuffer {
    var copy = self
    copy.varint(UInt64(field << 3 | 5))
    copy.bytes += withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    return copy
  }
  func adding(_ field: Int, all values: [ProtocolBuffer]) -> ProtocolBuffer {
    values.reduce(self) { $0.adding(field, $1) }
  }
  func adding(_ field: Int, all values: [String]) -> ProtocolBuffer { values.reduce(self) { $0.adding(field, $1) } }
  func adding(_ field: Int, all values: [Int]) -> ProtocolBuffer { values.reduce(self) { $0.adding(field, $1) } }
}

/// The messages of onnx.proto, as far as tests need them.
enum Proto {
  /// An attribute of the type that its value has.
  static func attribute(_ name: String, _ value: Int) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, name).adding(3, value).adding(20, 2)
  }
  static func attribute(_ name: String, _ values: [Int]) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, name).adding(8, all: values).adding(20, 7)
  }
  static func attribute(_ name: String, _ values: [Float]) -> ProtocolBuffer {
    values.reduce(ProtocolBuffer().adding(1, name)) { $0.adding(7, $1) }.adding(20, 6)
  }
  static func attribute(_ name: String, _ value: Float) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, name).adding(2, value).adding(20, 1)
  }
  static func attribute(_ name: String, _ value: String) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, name).adding(4, value).adding(20, 3)
  }
  static func attribute(_ name: String, graph: ProtocolBuffer) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, name).adding(6, graph).adding(20, 5)
  }
  static func attribute(_ name: String, of call: String, type: Int) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, name).adding(21, call).adding(20, type)
  }

  static func node(
    _ type: String, _ inputs: [String], _ outputs: [String], name: String = "", domain: String = "",
    _ attributes: ProtocolBuffer...
  ) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, all: inputs).adding(2, all: outputs).adding(3, name).adding(4, type)
      .adding(5, all: attributes).adding(7, domain)
  }

  /// A dimension is a number or a name.
  static func value(_ name: String, type: Int = 1, _ shape: [Any]) -> ProtocolBuffer {
    let dimensions = shape.map { dimension in
      (dimension as? Int).map { ProtocolBuffer().adding(1, $0) } ?? ProtocolBuffer().adding(2, dimension as! String)
    }
    let tensor = ProtocolBuffer().adding(1, type).adding(2, ProtocolBuffer().adding(1, all: dimensions))
    return ProtocolBuffer().adding(1, name).adding(2, ProtocolBuffer().adding(1, tensor))
  }

  static func tensor(_ name: String, type: Int, _ shape: [Int]) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, all: shape).adding(2, type).adding(8, name)
  }
  static func tensor(_ name: String, type: Int, _ shape: [Int], raw: [UInt8]) -> ProtocolBuffer {
    tensor(name, type: type, shape).adding(9, raw)
  }
  static func tensor(_ name: String, _ shape: [Int], _ elements: [Float]) -> ProtocolBuffer {
    elements.reduce(tensor(name, type: 1, shape)) { $0.adding(4, $1) }
  }
  static func tensor(_ name: String, _ shape: [Int], _ elements: [Int]) -> ProtocolBuffer {
    tensor(name, type: 7, shape).adding(7, all: elements)
  }
  static func external(_ name: String, _ shape: [Int], _ entries: [(String, String)]) -> ProtocolBuffer {
    let pairs = entries.map { ProtocolBuffer().adding(1, $0.0).adding(2, $0.1) }
    return tensor(name, type: 1, shape).adding(13, all: pairs).adding(14, 1)
  }

  static func graph(
    _ nodes: [ProtocolBuffer], inputs: [ProtocolBuffer] = [value("x", [2, 3])], outputs: [String] = ["y"],
    initializers: [ProtocolBuffer] = []
  ) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, all: nodes).adding(2, "test").adding(5, all: initializers).adding(11, all: inputs)
      .adding(12, all: outputs.map { ProtocolBuffer().adding(1, $0) })
  }

  static func opset(_ version: Int, domain: String = "") -> ProtocolBuffer {
    ProtocolBuffer().adding(1, domain).adding(2, version)
  }

  static func function(
    _ name: String, domain: String, inputs: [String], outputs: [String], attributes: [String] = [],
    _ nodes: [ProtocolBuffer], opset version: Int = 17
  ) -> ProtocolBuffer {
    ProtocolBuffer().adding(1, name).adding(4, all: inputs).adding(5, all: outputs).adding(6, all: attributes)
      .adding(7, all: nodes).adding(9, opset(version)).adding(9, opset(1, domain: domain)).adding(10, domain)
  }

  static func model(
    _ graph: ProtocolBuffer, opset version: Int = 17, irVersion: Int = 8, functions: [ProtocolBuffer] = [],
    domains: [String] = []
  ) -> [UInt8] {
    ProtocolBuffer().adding(1, irVersion).adding(2, "test").adding(8, opset(version))
      .adding(8, all: domains.map { opset(1, domain: $0) }).adding(7, graph).adding(25, all: functions).bytes
  }
}
