// The part of DNS that a server of synthetic answers needs (RFC 1035 4, RFC 6891): strict queries in, small answers
// out. No recursion, no cache, no zone. Stateless but for DnsStreamReader; thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/limits/tls_dns.h"
#include "base/result.h"

namespace hexr::wire {

enum : uint16_t { kDnsTypeA = 1, kDnsTypeAaaa = 28, kDnsTypeHttps = 65 };

enum class DnsCode : uint8_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNoSuchName = 3,
  kNotImplemented = 4,
  kRefused = 5
};

struct DnsQuery {
  uint16_t id = 0;
  bool recursion_desired = false;
  std::string name;  // lower case, without the final dot; "" is the root
  uint16_t type = 0;
  bool edns = false;
  uint16_t udp_size = 512;  // what the client takes over UDP, at least 512
  Bytes question;           // as it was asked: an answer repeats it letter by letter

  // How large an answer may be over UDP; larger ones are truncated and asked for again over TCP.
  size_t UdpLimit() const;
};

// One query of class IN, nothing but an OPT record beside its question. INVALID_ARGUMENT for anything malformed, labels
// with bytes other than letters, digits, '-' and '_' included; UNIMPLEMENTED for other opcodes, classes and EDNS
// versions.
Result<DnsQuery> ParseDnsQuery(ByteView message);

struct DnsRecord {
  std::variant<std::array<uint8_t, 4>, std::array<uint8_t, 16>> address;  // A or AAAA
  uint32_t ttl_seconds = 0;
};

// With no records and kNoError: the name exists, but has nothing of this type. At most limits::kMaxDnsRecords are
// written; when they do not fit into `max_bytes`, the answer is empty and marked as truncated.
Bytes BuildDnsAnswer(const DnsQuery& query, DnsCode code, const std::vector<DnsRecord>& records, size_t max_bytes);

// The answer to a message that could not be parsed; nothing for what is too short to be answered, or is no query.
std::optional<Bytes> BuildDnsError(ByteView message, DnsCode code);

// TCP: each message behind a two-byte length (RFC 7766 8).
Bytes DnsStreamFrame(ByteView message);
class DnsStreamReader {
 public:
  void Append(ByteView bytes);
  // The next complete message; nothing while it is incomplete. A length that no query of ours has is INVALID_ARGUMENT.
  Result<std::optional<Bytes>> Next();

 private:
  Bytes buffer_;
};

}  // namespace hexr::wire
