#include "wire/dns.h"

#include <gtest/gtest.h>

#include "base/limits/tls_dns.h"

namespace hexr::wire {
namespace {

Bytes Query(std::string_view name, uint16_t type, bool edns = false, uint16_t udp_size = 4096,
            uint16_t flags = 0x0100) {
  Bytes out{0x12, 0x34, static_cast<uint8_t>(flags >> 8), static_cast<uint8_t>(flags), 0, 1, 0, 0, 0,
            0,    0,    static_cast<uint8_t>(edns)};
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out.push_back(static_cast<uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  for (const int b : {0, type >> 8, type & 255, 0, 1}) out.push_back(static_cast<uint8_t>(b));
  if (edns) {
    for (const int b : {0, 0, 41, udp_size >> 8, udp_size & 255, 0, 0, 0, 0, 0, 4, 0, 10, 0, 0})
      out.push_back(static_cast<uint8_t>(b));
  }
  return out;
}

DnsRecord A(uint8_t last) { return {std::array<uint8_t, 4>{198, 18, 0, last}, 5}; }

TEST(Dns, ReadsAQuery) {
  const DnsQuery q = ParseDnsQuery(Query("Api.Example.ORG", kDnsTypeA)).value();
  EXPECT_EQ(q.id, 0x1234);
  EXPECT_EQ(q.name, "api.example.org");
  EXPECT_EQ(q.type, kDnsTypeA);
  EXPECT_TRUE(q.recursion_desired);
  EXPECT_FALSE(q.edns);
  EXPECT_EQ(q.UdpLimit(), 512U);
  const DnsQuery e = ParseDnsQuery(Query("a", kDnsTypeAaaa, true)).value();
  EXPECT_TRUE(e.edns);
  EXPECT_EQ(e.UdpLimit(), 1232U);
  EXPECT_EQ(ParseDnsQuery(Query("a", 1, true, 100)).value().UdpLimit(), 512U);
  EXPECT_EQ(ParseDnsQuery(Query("", 2)).value().name, "");
}

TEST(Dns, RefusesWhatIsNoPlainQuery) {
  const Bytes good = Query("a.b", 1, true);
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(ParseDnsQuery(ByteView(good).first(n)).ok()) << n;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(ParseDnsQuery(longer).ok());
  EXPECT_FALSE(ParseDnsQuery(Query("a", 1, false, 0, 0x8100)).ok()) << "a response";
  EXPECT_EQ(ParseDnsQuery(Query("a", 1, false, 0, 0x2800)).error().code(), ErrorCode::kUnimplemented) << "an update";
  for (const size_t count_at : {5U, 7U, 9U, 11U}) {
    Bytes bad = good;
    bad[count_at] = 2;
    EXPECT_FALSE(ParseDnsQuery(bad).ok()) << count_at;
  }
  Bytes pointer = Query("a", 1);
  pointer[12] = 0xC0;
  pointer[13] = 12;
  EXPECT_FALSE(ParseDnsQuery(pointer).ok());
  for (const char* name : {"a b", "a\x01", "a/b", "\xC3\xA4"}) EXPECT_FALSE(ParseDnsQuery(Query(name, 1)).ok()) << name;
  std::string long_name;
  for (int i = 0; i < 64; ++i) long_name += "aaa.";
  EXPECT_FALSE(ParseDnsQuery(Query(long_name + "a", 1)).ok());
  Bytes chaos = Query("a", 1);
  chaos.back() = 3;
  EXPECT_EQ(ParseDnsQuery(chaos).error().code(), ErrorCode::kUnimplemented);
}

TEST(Dns, Answers) {
  const DnsQuery q = ParseDnsQuery(Query("aB.c", kDnsTypeA, true)).value();
  const Bytes answer = BuildDnsAnswer(q, DnsCode::kNoError, {A(1)}, 512);
  EXPECT_EQ(HexEncode(answer),
            "1234818000010001000000010261420163000001"
            "0001"
            "c00c00010001000000050004c6120001"
            "00002904d0000000000000");
  const Bytes v6 = BuildDnsAnswer(q, DnsCode::kNoError, {{std::array<uint8_t, 16>{0x20, 1}, 5}}, 512);
  EXPECT_EQ(v6.size(), answer.size() + 12);
  EXPECT_EQ(HexEncode(ByteView(BuildDnsAnswer(q, DnsCode::kNoSuchName, {}, 512)).first(12)),
            "123481830001000000000001");
  EXPECT_EQ(BuildDnsAnswer(q, DnsCode::kRefused, {}, 512)[3] & 15, 5);
}

TEST(Dns, TruncatesWhatDoesNotFit) {
  const DnsQuery q = ParseDnsQuery(Query("a", kDnsTypeA)).value();
  const std::vector<DnsRecord> many(limits::kMaxDnsRecords + 10, A(1));
  const Bytes udp = BuildDnsAnswer(q, DnsCode::kNoError, many, q.UdpLimit());
  EXPECT_EQ(udp[2] & 2, 2);
  EXPECT_EQ(udp[7], 0);
  const Bytes tcp = BuildDnsAnswer(q, DnsCode::kNoError, many, 65535);
  EXPECT_EQ(tcp[2] & 2, 0);
  EXPECT_EQ(tcp[7], limits::kMaxDnsRecords);
}

TEST(Dns, AnswersWhatItCannotRead) {
  Bytes update = Query("a", 1, false, 0, 0x2900);
  EXPECT_EQ(HexEncode(BuildDnsError(update, DnsCode::kNotImplemented).value()), "1234a9040000000000000000");
  EXPECT_FALSE(BuildDnsError(ByteView(update).first(11), DnsCode::kFormatError));
  update[2] |= 0x80;
  EXPECT_FALSE(BuildDnsError(update, DnsCode::kFormatError)) << "answering an answer can go on for ever";
}

TEST(Dns, CutsAStream) {
  const Bytes q = Query("a", 1);
  Bytes stream = DnsStreamFrame(q);
  const Bytes again = DnsStreamFrame(q);
  stream.insert(stream.end(), again.begin(), again.end());
  DnsStreamReader reader;
  size_t messages = 0;
  for (const uint8_t b : stream) {
    reader.Append({&b, 1});
    const auto next = reader.Next();
    ASSERT_TRUE(next.ok());
    if (!next->has_value()) continue;
    EXPECT_EQ(**next, q);
    ++messages;
  }
  EXPECT_EQ(messages, 2U);
  reader.Append(Bytes{0xFF, 0xFF});
  EXPECT_FALSE(reader.Next().ok()) << "limits::kMaxDnsQueryBytes";
}

}  // namespace
}  // namespace hexr::wire
