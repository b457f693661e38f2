// DER (X.690): a writer of composed values and a strict reader. The reader takes one encoding per value: definite,
// minimal lengths, single-byte tags, minimal integers, nothing behind the end. Stateless functions and a value type.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace hexr::crypto::der {

enum Tag : uint8_t {
  kBoolean = 0x01,
  kInteger = 0x02,
  kBitString = 0x03,
  kOctetString = 0x04,
  kNull = 0x05,
  kOid = 0x06,
  kEnumerated = 0x0a,
  kUtf8String = 0x0c,
  kPrintableString = 0x13,
  kIa5String = 0x16,
  kUtcTime = 0x17,
  kGeneralizedTime = 0x18,
  kSequence = 0x30,
  kSet = 0x31,
};
constexpr uint8_t ContextPrimitive(uint8_t n) { return static_cast<uint8_t>(0x80 | n); }
constexpr uint8_t ContextConstructed(uint8_t n) { return static_cast<uint8_t>(0xa0 | n); }

// Writing: a value is made from the encodings of its parts.
Bytes Tlv(uint8_t tag, std::initializer_list<ByteView> parts);
Bytes Concat(std::initializer_list<ByteView> parts);
inline Bytes Sequence(std::initializer_list<ByteView> parts) { return Tlv(kSequence, parts); }
Bytes UnsignedInteger(ByteView big_endian);
Bytes SmallInteger(uint32_t value);
Bytes BitString(ByteView bytes, uint8_t unused_bits = 0);
Bytes OctetString(ByteView bytes);
// `contents` is the encoded OID without tag and length, as in oid.h.
Bytes Oid(ByteView contents);
Bytes Text(uint8_t tag, std::string_view text);
// UTCTime through 2049, GeneralizedTime afterwards (RFC 5280 4.1.2.5); whole seconds, cut.
Bytes Time(WallTime t);

struct Element {
  uint8_t tag = 0;
  ByteView contents;
  ByteView whole;  // with tag and length
};

// Reads the elements of one level one after the other. Views point into the input.
class Reader {
 public:
  explicit Reader(ByteView input) : rest_(input) {}

  bool AtEnd() const { return rest_.empty(); }
  ByteView rest() const { return rest_; }
  Result<Element> Next();
  // The contents of the next element, which has this tag.
  Result<ByteView> Expect(uint8_t tag);
  Result<Element> ExpectElement(uint8_t tag);
  // As Expect, or nothing when another tag or the end comes next.
  Result<std::optional<ByteView>> Optional(uint8_t tag);
  Status Finish() const;

  // Contents of a non-negative INTEGER without its sign byte: {} is never returned, zero is {0}.
  Result<ByteView> Unsigned();
  Result<uint32_t> Small();
  Result<bool> Boolean();
  // The bytes of a BIT STRING with no unused bits.
  Result<ByteView> BitStringBytes();
  // UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 restricts them. Times beyond what WallTime holds become its maximum.
  Result<WallTime> Time();

 private:
  ByteView rest_;
};

}  // namespace hexr::crypto::der
