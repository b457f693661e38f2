#include "crypto/der.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/check.h"

namespace hexr::crypto::der {
namespace {

Error Malformed(std::string_view what) { return InvalidArgument("DER: " + std::string(what)); }

// Tag and length of `size` bytes of contents, into `out`; returns how many bytes that took.
size_t WriteHeader(uint8_t tag, size_t size, std::array<uint8_t, 6>& out) {
  HEXR_CHECK(size <= UINT32_MAX);
  out[0] = tag;
  if (size < 0x80) {
    out[1] = static_cast<uint8_t>(size);
    return 2;
  }
  size_t length_bytes = 1;
  while (size >> (8 * length_bytes) != 0) ++length_bytes;
  out[1] = static_cast<uint8_t>(0x80 | length_bytes);
  for (size_t i = 0; i < length_bytes; ++i) out[2 + i] = static_cast<uint8_t>(size >> (8 * (length_bytes - 1 - i)));
  return 2 + length_bytes;
}

}  // namespace

Bytes Concat(std::initializer_list<ByteView> parts) {
  size_t size = 0;
  for (const ByteView p : parts) size += p.size();
  Bytes out(size);
  auto at = out.begin();
  for (const ByteView p : parts) at = std::ranges::copy(p, at).out;
  return out;
}

Bytes Tlv(uint8_t tag, std::initializer_list<ByteView> parts) {
  size_t size = 0;
  for (const ByteView p : parts) size += p.size();
  std::array<uint8_t, 6> header;
  const size_t header_size = WriteHeader(tag, size, header);
  Bytes out(header_size + size);
  auto at = std::copy_n(header.begin(), header_size, out.begin());
  for (const ByteView p : parts) at = std::ranges::copy(p, at).out;
  return out;
}

Bytes UnsignedInteger(ByteView big_endian) {
  while (big_endian.size() > 1 && big_endian[0] == 0) big_endian = big_endian.subspan(1);
  static constexpr uint8_t kZero = 0;
  if (big_endian.empty()) return Tlv(kInteger, {ByteView(&kZero, 1)});
  if ((big_endian[0] & 0x80) != 0) return Tlv(kInteger, {ByteView(&kZero, 1), big_endian});
  return Tlv(kInteger, {big_endian});
}

Bytes SmallInteger(uint32_t value) {
  const std::array<uint8_t, 4> be = {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
                                     static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
  return UnsignedInteger(be);
}

Bytes BitString(ByteView bytes, uint8_t unused_bits) { return Tlv(kBitString, {ByteView(&unused_bits, 1), bytes}); }
Bytes OctetString(ByteView bytes) { return Tlv(kOctetString, {bytes}); }
Bytes Oid(ByteView contents) { return Tlv(kOid, {contents}); }
Bytes Text(uint8_t tag, std::string_view text) { return Tlv(tag, {AsBytes(text)}); }

Bytes Time(WallTime t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(t - day));
  const int year = static_cast<int>(date.year());
  const std::string rest =
      fmt::format("{:02}{:02}{:02}{:02}{:02}Z", static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  time.hours().count(), time.minutes().count(), time.seconds().count());
  if (year >= 1950 && year < 2050) return Text(kUtcTime, fmt::format("{:02}{}", year % 100, rest));
  return Text(kGeneralizedTime, fmt::format("{:04}{}", year, rest));
}

Result<Element> Reader::Next() {
  if (rest_.size() < 2) return Malformed("cut short");
  const uint8_t tag = rest_[0];
  if ((tag & 0x1f) == 0x1f) return Malformed("tag numbers above 30 are not used here");
  size_t header = 2;
  size_t size = rest_[1];
  if (size >= 0x80) {
    const size_t length_bytes = size & 0x7f;
    if (length_bytes == 0 || length_bytes > 4) return Malformed("indefinite or oversized length");
    if (rest_.size() < 2 + length_bytes) return Malformed("cut short");
    size = 0;
    for (size_t i = 0; i < length_bytes; ++i) size = size << 8 | rest_[2 + i];
    if (size < 0x80 || size >> (8 * (length_bytes - 1)) == 0) return Malformed("length is not minimal");
    header += length_bytes;
  }
  if (size > rest_.size() - header) return Malformed("cut short");
  const Element e{tag, rest_.subspan(header, size), rest_.first(header + size)};
  rest_ = rest_.subspan(header + size);
  return e;
}

Result<Element> Reader::ExpectElement(uint8_t tag) {
  ASSIGN_OR_RETURN(const Element e, Next());
  if (e.tag != tag) return Malformed(fmt::format("tag {:#04x} where {:#04x} belongs", e.tag, tag));
  return e;
}

Result<ByteView> Reader::Expect(uint8_t tag) {
  ASSIGN_OR_RETURN(const Element e, ExpectElement(tag));
  return e.contents;
}

Result<std::optional<ByteView>> Reader::Optional(uint8_t tag) {
  if (rest_.empty() || rest_[0] != tag) return std::optional<ByteView>();
  ASSIGN_OR_RETURN(const ByteView contents, Expect(tag));
  return std::optional<ByteView>(contents);
}

Status Reader::Finish() const {
  if (!rest_.empty()) return Malformed("bytes behind the end");
  return Ok();
}

Result<ByteView> Reader::Unsigned() {
  ASSIGN_OR_RETURN(const ByteView b, Expect(kInteger));
  if (b.empty()) return Malformed("empty integer");
  if ((b[0] & 0x80) != 0) return Malformed("negative integer");
  if (b.size() == 1 || b[0] != 0) return b;
  if ((b[1] & 0x80) == 0) return Malformed("integer is not minimal");
  return b.subspan(1);
}

Result<uint32_t> Reader::Small() {
  ASSIGN_OR_RETURN(const ByteView b, Unsigned());
  if (b.size() > 4) return Malformed("integer out of range");
  uint32_t v = 0;
  for (const uint8_t byte : b) v = v << 8 | byte;
  return v;
}

Result<bool> Reader::Boolean() {
  ASSIGN_OR_RETURN(const ByteView b, Expect(kBoolean));
  if (b.size() != 1 || (b[0] != 0 && b[0] != 0xff)) return Malformed("boolean is neither 00 nor FF");
  return b[0] == 0xff;
}

Result<ByteView> Reader::BitStringBytes() {
  ASSIGN_OR_RETURN(const ByteView b, Expect(kBitString));
  if (b.empty() || b[0] != 0) return Malformed("bit string is not whole bytes");
  return b.subspan(1);
}

Result<WallTime> Reader::Time() {
  ASSIGN_OR_RETURN(const Element e, Next());
  const std::string_view s = AsText(e.contents);
  const size_t year_digits = e.tag == kUtcTime ? 2 : 4;
  if ((e.tag != kUtcTime && e.tag != kGeneralizedTime) || s.size() != year_digits + 11 || s.back() != 'Z' ||
      !std::ranges::all_of(s.substr(0, s.size() - 1), [](char c) { return c >= '0' && c <= '9'; })) {
    return Malformed("time is not YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ");
  }
  const auto number = [&s](size_t at, size_t digits) {
    int v = 0;
    for (size_t i = at; i < at + digits; ++i) v = v * 10 + (s[i] - '0');
    return v;
  };
  int year = number(0, year_digits);
  if (e.tag == kUtcTime) year += year < 50 ? 2000 : 1900;
  if (e.tag == kGeneralizedTime && year >= 1950 && year < 2050) {
    return Malformed("GeneralizedTime where UTCTime belongs");
  }
  const size_t at = year_digits;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(number(at, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(at + 2, 2)))};
  const int hour = number(at + 4, 2), minute = number(at + 6, 2), second = number(at + 8, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return Malformed("no such time");
  if (year > 2261) return WallTime::max();
  if (year < 1678) return WallTime::min();
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

}  // namespace hexr::crypto::der
