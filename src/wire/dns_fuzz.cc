// A query that parses is answered by a message that repeats its question and stays within its bound.
#include "base/check.h"
#include "wire/dns.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace wire = hexr::wire;
  const hexr::ByteView message(data, size);
  const auto query = wire::ParseDnsQuery(message);
  if (query.ok()) {
    const std::vector<wire::DnsRecord> records(40, {std::array<uint8_t, 4>{1, 2, 3, 4}, 1});
    const auto answer = wire::BuildDnsAnswer(*query, wire::DnsCode::kNoError, records, query->UdpLimit());
    HEXR_CHECK(answer.size() <= query->UdpLimit() && answer[0] == data[0] && answer[1] == data[1]);
    HEXR_CHECK(!wire::ParseDnsQuery(answer).ok());
  }
  static_cast<void>(wire::BuildDnsError(message, wire::DnsCode::kFormatError));
  wire::DnsStreamReader reader;
  reader.Append(message);
  for (auto next = reader.Next(); next.ok() && next->has_value(); next = reader.Next()) {
  }
  return 0;
}
