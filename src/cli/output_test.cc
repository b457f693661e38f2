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

// The five of docs/operations.md.
TEST(Output, EveryErrorHasItsExitCode) {
  const auto code = [](ErrorCode c) { return ExitCodeOf(Error(c, "x")); };
  for (const ErrorCode c : {ErrorCode::kPermissionDenied, ErrorCode::kNotFound, ErrorCode::kAlreadyExists,
                            ErrorCode::kFailedPrecondition, ErrorCode::kUnauthenticated, ErrorCode::kResourceExhausted})
    EXPECT_EQ(code(c), 1);
  for (const ErrorCode c : {ErrorCode::kInvalidArgument, ErrorCode::kUnimplemented, ErrorCode::kOutOfRange})
    EXPECT_EQ(code(c), 2);
  for (const ErrorCode c : {ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded}) EXPECT_EQ(code(c), 3);
  for (const ErrorCode c : {ErrorCode::kInternal, ErrorCode::kDataLoss, ErrorCode::kAborted, ErrorCode::kUnknown})
    EXPECT_EQ(code(c), 4);
}

}  // namespace
}  // namespace hexr::cli
