#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <type_traits>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/limits/names.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/random.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "base/unique_function.h"
#include "base/utf8.h"

namespace hexr {
namespace {

// INV-BASE-03: what a secret or a whole buffer could come in is no field. Each line fails to compile once it is one.
template <class T>
concept IsLogField = std::is_constructible_v<LogField, std::string_view, T>;
static_assert(IsLogField<std::string> && IsLogField<SpiffeId> && IsLogField<int>);
static_assert(!IsLogField<Bytes> && !IsLogField<ByteView> && !IsLogField<std::span<char>>);

TEST(Result, CarriesValueOrError) {
  const auto half = [](int n) -> Result<int> {
    if (n % 2 != 0) return InvalidArgument("odd");
    return n / 2;
  };
  const auto quarter = [&](int n) -> Result<int> {
    ASSIGN_OR_RETURN(const int h, half(n));
    return half(h);
  };
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(quarter(3).error().WithContext("x").ToString(), "INVALID_ARGUMENT: x: odd");
  EXPECT_DEATH((void)quarter(3).value(), "broken invariant");
}

TEST(Bytes, EncodingsAreStrictInverses) {
  SeededRandom random(1);
  for (size_t n = 0; n < 100; ++n) {
    Bytes b(n);
    random.Fill(b);
    EXPECT_EQ(*HexDecode(HexEncode(b)), b);
    EXPECT_EQ(*Base64Decode(Base64Encode(b)), b);
    EXPECT_EQ(*Base64UrlDecode(Base64UrlEncode(b)), b);
  }
  EXPECT_EQ(Base64Encode(AsBytes("foob")), "Zm9vYg==");  // RFC 4648 section 10
  for (const char* bad : {"Zm9vYg", "Zm9vYh==", "Zm9v Yg=", "Zg=a", "=Zg=", "Zg==="})
    EXPECT_FALSE(Base64Decode(bad).ok()) << bad;
  for (const char* bad : {"Zg==", "Zh", "a", "+/"}) EXPECT_FALSE(Base64UrlDecode(bad).ok()) << bad;
  EXPECT_FALSE(HexDecode("abc").ok());
  EXPECT_FALSE(HexDecode("zz").ok());
}

TEST(Bytes, Utf8) {
  EXPECT_TRUE(IsUtf8("a\u00e9\u20ac\U0001F600"));
  std::string appended;
  for (const uint32_t c : {0x61U, 0x7fU, 0x80U, 0x7ffU, 0x800U, 0xffffU, 0x10000U, 0x10ffffU}) AppendUtf8(c, appended);
  EXPECT_EQ(appended, "a\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
  for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE2\x82", "\xFF"})
    EXPECT_FALSE(IsUtf8(bad));
}

TEST(Clock, Rfc3339RoundTrip) {
  for (const char* t :
       {"2026-11-24T13:11:25.123456789Z", "1999-12-31T23:59:59.000000001Z", "1969-07-20T20:17:40.000000000Z"}) {
    EXPECT_EQ(FormatRfc3339(*ParseRfc3339(t), 9), t);
  }
  EXPECT_EQ(FormatRfc3339(*ParseRfc3339("2026-01-02T03:04:05+01:00"), 0), "2026-01-02T02:04:05Z");
  for (const char* bad :
       {"", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx", "9999-01-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseRfc3339(bad).ok()) << bad;
  }
}

TEST(Clock, Durations) {
  using std::chrono::milliseconds;
  EXPECT_EQ(*ParseDuration("1h30m"), milliseconds(5'400'000));
  EXPECT_EQ(*ParseDuration("250ms"), milliseconds(250));
  EXPECT_EQ(FormatDuration(*ParseDuration("90061001ms")), "1d1h1m1s1ms");
  for (const char* bad : {"", "5", "m", "1.5h", "-1m", "1y", "99999999999999999999s", "9999999999999999d"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

// SPIFFE-ID.md 2.1 and 2.2, character by character: what else a URI may hold (RFC 3986) has no place in one.
TEST(SpiffeId, TheCharactersOfTheStandardAndNoOthers) {
  const auto one_of = [](char c, std::string_view set) { return set.find(c) != std::string_view::npos; };
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    const bool digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
    const bool mark = one_of(c, ".-_");
    const std::string td = std::string("a") + c + "b";
    EXPECT_EQ(TrustDomain::Parse(td).ok(), digit || lower || mark) << i;
    EXPECT_EQ(SpiffeId::Parse("spiffe://" + td).ok(), digit || lower || mark || c == '/') << i;
    EXPECT_EQ(SpiffeId::Parse("spiffe://td/" + td).ok(), digit || lower || upper || mark || c == '/') << i;
    EXPECT_EQ(IdSegment::Parse(td).ok(), digit || lower || upper || mark) << i;
    // Alone in its segment: one dot is none.
    EXPECT_EQ(SpiffeId::Parse(std::string("spiffe://td/a/") + c).ok(), digit || lower || upper || one_of(c, "-_")) << i;
  }
}

// What go-spiffe's documentation of spiffeid.FromString says, case by case.
TEST(SpiffeId, TheCasesOfGoSpiffe) {
  struct Case {
    std::string text, trust_domain, path;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"spiffe://trustdomain", "trustdomain", ""},
           {"spiffe://trustdomain/path", "trustdomain", "/path"},
           {"spiffe://trustdomain/path/element", "trustdomain", "/path/element"},
           {"spiffe://trustdomain/path.-_A0", "trustdomain", "/path.-_A0"},
           {"spiffe://trustdomain/.../.a/a./..a", "trustdomain", "/.../.a/a./..a"},
           {"spiffe://trust-domain.test_1/a", "trust-domain.test_1", "/a"},
           {"spiffe://-", "-", ""},
           {"spiffe://10.0.0.1/a", "10.0.0.1", "/a"},
       }) {
    const auto id = SpiffeId::Parse(c.text);
    ASSERT_TRUE(id.ok()) << c.text;
    EXPECT_EQ((std::pair{id->trust_domain().name(), std::string(id->path())}), (std::pair{c.trust_domain, c.path}));
  }
  for (const char* bad : {"path",
                          "/path",
                          "trustdomain/path",
                          "sparfe://trustdomain/path",
                          "spiffe:/trustdomain/path",
                          "spiffe:trustdomain",
                          "spiffe:///path",
                          "spiffe://trustdomain/path//element",
                          "spiffe://trustdomain//",
                          "spiffe://trustdomain/.",
                          "spiffe://trustdomain/..",
                          "spiffe://trustdomain/path/.",
                          "spiffe://trustdomain/path/..",
                          "spiffe://trustdomain/./path",
                          "spiffe://trustdomain/../path",
                          "spiffe://trustdomain/%2e%2e/path",
                          "spiffe://trustDomain/path",
                          "spiffe://trustdomain/path element",
                          "spiffe://trustdomain/path\\element",
                          "spiffe://trustdomain:80",
                          "spiffe://user:password@trustdomain/path",
                          "spiffe://trustdomain?query",
                          "spiffe://trustdomain/path?",
                          "spiffe://trustdomain/path#",
                          "spiffe://t%72ustdomain/path",
                          " spiffe://trustdomain",
                          "spiffe://trustdomain\n",
                          "spiffe://trustdomain/path\t"}) {
    EXPECT_FALSE(SpiffeId::Parse(bad).ok()) << bad;
  }
}

TEST(SpiffeId, ParsesAndRoundTrips) {
  const std::string longest = "spiffe://td/" + std::string(limits::kMaxSpiffeIdBytes - 12, 'a');
  for (const std::string& good : {std::string("spiffe://example.org"), std::string("spiffe://example.org/agent/t/a/r"),
                                  std::string("spiffe://1.2.3.4/A-b_c.d"), std::string("spiffe://td/..."), longest}) {
    const auto id = SpiffeId::Parse(good);
    ASSERT_TRUE(id.ok()) << good;
    EXPECT_EQ(id->ToString(), good);
  }
  EXPECT_EQ(SpiffeId::Parse("SPIFFE://td/a")->ToString(), "spiffe://td/a");
  for (const std::string& bad :
       {std::string(""), std::string("spiffe://"), std::string("http://td/a"), std::string("spiffe://TD/a"),
        std::string("spiffe://td/"), std::string("spiffe://td//a"), std::string("spiffe://td/a/"),
        std::string("spiffe://td/a/../b"), std::string("spiffe://td/./b"), std::string("spiffe://td/a%20b"),
        std::string("spiffe://td/a?q"), std::string("spiffe://td/a#f"), std::string("spiffe://u@td/a"),
        std::string("spiffe://td:80/a"), std::string("spiffe://[::1]/a"), std::string("spiffe://td/\xC3\xA9"),
        longest + "a", "spiffe://" + std::string(256, 'a'), std::string("spiffe://td/a\0b", 15)}) {
    EXPECT_FALSE(SpiffeId::Parse(bad).ok()) << bad;
  }
}

TEST(TrustDomain, IsBounded) {
  EXPECT_TRUE(TrustDomain::Parse(std::string(limits::kMaxTrustDomainBytes, 'a')).ok());
  EXPECT_FALSE(TrustDomain::Parse(std::string(limits::kMaxTrustDomainBytes + 1, 'a')).ok());
}

TEST(SpiffeId, ComposesAndCompares) {
  const auto td = *TrustDomain::Parse("example.org");
  const auto seg = [](const char* s) { return *IdSegment::Parse(s); };
  const SpiffeId id = SpiffeId::ForAgent(td, seg("default"), seg("crew"), seg("main"));
  EXPECT_EQ(id.ToString(), "spiffe://example.org/agent/default/crew/main");
  EXPECT_EQ(id.Child("sub/planner")->ToString(), id.ToString() + "/sub/planner");
  EXPECT_FALSE(id.Child("../x").ok());
  EXPECT_FALSE(id.Child("").ok());
  EXPECT_TRUE(id.IsUnder(*SpiffeId::Parse("spiffe://example.org/agent/default")));
  EXPECT_FALSE(id.IsUnder(*SpiffeId::Parse("spiffe://example.org/agent/def")));
  EXPECT_FALSE(IdSegment::Parse(std::string(limits::kMaxIdSegmentBytes + 1, 'a')).ok());
  EXPECT_FALSE(IdSegment::Parse("a/b").ok());
}

TEST(InstanceId, IsOrderedByTimeAndRoundTrips) {
  const std::string r(10, '\x7f');
  const auto a = InstanceId::Make(1'700'000'000'000, r);
  const auto b = InstanceId::Make(1'700'000'000'001, r);
  EXPECT_LT(a, b);
  EXPECT_EQ(*InstanceId::Parse(a.value()), a);
  EXPECT_FALSE(InstanceId::Parse("short").ok());
  EXPECT_FALSE(InstanceId::Parse(std::string(26, 'A')).ok());
}

TEST(Random, SeededRepeatsAndBelowIsInRange) {
  SeededRandom a(7), b(7);
  EXPECT_EQ(a.Next64(), b.Next64());
  for (int i = 0; i < 1000; ++i) EXPECT_LT(a.Below(7), 7u);
}

TEST(UniqueFunction, HoldsMoveOnly) {
  UniqueFunction<int(int)> f = [p = std::make_unique<int>(5)](int x) { return *p + x; };
  UniqueFunction<int(int)> g = std::move(f);
  EXPECT_EQ(g(1), 6);
  EXPECT_FALSE(f);
}

TEST(ParseDecimal, DigitsAloneAndAllOfThem) {
  EXPECT_EQ(ParseDecimal<uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(ParseDecimal<uint16_t>("007"), 7);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "1e3", "65536", "one"}) {
    EXPECT_EQ(ParseDecimal<uint16_t>(bad), std::nullopt) << bad;
  }
}

TEST(Nearest, IsNearOrNothing) {
  EXPECT_EQ(Nearest("pss", {"ps", "run", "show"}), "ps");
  EXPECT_EQ(Nearest("xyzzy", {"ps", "run", "show"}), "");
}

}  // namespace
}  // namespace hexr
