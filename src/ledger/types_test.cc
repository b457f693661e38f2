#include "ledger/types.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits/ledger.h"
#include "ledger/record_scan.h"
#include "wire/json.h"

namespace hexr::ledger {
namespace {

SpiffeId Researcher() { return SpiffeId::Parse("spiffe://example.org/agent/acme/crew/researcher").value(); }
InstanceId SomeInstance() { return InstanceId::Make(1'700'000'000'000, "0123456789"); }
constexpr std::string_view kWriter = "00112233445566ff";

Event Decision(SaltedText reason) {
  Body body;
  body.Set("verdict", Code("allow"))
      .Set("tool", PublicName::Parse("files/read_file").value())
      .Set("elapsed_ns", 1234)
      .Set("rules", std::vector{PublicName::Parse("a.rego:3").value(), PublicName::Parse("b.rego:9").value()})
      .Set("asked_at", WallTime{std::chrono::seconds(1'700'000'000)})
      .Set("streamed", true)
      .Set("args", std::move(reason));
  return Event{.time = WallTime{std::chrono::nanoseconds(1'700'000'000'123'456'789)},
               .kind = RecordKind::kDecision,
               .spiffe_id = Researcher(),
               .instance = SomeInstance(),
               .tenant = IdSegment::Parse("acme").value(),
               .call_id = PublicName::Parse("call-17").value(),
               .body = std::move(body)};
}

std::string Sequenced(const Event& event, uint64_t seq) {
  std::string draft;
  AppendUnsequenced(event, kWriter, 7, draft);
  const RecordView view = ScanRecord(draft, SeqField::kAbsent).value();
  std::string text;
  AppendSequenced(draft, view.seq_offset, seq, text);
  return text;
}

TEST(Types, ARecordIsItsCanonicalText) {
  SeededRandom random(1);
  const std::string text = Sequenced(Decision(SaltedText("delete all my mail", random)), 41);
  const Record record = Record::Parse(text).value();
  EXPECT_EQ(record.ToJson(), text);
  EXPECT_EQ(record.seq, 41u);
  EXPECT_EQ(record.instance_seq, 7u);
  EXPECT_EQ(record.kind, RecordKind::kDecision);
  EXPECT_EQ(record.spiffe_id, Researcher());
  EXPECT_EQ(record.instance, SomeInstance());
  EXPECT_EQ(record.tenant->value(), "acme");
  EXPECT_EQ(record.call_id->value(), "call-17");
  EXPECT_EQ(FormatRfc3339(record.time, 9), "2023-11-14T22:13:20.123456000Z");
  // The general codec agrees that this is RFC 8785.
  const wire::Json json = wire::ParseJson(text).value();
  EXPECT_EQ(wire::ToCanonicalJson(json).value(), text);
}

TEST(Types, OptionalFieldsAreAbsentAndNotEmpty) {
  Event event{
      .time = WallTime{}, .kind = RecordKind::kKill, .spiffe_id = SpiffeId::Parse("spiffe://example.org").value()};
  const std::string text = Sequenced(event, 0);
  EXPECT_EQ(text,
            "{\"body\":{},\"instance_seq\":7,\"kind\":\"KS\",\"seq\":0,\"spiffe_id\":\"spiffe://example.org\","
            "\"time\":\"1970-01-01T00:00:00.000000Z\",\"v\":1,\"writer\":\"00112233445566ff\"}");
  const Record record = Record::Parse(text).value();
  EXPECT_FALSE(record.instance || record.tenant || record.call_id);
  EXPECT_EQ(record.ToJson(), text);
}

// INV-LEDGER-02: texts reach a record as salted digests only.
TEST(Types, NoTextReachesTheRecord) {
  SeededRandom random(2);
  const std::string secret = "sk-live-Zm9vYmFy";
  Body inner;
  inner.Set("deep", SaltedText(secret, random));
  Body body;
  body.Set("outer", std::move(inner)).Set("plain", SaltedText(secret, random));
  ASSERT_EQ(body.texts().size(), 2u);
  EXPECT_EQ(body.ToJson().find(secret), std::string::npos);
  EXPECT_NE(body.texts()[0].digest(), body.texts()[1].digest()) << "the salt makes equal texts differ";
  EXPECT_NE(body.ToJson().find(HexEncode(body.texts()[0].digest())), std::string::npos);
  // No overload takes a string: this is what keeps the promise at compile time.
  const auto takes_string = [](auto& b) {
    return requires { b.Set("k", std::string("prompt")); };
  };
  const auto takes_view = [](auto& b) {
    return requires { b.Set("k", std::string_view("prompt")); };
  };
  EXPECT_FALSE(takes_string(body));
  EXPECT_FALSE(takes_view(body));
}

TEST(Types, PublicNamesAreVisibleAscii) {
  EXPECT_TRUE(PublicName::Parse("https://api.example.org/v1/chat?x=%20").ok());
  for (const std::string_view bad : {"", "two words", "quo\"te", "back\\slash", "\x7F", "\xC3\xA9", "tab\t"}) {
    EXPECT_FALSE(PublicName::Parse(bad).ok()) << bad;
  }
  EXPECT_TRUE(PublicName::Parse(std::string(limits::kMaxPublicNameBytes, 'a')).ok());
  EXPECT_FALSE(PublicName::Parse(std::string(limits::kMaxPublicNameBytes + 1, 'a')).ok());
}

TEST(Types, NumbersStayExact) {
  Body body;
  body.Set("max", UINT64_MAX).Set("min", INT64_MIN).Set("minus", -5).Set("zero", 0u);
  EXPECT_EQ(body.ToJson(), "{\"max\":9007199254740991,\"min\":-9007199254740991,\"minus\":-5,\"zero\":0}");
  EXPECT_TRUE(ScanBody(body.ToJson()).ok());
}

TEST(Types, BodiesOutsideTheGrammarAreRefused) {
  for (const std::string_view good :
       {"{}", "{\"a\":1,\"b\":[1,-2,[\"x\",true]],\"c\":{\"d\":false}}", "{\"a\":\"!~\"}"}) {
    EXPECT_TRUE(ScanBody(good).ok()) << good;
  }
  for (const std::string_view bad : {"",
                                     "[]",
                                     "{",
                                     "{} ",
                                     "{\"b\":1,\"a\":1}",
                                     "{\"a\":1,\"a\":1}",
                                     "{\"a\":01}",
                                     "{\"a\":-0}",
                                     "{\"a\":1.5}",
                                     "{\"a\":1e3}",
                                     "{\"a\":null}",
                                     "{\"a\":\"\"}",
                                     "{\"a\":\"two words\"}",
                                     "{\"a\":\"\\n\"}",
                                     "{\"a\":\"\xC3\xA9\"}",
                                     "{\"A\":1}",
                                     "{\"a\": 1}",
                                     "{\"a\":9007199254740992}",
                                     "{\"a\":[1,]}",
                                     "{\"a\":[,1]}",
                                     "{,}",
                                     "{\"a\":1,}",
                                     "{\"\":1}",
                                     "{\"a\":tru}"}) {
    EXPECT_FALSE(ScanBody(bad).ok()) << bad;
  }
  std::string deep;
  for (size_t i = 0; i < limits::kMaxRecordDepth; ++i) deep += "{\"a\":";
  std::string ends(limits::kMaxRecordDepth, '}');
  EXPECT_TRUE(ScanBody(deep + "{}" + ends).ok());
  EXPECT_FALSE(ScanBody(deep + "{\"a\":{}}" + ends).ok());
}

TEST(Types, EveryByteOfARecordCounts) {
  SeededRandom random(3);
  const std::string text = Sequenced(Decision(SaltedText("x", random)), 41);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string cut = text;
    cut.erase(i, 1);
    const Result<Record> shorter = Record::Parse(cut);
    if (shorter.ok()) {
      EXPECT_EQ(shorter->ToJson(), cut);
    }
    for (const char c : {' ', '"', '0', 'z', '\\', '\0'}) {
      std::string changed = text;
      changed[i] = c;
      const Result<Record> other = Record::Parse(changed);
      if (other.ok()) {
        EXPECT_EQ(other->ToJson(), changed);
      }
    }
  }
  EXPECT_EQ(ScanRecord(std::string(limits::kMaxRecordBytes + 1, ' '), SeqField::kPresent).error().code(),
            ErrorCode::kResourceExhausted);
}

// An ID may be written in several ways, a record in one.
TEST(Types, NamesHaveOneForm) {
  SeededRandom random(3);
  const std::string text = Sequenced(Decision(SaltedText("x", random)), 41);
  for (const auto& [from, to] : {std::pair("spiffe://", "spiFfe://"), std::pair("example.org", "Example.org")}) {
    std::string other = text;
    other.replace(other.find(from), std::string_view(from).size(), to);
    EXPECT_FALSE(Record::Parse(other).ok()) << other;
  }
}

TEST(Types, EveryKindHasItsName) {
  for (int i = 0; i < 14; ++i) {
    const auto kind = static_cast<RecordKind>(i);
    EXPECT_EQ(FindRecordKind(RecordKindName(kind)), kind);
  }
  EXPECT_EQ(RecordKindName(RecordKind::kConfiguration), "CF");
  EXPECT_FALSE(FindRecordKind("XX"));
}

}  // namespace
}  // namespace hexr::ledger
