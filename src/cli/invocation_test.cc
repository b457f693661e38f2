#include <gtest/gtest.h>

#include "cli/run.h"

namespace hexr::cli {
namespace {

std::optional<Invocation> Read(const std::vector<std::string>& words) { return ReadPlainly(RunCommand(), words); }

TEST(ReadPlainly, FlagsThenTheCommandAsItIs) {
  const auto in = Read({"--agent", "crew", "--ro=/a", "--ro", "/b", "--", "sh", "--agent", "-c", "--", ""});
  ASSERT_TRUE(in.has_value());
  EXPECT_EQ(in->Get("--agent"), "crew");
  EXPECT_EQ(in->Get("--role"), "main");
  EXPECT_EQ(in->All("--ro"), (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(in->All("CMD"), (std::vector<std::string>{"sh", "--agent", "-c", "--", ""}));
}

// INV-CLI-05: whatever is not plain is left to the reader that has words for it.
TEST(ReadPlainly, EverythingElseIsLeftToTheFullReader) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{},
                                                {"--help"},
                                                {"--agent", "a"},
                                                {"--agent", "a", "--"},
                                                {"--", "true"},
                                                {"--agent", "a", "true"},
                                                {"--agent", "a", "--agent", "b", "--", "true"},
                                                {"--agent", "--", "true"},
                                                {"--agent", "-x", "--", "true"},
                                                {"--agent=", "--", "true"},
                                                {"--agent", "a", "--no-such", "b", "--", "true"},
                                                {"--agent", "a", "-h", "--", "true"}}) {
    EXPECT_FALSE(Read(words).has_value()) << (words.empty() ? "" : words[0]);
  }
}

int Nothing(const Invocation&) { return kYes; }

TEST(ReadPlainly, ShortNamesAreTheSameFlagAndChoicesTheOnlyValues) {
  Command c{
      "say",  "", "", {{"-l,--level", "LEVEL", "", "low", false, false, {"low", "high"}}}, {{"CMD", "", true, true}},
      Nothing};
  EXPECT_EQ(ReadPlainly(c, {"--", "x"})->Get("--level"), "low");
  EXPECT_EQ(ReadPlainly(c, {"-l", "high", "--", "x"})->Get("--level"), "high");
  EXPECT_FALSE(ReadPlainly(c, {"-l", "high", "--level", "low", "--", "x"}));
  EXPECT_FALSE(ReadPlainly(c, {"-l", "middle", "--", "x"}));
  c.flags[0].required = true;
  EXPECT_TRUE(ReadPlainly(c, {"-l", "low", "--", "x"}));
  EXPECT_FALSE(ReadPlainly(c, {"--", "x"}));
}

}  // namespace
}  // namespace hexr::cli
