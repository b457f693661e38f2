#include "wire/dns.h"

#include <algorithm>

#include "base/limits/tls_dns.h"
#include "wire/byte_reader.h"

namespace hexr::wire {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kClassIn = 1;
constexpr uint16_t kTypeOpt = 41;
constexpr uint16_t kResponse = 0x8000;
constexpr uint16_t kTruncated = 0x0200;
constexpr uint16_t kRecursionDesired = 0x0100;
constexpr uint16_t kRecursionAvailable = 0x0080;
constexpr uint16_t kOpcodeMask = 0x7800;
constexpr uint16_t kMinUdpBytes = 512;
constexpr uint16_t kMaxUdpBytes = 1232;  // fits every path without fragments (DNS flag day 2020)
constexpr uint16_t kNameOfQuestion = 0xC000 | kHeaderBytes;

Error BadMessage(const char* why) { return InvalidArgument(std::string("dns: ") + why); }

void Put16(Bytes& out, uint32_t v) {
  out.push_back(static_cast<uint8_t>(v >> 8));
  out.push_back(static_cast<uint8_t>(v));
}
void Put32(Bytes& out, uint32_t v) {
  Put16(out, v >> 16);
  Put16(out, v & 0xFFFF);
}

// A compressed name is refused: in a question there is nothing before it to point to.
Result<std::string> ReadName(ByteReader& in) {
  std::string out;
  size_t wire_bytes = 1;
  while (true) {
    const uint8_t length = in.U8();
    if (!in.ok() || length > 63) return BadMessage("bad name");
    if (length == 0) return out;
    const ByteView label = in.Bytes(length);
    wire_bytes += label.size() + 1;
    if (!in.ok() || wire_bytes > 255) return BadMessage("bad name");
    if (!out.empty()) out += '.';
    for (const uint8_t b : label) {
      const char c = b >= 'A' && b <= 'Z' ? static_cast<char>(b + 32) : static_cast<char>(b);
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
        return BadMessage("bad byte in a name");
      out += c;
    }
  }
}

void PutOpt(Bytes& out) {
  out.push_back(0);  // root
  Put16(out, kTypeOpt);
  Put16(out, kMaxUdpBytes);
  Put32(out, 0);  // extended code, version 0, no flags
  Put16(out, 0);
}

}  // namespace

size_t DnsQuery::UdpLimit() const { return std::min(udp_size, kMaxUdpBytes); }

Result<DnsQuery> ParseDnsQuery(ByteView message) {
  ByteReader in(message);
  DnsQuery out;
  out.id = in.U16();
  const uint16_t flags = in.U16();
  const uint16_t questions = in.U16();
  const uint16_t answers = in.U16();
  const uint16_t authorities = in.U16();
  const uint16_t additional = in.U16();
  if (!in.ok() || (flags & kResponse) != 0) return BadMessage("not a query");
  if ((flags & kOpcodeMask) != 0) return Unimplemented("dns: opcode");
  if (questions != 1 || answers != 0 || authorities != 0 || additional > 1)
    return BadMessage("wrong number of records");
  out.recursion_desired = (flags & kRecursionDesired) != 0;
  ASSIGN_OR_RETURN(out.name, ReadName(in));
  out.type = in.U16();
  const uint16_t dns_class = in.U16();
  if (!in.ok()) return BadMessage("question is cut off");
  out.question.assign(message.begin() + kHeaderBytes, message.end() - static_cast<ptrdiff_t>(in.left()));
  if (dns_class != kClassIn) return Unimplemented("dns: class");
  if (additional == 1) {
    const uint8_t root = in.U8();
    const uint16_t type = in.U16();
    const uint16_t size = in.U16();
    in.U8();  // extended code
    const uint8_t version = in.U8();
    in.U16();
    in.Block16();  // options: none changes an answer of ours
    if (!in.ok() || root != 0 || type != kTypeOpt) return BadMessage("record that a query does not carry");
    if (version != 0) return Unimplemented("dns: EDNS version");
    out.edns = true;
    out.udp_size = std::max(size, kMinUdpBytes);
  }
  if (!in.done()) return BadMessage("bytes behind the message");
  return out;
}

Bytes BuildDnsAnswer(const DnsQuery& query, DnsCode code, const std::vector<DnsRecord>& records, size_t max_bytes) {
  const auto write = [&](size_t count, bool truncated) {
    Bytes out;
    Put16(out, query.id);
    Put16(out, kResponse | (query.recursion_desired ? kRecursionDesired : 0U) | kRecursionAvailable |
                   (truncated ? kTruncated : 0U) | static_cast<uint8_t>(code));
    Put16(out, 1);
    Put16(out, static_cast<uint32_t>(count));
    Put16(out, 0);
    Put16(out, query.edns ? 1 : 0);
    out.insert(out.end(), query.question.begin(), query.question.end());
    for (size_t i = 0; i < count; ++i) {
      const bool v4 = std::holds_alternative<std::array<uint8_t, 4>>(records[i].address);
      Put16(out, kNameOfQuestion);
      Put16(out, v4 ? kDnsTypeA : kDnsTypeAaaa);
      Put16(out, kClassIn);
      Put32(out, records[i].ttl_seconds);
      Put16(out, v4 ? 4 : 16);
      std::visit([&out](const auto& a) { out.insert(out.end(), a.begin(), a.end()); }, records[i].address);
    }
    if (query.edns) PutOpt(out);
    return out;
  };
  Bytes out = write(std::min(records.size(), limits::kMaxDnsRecords), false);
  return out.size() <= max_bytes ? out : write(0, true);
}

std::optional<Bytes> BuildDnsError(ByteView message, DnsCode code) {
  ByteReader in(message);
  const uint16_t id = in.U16();
  const uint16_t flags = in.U16();
  if (message.size() < kHeaderBytes || (flags & kResponse) != 0) return std::nullopt;
  Bytes out;
  Put16(out, id);
  Put16(out, kResponse | (flags & (kOpcodeMask | kRecursionDesired)) | static_cast<uint8_t>(code));
  out.resize(kHeaderBytes);
  return out;
}

Bytes DnsStreamFrame(ByteView message) {
  Bytes out;
  out.reserve(message.size() + 2);
  Put16(out, static_cast<uint32_t>(message.size()));
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

void DnsStreamReader::Append(ByteView bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }

Result<std::optional<Bytes>> DnsStreamReader::Next() {
  if (buffer_.size() < 2) return std::optional<Bytes>();
  const size_t size = size_t{buffer_[0]} << 8 | buffer_[1];
  if (size < kHeaderBytes || size > limits::kMaxDnsQueryBytes) return BadMessage("bad message length");
  if (buffer_.size() < 2 + size) return std::optional<Bytes>();
  const auto end = buffer_.begin() + static_cast<ptrdiff_t>(2 + size);
  Bytes out(buffer_.begin() + 2, end);
  buffer_.erase(buffer_.begin(), end);
  return std::optional(std::move(out));
}

}  // namespace hexr::wire
