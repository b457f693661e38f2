#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace hexr {
namespace {

using ::testing::EndsWith;
using ::testing::MatchesRegex;

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override { InitLog("hexr", LogFormat::kText, LogLevel::kInfo); }

  // What `log` puts on stderr.
  static std::string Said(const std::function<void()>& log) {
    ::testing::internal::CaptureStderr();
    log();
    return ::testing::internal::GetCapturedStderr();
  }
  static std::string Line(std::initializer_list<LogField> fields) {
    return Said([&] { Log(LogLevel::kError, "e", fields); });
  }
};

// Whoever reads the log as JSON reads what was said, and nobody's text becomes a field or a line of its own.
TEST(JsonQuote, EscapesWhatJsonDoesNotTake) {
  EXPECT_EQ(JsonQuote(""), R"("")");
  EXPECT_EQ(JsonQuote(R"(a"b\c)"), R"("a\"b\\c")");
  EXPECT_EQ(JsonQuote("a\nb\r\tc"), R"("a\u000ab\u000d\u0009c")");
  EXPECT_EQ(JsonQuote(std::string_view("\0\x1b[31m\x7f", 7)), R"("\u0000\u001b[31m\u007f")");
  EXPECT_EQ(JsonQuote("\xc3\xa9 \xf0\x9f\x90\x8b"), "\"\xc3\xa9 \xf0\x9f\x90\x8b\"") << "UTF-8 stays";
}

TEST(JsonQuote, ReplacesWhatIsNoUtf8) {
  for (const char* text : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    std::string replaced;
    for (const char* c = text; *c != '\0'; ++c) replaced += "\\ufffd";
    EXPECT_EQ(JsonQuote(std::string("a") + text + "\"b"), "\"a" + replaced + "\\\"b\"");
  }
}

TEST_F(LogTest, JsonIsOneLineWithTypedFields) {
  InitLog("gateway/de\"fault", LogFormat::kJson, LogLevel::kInfo);
  const std::string said = Said([] {
    Log(LogLevel::kWarn, "a.b",
        {{"text", "x\"}\n{"}, {"yes", true}, {"less", -1}, {"more", uint64_t{1} << 63}, {"part", 0.5}, {"k\"", "v"}});
  });
  EXPECT_THAT(said, MatchesRegex(R"(\{"time":"[0-9T:.-]+Z","level":"warn","process":"gateway/de\\"fault",.*)"));
  EXPECT_THAT(said, EndsWith(R"("event":"a.b","text":"x\"}\u000a{","yes":true,"less":-1,"more":9223372036854775808,)"
                             R"("part":0.5,"k\"":"v"})"
                             "\n"));
}

TEST_F(LogTest, TextIsOneLineToo) {
  InitLog("keeper", LogFormat::kText, LogLevel::kInfo);
  EXPECT_THAT(Line({{"error", InvalidArgument("a\nfake line\x1b[2J")}}),
              MatchesRegex("[0-9T:.-]+Z error keeper e error=\"INVALID_ARGUMENT: a.u000afake line.u001b.2J\"\n"));
}

TEST_F(LogTest, LevelsBelowTheConfiguredOneAreSilent) {
  const std::vector<LogLevel> levels = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError};
  const std::vector<std::string> names = {"debug", "info", "warn", "error"};
  for (size_t least = 0; least < levels.size(); ++least) {
    InitLog("x", LogFormat::kJson, levels[least]);
    for (size_t i = 0; i < levels.size(); ++i) {
      const std::string said = Said([&] { Log(levels[i], "e"); });
      EXPECT_EQ(said.empty(), i < least) << names[least] << ": " << said;
      EXPECT_TRUE(said.empty() || said.find("\"level\":\"" + names[i] + "\"") != std::string::npos) << said;
    }
  }
}

}  // namespace
}  // namespace hexr
