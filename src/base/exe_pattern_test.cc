#include "base/exe_pattern.h"

#include <gtest/gtest.h>

#include <vector>

namespace hexr {
namespace {

TEST(ExePattern, MatchesTheBaseNameWithoutASlash) {
  EXPECT_TRUE(MatchesExePattern("python3*", "/usr/bin/python3.11"));
  EXPECT_TRUE(MatchesExePattern("*", "/usr/bin/node"));
  EXPECT_FALSE(MatchesExePattern("python3*", "/home/eve/python3/sh"));
  EXPECT_FALSE(MatchesExePattern("python", "/usr/bin/python3"));
}

TEST(ExePattern, MatchesTheWholePathWithASlash) {
  EXPECT_TRUE(MatchesExePattern("/opt/*/bin/agent", "/opt/a/bin/agent"));
  EXPECT_FALSE(MatchesExePattern("/opt/*/bin/agent", "/opt/a/b/bin/agent"));
  EXPECT_FALSE(MatchesExePattern("/usr/bin/*", "/tmp/usr/bin/x"));
}

TEST(ExePattern, NothingMatchesNothing) {
  EXPECT_FALSE(MatchesExePattern("", "/bin/sh"));
  EXPECT_FALSE(MatchesExePattern("*", ""));
  EXPECT_FALSE(MatchesExePattern("sh", std::string("/bin/sh\0x", 9)));
  EXPECT_FALSE(MatchesAnyExePattern({}, "/bin/sh"));
  const std::vector<std::string> patterns{"bash", "sh"};
  EXPECT_TRUE(MatchesAnyExePattern(patterns, "/bin/sh"));
}

}  // namespace
}  // namespace hexr
