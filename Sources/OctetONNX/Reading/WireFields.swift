/// Where the fields of a message lie in its bytes, by the wire format of protocol buffers: nothing is decoded.
struct WireFields {
  /// One field, or several next to each other.
  struct Run {
    /// Of one field that was asked for by itself.
    var number: UInt64?
    /// Keys and values.
    var range: Range<Int>
    /// What is in a field of a length: a message, a string, bytes.
    var contents: Range<Int>?
  }

  /// The bytes end within a field, or hold a group or a type that does not exist.
  struct Indivisible: Error {}

  private let bytes: UnsafeRawBufferPointer
  private var place: Int
  private let end: Int

  init(of bytes: UnsafeRawBufferPointer, in message: Range<Int>) {
    self.bytes = bytes
    place = message.lowerBound
    end = message.upperBound
  }

  /// The next fields, as many as make at most `limit` bytes, and one at least; a field of the number `single` comes by
  /// itself. Nil at the end.
  mutating func next(upTo limit: Int, single: UInt64? = nil) throws -> Run? {
    guard var run = try field() else { return nil }
    if run.number == single { return run }
    run.number = nil
    run.contents = nil
    while true {
      let start = place
      guard let next = try field() else { return run }
      guard next.number != single, next.range.upperBound - run.range.lowerBound <= limit else {
        place = start
        return run
      }
      run.range = run.range.lowerBound..<next.range.upperBound
    }
  }

  private mutating func field() throws -> Run? {
    guard place < end else { return nil }
    let start = place
    let key = try varint()
    var contents: Range<Int>?
    switch key & 7 {
    case 0: _ = try varint()
    case 1: place += 8
    case 2:
      let length = try varint()
      guard length <= end - place else { throw Indivisible() }
      contents = place..<(place + Int(length))
      place += Int(length)
    case 5: place += 4
    default: throw Indivisible()
    }
    guard place <= end else { throw Indivisible() }
    return Run(number: key >> 3, range: start..<place, contents: contents)
  }

  private mutating func varint() throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard place < end else { throw Indivisible() }
      let byte = bytes[place]
      place += 1
      value |= UInt64(byte & 127) << shift
      if byte < 128 { return value }
    }
    throw Indivisible()
  }
}
