#include "cli/output.h"

#include <gtest/gtest.h>

namespace hexr::cli {
namespace {

TEST(Output, AnAgentsTextCannotDriveTheTerminal) {
  EXPECT_EQ(Printable("/tmp/\x1b]0;title\x07x"), "/tmp/\\x1b]0;title\\x07x");
  EXPECT_EQ(Printable("a\rb\x7f\x1b[2J"), "a\\x0db\\x7f\\x1b[2J");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J"),
            "\\x9b2J")
      << "CSI as one character of C1";
  EXPECT_EQ(Printable("\x1b[31mred\x1b[0m\t\xc3\xa9\n"), "\x1b[31mred\x1b[0m\t\xc3\xa9\n") << "ours, and plain text";
}

}  // namespace
}  // namespace hexr::cli
