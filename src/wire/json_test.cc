#include "wire/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/limits/json.h"

namespace hexr::wire {
namespace {

std::string Why(std::string_view text, const JsonOptions& options = {}) {
  const auto r = ParseJson(text, options);
  return r.ok() ? "ok: " + ToJson(*r) : r.error().message();
}

Json Parsed(std::string_view text) {
  auto r = ParseJson(text);
  EXPECT_TRUE(r.ok()) << text << ": " << r.error().ToString();
  return std::move(r).value();
}

TEST(Json, ReadsEveryKind) {
  const Json v = Parsed(" {\"a\":[null,true,false,-12,1.5,\"x\\u00e9\\ud83d\\ude00\\/\"],\n\"b\":{}}\r\n");
  ASSERT_TRUE(v.is_object());
  const JsonArray& a = *v.FindArray("a");
  EXPECT_TRUE(a[0].is_null());
  EXPECT_TRUE(*a[1].as_bool());
  EXPECT_FALSE(*a[2].as_bool());
  EXPECT_EQ(*a[3].as_integer(), -12);
  EXPECT_EQ(*a[4].as_double(), 1.5);
  EXPECT_EQ(*a[5].as_string(), "xé😀/");
  EXPECT_TRUE(v.Find("b")->as_object()->empty());
  EXPECT_EQ(v.Find("c"), nullptr);
  EXPECT_EQ(a[3].as_double(), nullptr) << "kinds do not convert by themselves";
}

TEST(Json, IntegersStayExact) {
  EXPECT_EQ(*Parsed("9223372036854775807").as_integer(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(*Parsed("-9223372036854775808").as_integer(), std::numeric_limits<int64_t>::min());
  const Json big = Parsed("123456789012345678901234567890");
  EXPECT_EQ(big.as_big_integer()->digits(), "123456789012345678901234567890");
  EXPECT_EQ(ToJson(big), "123456789012345678901234567890");
  EXPECT_EQ(Json(std::numeric_limits<uint64_t>::max()).as_big_integer()->digits(), "18446744073709551615");
  EXPECT_EQ(*big.ToDouble(), 123456789012345678901234567890.0);
}

TEST(Json, KeepsTheKindOfNumbersThroughARoundTrip) {
  for (const char* text : {"1.0", "-0.0", "1e+21", "0.1", "5e-324", "100.0", "0", "-1", "18446744073709551615"}) {
    EXPECT_EQ(ToJson(Parsed(text)), text);
  }
  EXPECT_EQ(ToJson(Parsed("1e2")), "100.0");
  EXPECT_EQ(ToJson(Parsed("1e-400")), "0.0");
  EXPECT_EQ(ToJson(Json(std::numeric_limits<double>::quiet_NaN())), "null");
}

TEST(Json, SaysWhereAndWhy) {
  EXPECT_EQ(Why("{\n  \"a\": 1,\n  \"a\": 2}"), "json 3:3: duplicate key");
  EXPECT_EQ(Why("{\"a\":1,\"\\u0061\":2}"), "json 1:8: duplicate key") << "escapes do not hide a duplicate";
  EXPECT_EQ(Why("[1,]"), "json 1:4: expected a value");
  EXPECT_EQ(Why(""), "json 1:1: unexpected end");
  EXPECT_EQ(Why("1 2"), "json 1:3: text after the value");
}

TEST(Json, RefusesWhatOthersMayReadDifferently) {
  const char* const bad[] = {"\xEF\xBB\xBF{}",
                             "{'a':1}",
                             "[1,2",
                             "{\"a\" 1}",
                             "{\"a\":}",
                             "{,}",
                             "[,]",
                             "01",
                             "-01",
                             "+1",
                             ".5",
                             "1.",
                             "1e",
                             "1e+",
                             "-",
                             "NaN",
                             "Infinity",
                             "1e400",
                             "-1e999",
                             "tru",
                             "nul",
                             "True",
                             "\"\\x\"",
                             "\"\\u12g4\"",
                             "\"\\ud800\"",
                             "\"\\udc00\"",
                             "\"\\ud800\\u0041\"",
                             "\"\\ud800x\"",
                             "\"a\nb\"",
                             "\"\t\"",
                             "\"abc",
                             "\"\xC0\x80\"",
                             "\"\xED\xA0\x80\"",
                             "\"\xF5\x80\x80\x80\"",
                             "\"\xE2\x82\"",
                             "\"\x80\"",
                             "[1]x",
                             "/**/1",
                             "[1 2]",
                             "{\"a\":1 \"b\":2}",
                             "{1:2}",
                             "\"\\",
                             "\"\\u",
                             "\"\\ud83d\\",
                             "1\xC2\xA0",
                             "\f1",
                             "0x10",
                             "1_000",
                             "{\"a\":1,}",
                             "]"};
  for (const char* text : bad) EXPECT_FALSE(ParseJson(text).ok()) << text;
  EXPECT_FALSE(ParseJson(std::string_view("1\0", 2)).ok());
  EXPECT_FALSE(ParseJson(std::string_view("\"a\0b\"", 5)).ok());
}

TEST(Json, FindsADuplicateAmongMany) {
  std::string text = "{";
  for (int i = 0; i < 5000; ++i) text += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_TRUE(ParseJson(text + "\"z\":0}").ok());
  EXPECT_TRUE(Why(text + "\"k17\":0}").ends_with("duplicate key"));
}

TEST(Json, HoldsItsBounds) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(ParseJson(nested(limits::kMaxJsonDepth)).ok());
  EXPECT_EQ(ParseJson(nested(limits::kMaxJsonDepth + 1)).error().code(), ErrorCode::kResourceExhausted);
  std::string objects;
  for (size_t i = 0; i <= limits::kMaxJsonDepth; ++i) objects += "{\"a\":";
  EXPECT_EQ(ParseJson(objects).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(ParseJson("[1,2,3]", {.max_values = 3}).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(ParseJson("[1,2,3]", {.max_values = 4}).ok());
  EXPECT_EQ(ParseJson("[1]", {.max_bytes = 2}).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(ParseJson("1" + std::string(limits::kMaxJsonBytes - 1, ' ')).ok());
  EXPECT_EQ(ParseJson("1" + std::string(limits::kMaxJsonBytes, ' ')).error().code(), ErrorCode::kResourceExhausted);
  std::string many = "[0";
  for (size_t i = 1; i < limits::kMaxJsonValues; ++i) many += ",0";
  EXPECT_EQ(ParseJson(many + "]").error().code(), ErrorCode::kResourceExhausted) << "the array is a value too";
  EXPECT_TRUE(ParseJson(std::string(limits::kMaxJsonNumberBytes, '9')).ok());
  EXPECT_EQ(ParseJson(std::string(limits::kMaxJsonNumberBytes + 1, '9')).error().code(), ErrorCode::kResourceExhausted);
}

TEST(Json, KeepsOrderAndComparesWithoutIt) {
  EXPECT_EQ(ToJson(Parsed("{\"b\":1,\"a\":2}")), "{\"b\":1,\"a\":2}");
  EXPECT_EQ(Parsed("{\"b\":1,\"a\":2}"), Parsed("{\"a\":2,\"b\":1}"));
  EXPECT_NE(Parsed("{\"b\":1,\"a\":2}"), Parsed("{\"a\":2,\"c\":1}"));
  EXPECT_NE(Parsed("1"), Parsed("1.0"));
}

TEST(Json, Builds) {
  JsonObject o{{"name", "x"}, {"n", 3}, {"list", JsonArray{1, "two", nullptr, true}}};
  o.Set("n", 4);
  EXPECT_EQ(ToJson(o), R"({"name":"x","n":4,"list":[1,"two",null,true]})");
  EXPECT_TRUE(o.Erase("list"));
  EXPECT_FALSE(o.Erase("list"));
  EXPECT_EQ(ToJson(Json(o), JsonStyle::kPretty), "{\n  \"name\": \"x\",\n  \"n\": 4\n}");
  EXPECT_EQ(ToJson(Json(JsonArray{}), JsonStyle::kPretty), "[]");
  EXPECT_EQ(ToJson(Json("\x01\"\\\n\xFF")), R"("\u0001\"\\\u000a\ufffd")");
  const Json v(o);
  EXPECT_EQ(v.FindString("name"), "x");
  EXPECT_EQ(v.FindInteger("n"), 4);
  EXPECT_EQ(v.FindBool("n"), std::nullopt);
}

// RFC 8785 appendix B.
TEST(JsonCanonical, WritesNumbersAsEcmaScript) {
  const std::pair<uint64_t, const char*> cases[] = {{0x0000000000000000, "0"},
                                                    {0x8000000000000000, "0"},
                                                    {0x0000000000000001, "5e-324"},
                                                    {0x8000000000000001, "-5e-324"},
                                                    {0x7fefffffffffffff, "1.7976931348623157e+308"},
                                                    {0xffefffffffffffff, "-1.7976931348623157e+308"},
                                                    {0x4340000000000000, "9007199254740992"},
                                                    {0xc340000000000000, "-9007199254740992"},
                                                    {0x4430000000000000, "295147905179352830000"},
                                                    {0x44b52d02c7e14af5, "9.999999999999997e+22"},
                                                    {0x44b52d02c7e14af6, "1e+23"},
                                                    {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
                                                    {0x444b1ae4d6e2ef4e, "999999999999999700000"},
                                                    {0x444b1ae4d6e2ef4f, "999999999999999900000"},
                                                    {0x444b1ae4d6e2ef50, "1e+21"},
                                                    {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
                                                    {0x3eb0c6f7a0b5ed8d, "0.000001"},
                                                    {0x41b3de4355555553, "333333333.3333332"},
                                                    {0x41b3de4355555554, "333333333.33333325"},
                                                    {0x41b3de4355555555, "333333333.3333333"},
                                                    {0x41b3de4355555556, "333333333.3333334"},
                                                    {0x41b3de4355555557, "333333333.33333343"},
                                                    {0xbecbf647612f3696, "-0.0000033333333333333333"},
                                                    {0x43143ff3c1cb0959, "1424953923781206.2"}};
  for (const auto& [bits, text] : cases) EXPECT_EQ(ToCanonicalJson(std::bit_cast<double>(bits)).value(), text);
  EXPECT_FALSE(ToCanonicalJson(std::bit_cast<double>(0x7fffffffffffffff)).ok());
  EXPECT_FALSE(ToCanonicalJson(std::bit_cast<double>(0x7ff0000000000000)).ok());
}

// RFC 8785 sections 3.2.2 and 3.2.3.
TEST(JsonCanonical, MatchesTheExamplesOfTheRfc) {
  EXPECT_EQ(ToCanonicalJson(Parsed(R"({
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]})"))
                .value(),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
            "\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
  EXPECT_EQ(ToCanonicalJson(
                Parsed(R"({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7})"))
                .value(),
            "{\"\\r\":2,\"1\":4,\"\xC2\x80\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\xEF\xAC\xB3\":3}");
}

TEST(JsonCanonical, RefusesWhatHasNoCanonicalForm) {
  EXPECT_EQ(ToCanonicalJson(Parsed("9007199254740991")).value(), "9007199254740991");
  EXPECT_EQ(ToCanonicalJson(Parsed("295147905179352830000")).value(), "295147905179352830000") << "a double's own text";
  EXPECT_FALSE(ToCanonicalJson(Parsed("9007199254740993")).ok()) << "a double would round it";
  EXPECT_FALSE(ToCanonicalJson(Parsed("-9007199254740993")).ok());
  EXPECT_FALSE(ToCanonicalJson(Parsed("1000000000000000000000")).ok()) << "a double is written 1e+21";
  EXPECT_FALSE(ToCanonicalJson(Parsed("[18446744073709551615]")).ok());
  EXPECT_FALSE(ToCanonicalJson(Json("\xFF")).ok());
  EXPECT_FALSE(ToCanonicalJson(JsonObject{{"\xFF", 1}}).ok());
  EXPECT_EQ(ToCanonicalJson(Parsed("[[],{},\"\"]")).value(), "[[],{},\"\"]");
}

}  // namespace
}  // namespace hexr::wire
